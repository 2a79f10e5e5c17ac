"""A metadata service for tests: version 2 only, with what a test puts into it."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

__all__ = ["MetadataStub"]


class MetadataStub:
    """Serves `values` by path; forgets its tokens when told, and fails as often as told."""

    def __init__(self, **values: str) -> None:
        self.values = {"instance-id": "i-0123", "local-ipv4": "127.0.0.1"} | values
        self.token = "token-1"
        self.failures = 0  # of the next requests, status 503
        self.requests: Counter[str] = Counter()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                stub.requests["PUT"] += 1
                is_asked = self.path == "/latest/api/token" and self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
                self._answer(200 if is_asked else 400, stub.token)

            def do_GET(self) -> None:
                path = self.path.removeprefix("/latest/meta-data/")
                stub.requests[path] += 1
                if stub.failures:
                    stub.failures -= 1
                    self._answer(503, "")
                elif self.headers["X-aws-ec2-metadata-token"] != stub.token:
                    self._answer(401, "")
                else:
                    self._answer(200 if path in stub.values else 404, stub.values.get(path, ""))

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> MetadataStub:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
