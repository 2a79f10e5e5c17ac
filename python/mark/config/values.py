"""What a section is, and the kinds of values in it, within the bounds of what the core, gRPC and a clock can take."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mark.domain.device import device_of

__all__ = [
    "COUNT_MAX",
    "DAY_S",
    "INT32_MAX",
    "Count",
    "Datatype",
    "Device",
    "Int32",
    "Int64",
    "Milliseconds",
    "Name",
    "NotBool",
    "ProfilePoints",
    "Rows",
    "Seconds",
    "Section",
    "Share",
    "Whole",
    "wrong",
]

INT32_MAX = 2**31 - 1
COUNT_MAX = 100_000
DAY_S = 86_400
_INT64_MAX = 2**63 - 1
_ROWS_MAX = 65_536  # the dispatcher's own bound


class Section(BaseModel):
    """A mapping of the file: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def wrong(what: str, *path: str | int) -> PydanticCustomError:
    """An error for a validator to raise.

    Args:
        what: what is wrong, and how to mend it.
        path: leads from the value that is validated to the one that has to be mended.
    """
    return PydanticCustomError("wrong", "{what}", {"what": what, "path": path})


def _refuse_bool(value: object) -> object:
    # To Python, and so to pydantic, true is the number 1.
    if isinstance(value, bool):
        raise wrong(f"must be a number, not {str(value).lower()}")
    return value


def _check_points(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    for index, ((rows_before, before_ms), (rows, latency_ms)) in enumerate(pairwise(points), start=1):
        if rows <= rows_before:
            raise wrong(f"rows must increase, but {rows} follows {rows_before}: put the points in order", index)
        if latency_ms < before_ms:
            raise wrong(
                f"{rows} rows cannot be faster than {rows_before}, but {latency_ms:g} ms follows {before_ms:g} ms: "
                "measure again, or give the larger latency to both",
                index,
            )
    return points


def _check_device(text: str) -> str:
    try:
        device_of(text)
    except ValueError as error:
        raise wrong(str(error).removeprefix("device ")) from error
    return text


NotBool = BeforeValidator(_refuse_bool)
Count = Annotated[int, Field(ge=1, le=COUNT_MAX), NotBool]
Int32 = Annotated[int, Field(ge=1, le=INT32_MAX), NotBool]
Int64 = Annotated[int, Field(ge=1, le=_INT64_MAX), NotBool]
Rows = Annotated[int, Field(ge=1, le=_ROWS_MAX), NotBool]
Whole = Annotated[int, NotBool]
Seconds = Annotated[float, Field(ge=0, le=DAY_S, allow_inf_nan=False), NotBool]
Milliseconds = Annotated[float, Field(ge=0, le=DAY_S * 1000, allow_inf_nan=False), NotBool]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), NotBool]
Name = Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9._-]+$")]
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64",
    "FP16", "BF16", "FP32", "FP64", "BYTES",
]  # fmt: skip
Device = Annotated[str, AfterValidator(_check_device)]
# Rows of a batch and its p99 latency in milliseconds.
_Point = tuple[Rows, Annotated[float, Field(gt=0, le=DAY_S * 1000, allow_inf_nan=False), NotBool]]
ProfilePoints = Annotated[list[_Point], Field(min_length=1), AfterValidator(_check_points)]
