"""The section `decision_log`: where records of decisions are written."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mark.config.values import Int64, NotBool, Section

__all__ = ["DecisionLogConfig"]


class DecisionLogConfig(Section):
    """One JSON line for each plan, addition, interruption, burst of refusals and fallback; docs/decision-log.md."""

    path: Annotated[str, Field(min_length=1)] | None = None  # nothing is written without; memory keeps the last ones
    bytes_max: Int64 = 64 << 20
    files_max: Annotated[int, Field(ge=1, le=1000), NotBool] = 5
