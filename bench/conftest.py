"""Settings of all benches."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# cmake and ninja lie beside the interpreter, whether or not its environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
