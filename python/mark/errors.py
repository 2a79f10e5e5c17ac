"""Every error that mark raises, named for the decision that it allows.

MarkError
├── ConfigError              mend the configuration; the message names the path in the file
│   └── ProfileError         measure again, or name another file; the message says what is wrong with the profile
├── RequestError             one inference request ended without an answer
│   ├── InvalidRequest       mend the request; the message names the field
│   ├── ModelNotFound        ask for another model or version
│   ├── Overloaded           try again after `retry_after_ms`, or elsewhere
│   ├── DeadlineExceeded     the answer would be useless now
│   ├── Unavailable          safe to try again elsewhere: draining, no worker, worker lost
│   └── ModelFailed          the model raised on this request
├── ForecastError            mend the series, or train the forecaster again; the message says which and why
├── PlanningError            add offerings or ask for less; the message names each and the constraint that it fails
├── CloudError               a cloud call did not do what was asked
│   ├── InsufficientCapacity try another offering; this one is sold out for a while
│   ├── QuotaExceeded        the offering's max_count or an account limit is reached
│   └── Throttled            ask less often
└── WorkerError              a worker did not start, or went away
    └── ModelLoadError       the worker started but its model does not load
"""

from __future__ import annotations

__all__ = [
    "CloudError",
    "ConfigError",
    "DeadlineExceeded",
    "ForecastError",
    "InsufficientCapacity",
    "InvalidRequest",
    "MarkError",
    "ModelFailed",
    "ModelLoadError",
    "ModelNotFound",
    "Overloaded",
    "PlanningError",
    "ProfileError",
    "QuotaExceeded",
    "RequestError",
    "Throttled",
    "Unavailable",
    "WorkerError",
]


class MarkError(Exception):
    """Root of the errors that mark raises on purpose."""


class ConfigError(MarkError):
    """The configuration cannot be used; the message names the path in the file and how to mend it."""


class ProfileError(ConfigError):
    """A file of measured profiles cannot be used; the message names the file, and says what to do."""


class RequestError(MarkError):
    """One inference request ended without an answer."""


class InvalidRequest(RequestError):
    """The request itself is wrong; the message names the field."""


class ModelNotFound(RequestError):
    """No such model, or no such version of it."""


class Overloaded(RequestError):
    """The queue is full, or no worker can answer in time.

    Try again after `retry_after_ms`. None: waiting does not help, only more time for the answer does; or the server did
    not say.
    """

    def __init__(self, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class DeadlineExceeded(RequestError):
    """The deadline passed before an answer was there."""


class Unavailable(RequestError):
    """The server drains, has no worker, or lost the worker; safe to try again elsewhere."""


class ModelFailed(RequestError):
    """The model raised on this request."""


class ForecastError(MarkError):
    """A series or a file of a trained forecaster cannot be used; the message says what is wrong with it."""


class PlanningError(MarkError):
    """No plan can be made; the message names each offering and the constraint that it fails."""


class CloudError(MarkError):
    """A call to the cloud did not do what was asked."""


class InsufficientCapacity(CloudError):
    """The offering is sold out for now; try another one."""


class QuotaExceeded(CloudError):
    """The offering's `max_count`, or an account's limit, is reached."""


class Throttled(CloudError):
    """The cloud asks to be asked less often."""


class WorkerError(MarkError):
    """A worker did not start, or went away."""


class ModelLoadError(WorkerError):
    """The worker's model does not load."""
