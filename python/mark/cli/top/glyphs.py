"""What frames are drawn with: block characters, or plain ASCII for a terminal that knows no others."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASCII", "BLOCKS", "Glyphs", "glyphs_for"]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One character for each part of a drawing; all of them one column wide.

    Attributes:
        bars: from empty to full, for heights between two rows.
        fan: between quantiles of a forecast, from the surest load up to the highest.
        line: a limit: what the fleet serves, or what was promised.
        over_line: the same where a bar is beyond it.
        dots: a second value above a bar.
        stack: parts of a stack, from the lowest one up.
        over: in a row of small bars, a value beyond the scale.
        gauge: full and empty part of a gauge.
        rule: a line between two parts of a frame.
        now: between what was seen and what is forecast.
        chosen: before the decision that is chosen.
        dot: between two figures of a line.
        cut: at the end of a text that was cut.
    """

    bars: str
    fan: str
    line: str
    over_line: str
    dots: str
    stack: str
    over: str
    gauge: str
    rule: str
    now: str
    chosen: str
    dot: str
    cut: str


BLOCKS = Glyphs(
    bars=" ▁▂▃▄▅▆▇█",
    fan="▓▒░",
    line="─",
    over_line="━",
    dots="∙",
    stack="█▓▒░",
    over="█",
    gauge="█░",
    rule="─",
    now="│",
    chosen="▶",
    dot="·",
    cut="…",
)
ASCII = Glyphs(
    bars=" ..::++##",
    fan="%*.",
    line="=",
    over_line="!",
    dots="'",
    stack="#%*.",
    over="!",
    gauge="#-",
    rule="-",
    now="|",
    chosen=">",
    dot="-",
    cut="~",
)


def glyphs_for(encoding: str) -> Glyphs:
    """Blocks where an encoding has them."""
    try:
        "".join((BLOCKS.bars, BLOCKS.fan, BLOCKS.line, BLOCKS.dots, BLOCKS.chosen, BLOCKS.cut)).encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return ASCII
    return BLOCKS
