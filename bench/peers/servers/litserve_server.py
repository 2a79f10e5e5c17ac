"""LitServe: JSON over HTTP, batches of up to 64 that wait 1 ms at most; one API process and one worker."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
from bench.peers.mlp import ROWS_MAX, Mlp


class Infer(litserve.LitAPI):  # type: ignore[misc]
    """The model behind LitServe's own loop of batches."""

    def setup(self, device: str) -> None:
        self._model = Mlp()

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # a type would be read as that of a query
        return np.asarray(request["x"], np.float32)

    def batch(self, inputs: list[Any]) -> Any:
        return np.concatenate(inputs)

    def predict(self, x: Any) -> Any:
        return self._model(x)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"y": [output.tolist()]}


if __name__ == "__main__":
    api = Infer(max_batch_size=ROWS_MAX, batch_timeout=0.001)
    litserve.LitServer(api, accelerator="cpu", workers_per_device=1).run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, generate_client_file=False, log_level="warning"
    )
