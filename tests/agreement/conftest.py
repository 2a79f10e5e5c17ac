"""Real routers for the comparison on the wall clock: as in the integration tests."""

from __future__ import annotations

from integration.conftest import make_router

__all__ = ["make_router"]
