"""What AWS needs installed, and the word that says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from mark.errors import ConfigError

__all__ = ["needs_extra"]

_EXTRAS = {"boto3": "boto3", "botocore": "boto3", "cryptography": "cryptography"}  # module -> what it comes with


@contextlib.contextmanager
def needs_extra() -> Iterator[None]:
    """Import inside; what is not installed is told with the command that mends it.

    Raises:
        ConfigError: boto3, or what comes with it, is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = _EXTRAS.get((error.name or "").partition(".")[0])
        if package is None:
            raise
        raise ConfigError(f"AWS needs {package}: pip install 'mark-serve[aws]'") from error
