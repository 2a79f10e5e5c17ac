"""From the codes of AWS to errors that are named for the decision that they allow."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from mark.errors import CloudError, InsufficientCapacity, QuotaExceeded, Throttled

__all__ = ["AWS_ERRORS", "CAPACITY_CODES", "DENIED_CODES", "QUOTA_CODES", "THROTTLE_CODES", "code_of", "translated"]

# A page of somebody else's, such as a proxy's, is no error of botocore's own kinds.
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)

CAPACITY_CODES = frozenset({
    "InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
    "InsufficientFreeAddressesInSubnet", "UnfulfillableCapacity", "Unsupported", "ReservationCapacityExceeded",
    "SpotMaxPriceTooLow", "InsufficientCapacity", "InsufficientInstanceCapacityException",
})  # fmt: skip
QUOTA_CODES = frozenset({
    "InstanceLimitExceeded", "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "SpotInstanceCountLimitExceeded",
    "MaxFleetCountExceeded", "MaxSpotFleetRequestCountExceeded", "VolumeLimitExceeded", "ResourceLimitExceeded",
})  # fmt: skip
THROTTLE_CODES = frozenset({
    "RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
    "RequestThrottledException", "TooManyRequestsException", "SlowDown", "EC2ThrottledException",
    "PriorRequestNotComplete", "BandwidthLimitExceeded", "ProvisionedThroughputExceededException",
    "TransactionInProgressException", "429", "503",
})  # fmt: skip
DENIED_CODES = frozenset(
    {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "403"}
)


def code_of(error: Exception) -> str:
    """AWS's code of an error, the HTTP status of an answer to HEAD; empty for one that AWS did not answer."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def translated(error: Exception, what: str) -> CloudError:
    """An error of boto3 as one of mark's.

    Args:
        error: what boto3 raised.
        what: what was being done, for the message.
    """
    code = code_of(error)
    if code in CAPACITY_CODES:
        return InsufficientCapacity(f"{what}: {code}: {error}")
    if code in QUOTA_CODES:
        return QuotaExceeded(f"{what}: {code}: {error}; ask AWS for a higher quota, or lower max_count")
    if code in THROTTLE_CODES:
        return Throttled(f"{what}: {code}: AWS asks to be asked less often")
    if code in DENIED_CODES:
        return CloudError(f"{what}: {code}: not allowed; `mark aws check` says what is missing")
    if isinstance(error, AWS_ERRORS):
        return CloudError(f"{what}: {error}")
    if isinstance(error, KeyError):
        return CloudError(f"{what}: the answer has no {error}; is something between mark and AWS?")
    raise TypeError(f"{what}: not an error of AWS: {error!r}") from error
