"""A client that minds its own business while another one misbehaves: it must not notice."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psutil
from conformance.expected import answer_to, request_of, row
from conformance.raw_http2 import RawConnection
from conformance.servers import Server, until

from mark.protocol.messages import MODEL_INFER

__all__ = ["unharmed"]

_GROWTH_BYTES_MAX = 96 << 20
_ANSWER_MAX_S = 5.0
_FILES_MAX = 8  # that a server may open meanwhile for reasons of its own


class _Bystander(threading.Thread):
    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._ends = threading.Event()
        self.answers = 0
        self.rss_max_bytes = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        try:
            with RawConnection(self._server.address, timeout_s=_ANSWER_MAX_S) as connection:
                while not self._ends.is_set() and not self.wrong:
                    rows = row(3.0, float(self.answers % 1000))
                    answer = connection.call(MODEL_INFER, request_of(rows))
                    if answer.messages != [answer_to(rows)]:
                        self.wrong.append(f"answer {self.answers}: {answer}")
                    connection.answers.clear()
                    connection.ended.clear()
                    self.answers += 1
                    self.rss_max_bytes = max(self.rss_max_bytes, self._server.rss_bytes)
                    self._ends.wait(0.001)
        except (OSError, psutil.Error, AssertionError) as error:
            self.wrong.append(f"after {self.answers} answers: {error!r}")

    def end(self) -> None:
        self._ends.set()
        self.join(2 * _ANSWER_MAX_S)


@contextlib.contextmanager
def unharmed(server: Server, growth_bytes_max: int = _GROWTH_BYTES_MAX) -> Iterator[None]:
    """Whatever is done inside, the server lives, answers others rightly all the while, and keeps nothing of it.

    Args:
        server: what is attacked.
        growth_bytes_max: how much more memory it may hold meanwhile.
    """
    process = psutil.Process(server.process.pid)
    files, rss_bytes = process.num_fds(), server.rss_bytes
    lost = server.ended("worker_lost") if server.kind == "router" else 0
    bystander = _Bystander(server)
    bystander.start()
    until(lambda: bystander.answers > 0 or bool(bystander.wrong))
    try:
        yield
        seen = bystander.answers
        until(lambda: bystander.answers > seen or bool(bystander.wrong), 2 * _ANSWER_MAX_S)
    finally:
        bystander.end()
    assert server.lives
    assert bystander.wrong == []
    assert bystander.rss_max_bytes - rss_bytes <= growth_bytes_max
    until(lambda: process.num_fds() <= files + _FILES_MAX)
    if server.kind == "router":
        until(lambda: server.model_status().queued == 0)
        assert server.ended("worker_lost") == lost
