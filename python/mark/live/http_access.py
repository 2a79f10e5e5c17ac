"""Who may see the page: those of this machine, or those who show the token."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

__all__ = ["LOGIN_PATH", "HttpAccess"]

LOGIN_PATH: Final = "/login"
_OPEN_PATHS: Final = frozenset({"/healthz", LOGIN_PATH})
_OPEN_FOLDER: Final = "/static/"  # which everybody can read who installs mark
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_COOKIE_S: Final = 30 * 86_400
_HEADERS: Final = {
    # Whatever a name of a model or a reason of a cloud contains, it is text: nothing of it runs, nothing is fetched.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "mark",
}


class HttpAccess:
    """Lets a request through or not, as a middleware of aiohttp.

    With a token: `Authorization: Bearer TOKEN`, as Prometheus sends it, or the cookie that the log-in form leaves,
    which is made of the token and does not tell it. Without: only requests that name this machine as their host, for a
    page of anybody on the Internet may send a browser here under its own name. Health is open: it says one word.

    Thread safety: belongs to one event loop.
    """

    def __init__(self, token: str | None, host: str) -> None:
        """Make it.

        Args:
            token: None where only this machine can reach the address.
            host: that the server is bound to.
        """
        self._token = token
        self._cookie = _made_of(token or "", b"mark page")
        # Browsers send the cookies of one port to all others of the host, where another router may have another token.
        self._cookie_name = f"mark_{_made_of(token or '', b'mark cookie')[:8]}"
        self._names = _LOOPBACK_NAMES | {host}

    def add_to(self, app: web.Application) -> None:
        """Guard an application, and give it the log-in form."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            is_open = request.path in _OPEN_PATHS or request.path.startswith(_OPEN_FOLDER)
            if not is_open and not self._may_see(request):
                return self._refused(request)
            return await handler(request)

        app.middlewares.append(guard)
        app.on_response_prepare.append(_add_headers)
        if self._token is not None:
            app.router.add_get(LOGIN_PATH, self._show_form)
            app.router.add_post(LOGIN_PATH, self._log_in)

    def _may_see(self, request: web.Request) -> bool:
        if self._token is None:
            return _name_of(request.host) in self._names
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(shown.strip(), self._token):
            return True
        return _same(request.cookies.get(self._cookie_name, ""), self._cookie)

    def _refused(self, request: web.Request) -> web.Response:
        if self._token is None:
            names = ", ".join(sorted(self._names))
            return web.Response(status=403, text=f"this address is served under the names {names} alone\n")
        if "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": LOGIN_PATH})
        return web.Response(
            status=401, headers={"WWW-Authenticate": "Bearer"}, text="show the token: Authorization: Bearer TOKEN\n"
        )

    async def _show_form(self, _: web.Request) -> web.Response:
        return _form("", 200)

    async def _log_in(self, request: web.Request) -> web.Response:
        shown = (await request.post()).get("token", "")
        if self._token is None or not isinstance(shown, str) or not _same(shown.strip(), self._token):
            return _form("That is not the token.", 401)
        response = web.Response(status=303, headers={"Location": "/"})
        secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
        response.set_cookie(
            self._cookie_name, self._cookie, max_age=_COOKIE_S, httponly=True, samesite="Strict", secure=secure
        )
        return response


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _made_of(token: str, purpose: bytes) -> str:
    return hmac.new(token.encode(), purpose, hashlib.sha256).hexdigest()


def _name_of(host: str) -> str:
    """The name in a Host header, without its port and brackets; empty when there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same(shown: str, wanted: str) -> bool:
    # In the same time, however much of it is right.
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), wanted.encode())


def _form(problem: str, status: int) -> web.Response:
    said = f'<p role="alert">{problem}</p>' if problem else ""
    return web.Response(status=status, content_type="text/html", charset="utf-8", text=_FORM.replace("{problem}", said))


_FORM: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>mark</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml"><link rel="stylesheet" href="/static/page.css"></head>
<body><main class="login"><h1><span class="brand">mark</span></h1>{problem}
<form method="post" action="/login"><label for="token">Token of this router</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>Show the page</button></form>
<p class="hint">It is what <code>http.token_file</code> of its configuration, or <code>MARK_HTTP_TOKEN</code>, has.</p>
</main></body>
</html>
"""
