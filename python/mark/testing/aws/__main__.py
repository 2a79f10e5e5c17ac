"""`python -m mark.testing.aws`: a fake AWS as a process of its own, that ends with its parent or at SIGTERM."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading

from mark.testing.aws import DwellTimes, FakeAws, FakeAwsParams

_PARENT_POLL_S = 0.2


def main() -> None:
    """Print the endpoint, and serve until the end."""
    options = _options()
    dwell = DwellTimes(options.pending_s, options.stopping_s, options.shutting_down_s)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    parent = os.getppid()
    with FakeAws(FakeAwsParams(region=options.region, port=options.port, dwell=dwell)) as aws:
        sys.stdout.write(f"{aws.endpoint_url}\n")
        sys.stdout.flush()
        while os.getppid() == parent and not ended.wait(_PARENT_POLL_S):
            pass


def _options() -> argparse.Namespace:
    default = FakeAwsParams()
    parser = argparse.ArgumentParser(prog="python -m mark.testing.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=default.port, help="0 for a free one")
    parser.add_argument("--region", default=default.region)
    parser.add_argument("--pending-s", type=float, default=default.dwell.pending_s)
    parser.add_argument("--stopping-s", type=float, default=default.dwell.stopping_s)
    parser.add_argument("--shutting-down-s", type=float, default=default.dwell.shutting_down_s)
    return parser.parse_args()


if __name__ == "__main__":
    main()
