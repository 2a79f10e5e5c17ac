"""What AWS needs installed, and the word that says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mark.errors import ConfigError

__all__ = ["needs_extra"]

_EXTRAS = {"boto3", "botocore", "cryptography"}


@contextlib.contextmanager
def needs_extra() -> Iterator[None]:
    """Import inside; what is not installed is told with the command that mends it.

    Raises:
        ConfigError: boto3, or what comes with it, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in _EXTRAS:
            raise
        raise ConfigError(f"AWS needs {error.name}: pip install 'mark-serve[aws]'") from error
