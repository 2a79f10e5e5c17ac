"""Arguments and options that several commands of AWS share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "ConfigPath", "Yes"]

ConfigPath = Annotated[
    Path, typer.Argument(help="The YAML file that says what to serve; its section aws says where.", metavar="CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this it is only said what would be done.")]
