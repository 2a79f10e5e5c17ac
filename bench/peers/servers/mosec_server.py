"""mosec: raw bytes over HTTP, batches of up to 64 that wait 1 ms at most, the least that it can be told."""

from __future__ import annotations

import numpy as np
from bench.peers.mlp import ROWS_MAX, Mlp
from mosec import Server, Worker


class Infer(Worker):  # type: ignore[misc]
    """One process, which gets the bytes of whole batches."""

    def __init__(self) -> None:
        super().__init__()
        self._model = Mlp()

    def deserialize(self, data: bytes) -> bytes:
        return data

    def serialize(self, data: bytes) -> bytes:
        return data

    def forward(self, data: list[bytes]) -> list[bytes]:
        answers = self._model(np.frombuffer(b"".join(data), np.float32).reshape(len(data), -1))
        return [answer.tobytes() for answer in answers]


if __name__ == "__main__":
    server = Server()
    server.append_worker(Infer, num=1, max_batch_size=ROWS_MAX, max_wait_time=1)
    server.run()
