"""What the router says over HTTP: its health, its metrics, and whatever else is mounted; read-only."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from mark.errors import ConfigError
from mark.live.http_access import HttpAccess

__all__ = ["HttpServer"]

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_BODY_BYTES_MAX: Final = 4096  # the log-in form is all that anybody sends
_GOODBYE_S: Final = 1.0


class HttpServer:
    """An HTTP server on the router's own event loop.

    Thread safety: belongs to one event loop. Mount everything before `start`.
    """

    def __init__(self, host: str, token: str | None) -> None:
        """Make it.

        Args:
            host: to bind, without brackets.
            token: what a request has to show; None where only this machine can reach the host.
        """
        self._host = host
        self._address = ""
        self._app = web.Application(client_max_size=_BODY_BYTES_MAX)
        HttpAccess(token, host).add_to(self._app)
        self._runner: web.AppRunner | None = None

    def mount_health(self, ready: Callable[[], Awaitable[bool]]) -> None:
        """Answer /healthz: 200 when every model can be answered, 503 before that and while the router drains."""

        async def health(_: web.Request) -> web.Response:
            is_ready = await ready()
            return web.Response(status=200 if is_ready else 503, text="ready\n" if is_ready else "not ready\n")

        self._app.router.add_get("/healthz", health)

    def mount_metrics(self, exposition: Callable[[], bytes]) -> None:
        """Answer /metrics with what `exposition` returns, in Prometheus's text format; called on the event loop."""

        async def metrics(_: web.Request) -> web.Response:
            return web.Response(body=exposition(), headers={"Content-Type": _METRICS_TYPE})

        self._app.router.add_get("/metrics", metrics)

    def mount(self, path: str, answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> None:
        """Answer GET requests of a path; "{name}" in it matches one part."""
        self._app.router.add_get(path, answer)

    @property
    def address(self) -> str:
        """Where the page is, "http://host:port/"; empty until it is bound."""
        return self._address

    async def start(self, port: int) -> None:
        """Bind the port, 0 for a free one. May be tried again with another when it fails.

        Raises:
            ConfigError: the address is in use or not of this machine.
        """
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, port).start()
        except OSError as error:
            await runner.cleanup()
            # The loop's own words name the address once more; a name that is not found has no number of the system's.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
            raise ConfigError(f"http.address: cannot listen at {self._host}:{port}: {reason}") from error
        self._runner = runner
        host, port, *_ = runner.addresses[0]
        self._address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    async def stop(self) -> None:
        """Close every connection and the port; what streams had better end before. Idempotent."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
