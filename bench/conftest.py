"""Settings of all benches."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

# cmake and ninja lie beside the interpreter, whether or not its environment is activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

# Before numpy and torch are imported, here and in what the benches start: with a thread for each core they wait for
# each other wherever something else runs, and figures are of one core anyway.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# Trained on what one processor rounds otherwise than another, an LSTM is another one: half a point of six hours. The
# library chooses by processor; every x86-64 of the last ten years has the routines of this one.
if platform.machine() == "x86_64":
    os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")
