"""What a worker computes on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast

__all__ = ["CPU", "Device", "device_of"]

_FORM = re.compile(r"(?P<kind>cpu|cuda)(:(?P<index>[0-9]{1,3}))?")


@dataclass(frozen=True, slots=True)
class Device:
    """The processor, or one CUDA device.

    Attributes:
        kind: "cpu" or "cuda".
        index: which CUDA device, as the driver counts them; 0 for the processor.
    """

    kind: Literal["cpu", "cuda"] = "cpu"
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.index}"


CPU = Device()


def device_of(text: str) -> Device:
    """The device that is written "cpu", "cuda" for the first CUDA device, or "cuda:1" for the second.

    Raises:
        ValueError: the text is none of these.
    """
    form = _FORM.fullmatch(text)
    if form is None or (form["kind"] == "cpu" and form["index"] is not None):
        raise ValueError(f"device must be cpu, cuda or cuda:N, not {text!r}")
    return Device(cast("Literal['cpu', 'cuda']", form["kind"]), int(form["index"] or 0))
