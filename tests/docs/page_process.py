"""A page's run as a process: what it does to its network and its children is its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from codebase.source_tree import ROOT

__all__ = ["run_in_process"]


def run_in_process(path: Path, folder: Path, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a page in a folder, in a process of its own."""
    options = ["-S"] if sys.flags.no_site else []
    search = [str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH", "")])]
    return subprocess.run(
        [sys.executable, *options, "-m", "docs.run_page", str(path), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(search)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
