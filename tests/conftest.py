"""Settings of all tests."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# Before numpy and torch are imported, here and in what the tests start. With a thread for each core they wait for each
# other wherever something else runs: fits of half a second take a minute then.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A test that fails must fail again. `pytest --hypothesis-profile explore` looks for new examples.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile("repeatable")

# A shell in the background has Ctrl-C ignored, and all that is started from it; the commands under test must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
