"""The page, the metrics and the health of a router over HTTP: made of its configuration."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mark.config.http import HttpConfig
from mark.errors import ConfigError
from mark.protocol.addresses import check_listenable

if TYPE_CHECKING:
    from mark.live.http_server import HttpServer
    from mark.live.telling import Telling

__all__ = ["TOKEN_VARIABLE", "check_http", "mount_live_page", "start_http", "token_of"]

_log = logging.getLogger(__name__)

TOKEN_VARIABLE: Final = "MARK_HTTP_TOKEN"  # noqa: S105  # where the token is, and not the token

_TOKEN_CHARS_MIN = 16


def token_of(settings: HttpConfig) -> str | None:
    """What a request has to show; None where none was given and only this machine can reach the address.

    Raises:
        ConfigError: it cannot be read, is too short, or is missing where others can reach the address.
    """
    token, source = _given_token(settings)
    if token is None:
        if settings.is_off or settings.is_loopback:
            return None
        raise ConfigError(
            f"http.address: other machines can reach {settings.address}, so what is shown there needs a token: write "
            f"one to a file and name it as http.token_file, or set {TOKEN_VARIABLE}"
        )
    if len(token) < _TOKEN_CHARS_MIN or not token.isascii() or not token.isprintable() or token.split() != [token]:
        raise ConfigError(
            f"{source}: a token has at least {_TOKEN_CHARS_MIN} letters, digits and signs, without spaces: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe())' makes one"
        )
    return token


def check_http(settings: HttpConfig) -> None:
    """Refuse at once what `start_http` would refuse late.

    Raises:
        ConfigError: the token is missing or unusable, or the address that the file gives is in use.
    """
    token_of(settings)
    if settings.is_chosen and not settings.is_off:
        try:
            check_listenable(settings.address)
        except ConfigError as error:
            raise ConfigError(f"http.address: {error}; choose another, 127.0.0.1:0 for any, or off") from error


async def start_http(settings: HttpConfig, mount: Callable[[HttpServer], None]) -> HttpServer | None:
    """A server that listens, with what `mount` gave it; None where the configuration says off.

    Where the file gives no address and the default one is in use, as by another router, it listens at a free port.

    Raises:
        ConfigError: see `token_of`; or the address that the file gives is in use.
    """
    if settings.is_off:
        return None
    # Only here: most commands need no HTTP, and it takes a while to import.
    from mark.live.http_server import HttpServer

    server = HttpServer(settings.host, token_of(settings))
    mount(server)
    try:
        await server.start(settings.port)
    except ConfigError as error:
        if settings.is_chosen:
            raise
        await server.start(0)
        _log.warning("%s: taking a free port; http.address in the file chooses one", error)
    _log.info("the page is at %s", server.address)
    return server


def mount_live_page(server: HttpServer, telling: Telling) -> None:
    """Give a server the page and its events."""
    from mark.live.events import EventStreams
    from mark.live.page import mount_page, page_files

    files = page_files()
    mount_page(server, files)
    server.mount("/events", EventStreams(telling, {"charts": files.has_charts}).answer)


def _given_token(settings: HttpConfig) -> tuple[str | None, str]:
    """The token and where it is from."""
    if settings.token_file is not None:
        try:
            token = Path(settings.token_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"http.token_file: {settings.token_file} cannot be read: {why}") from error
        return token, f"http.token_file {settings.token_file}"
    return os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
