"""`mark aws agent`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from mark.app.extra import needs_extra
from mark.errors import ConfigError

__all__ = ["agent"]


def agent(file: Annotated[Path, typer.Argument(help="What the instance's user data wrote.")]) -> None:
    """Run the worker of this EC2 instance: fetch its model and certificates, watch for notices, end with it.

    The unit that user data writes runs it; it ends with status 0 only when it is told to.

    Example: mark aws agent /etc/mark/agent.json
    """
    with needs_extra():
        from mark.cloud.aws.agent import AgentFolders, run_agent
        from mark.cloud.aws.agent_settings import AgentSettings
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = AgentSettings.from_json(text, str(file))
    raise typer.Exit(run_agent(settings, AgentFolders.beside(file, os.environ)))
