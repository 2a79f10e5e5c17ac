"""What every resource can be asked."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Resource"]


class Resource(Protocol):
    """One thing in AWS, known by its name.

    Every method may take as long as AWS takes, and raises `CloudError` where AWS refuses.
    """

    @property
    def kind(self) -> str:
        """What it is, in a word or two."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def exists(self) -> bool:
        """Whether it is there."""
        ...

    def create(self) -> None:
        """Make it, or bring what is there into shape. Idempotent."""
        ...

    def delete(self) -> None:
        """Delete it with all that is in it. Idempotent."""
        ...
