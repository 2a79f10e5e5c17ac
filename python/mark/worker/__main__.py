"""`python -m mark.worker` is `mark worker`, without the imports of the other commands."""

from __future__ import annotations

import sys

from mark.worker.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
