"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A test that fails must fail again. `pytest --hypothesis-profile explore` looks for new examples.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("repeatable")
