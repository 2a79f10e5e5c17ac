"""`python -m mark` is `mark`."""

from __future__ import annotations

from mark.cli import main

if __name__ == "__main__":
    main()
