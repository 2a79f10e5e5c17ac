"""From HTTP requests to AWS's operations with their parameters, and from results back to answers."""

from __future__ import annotations

import functools
import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import ServiceOperationRouter
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from mark.testing.aws import cbor

__all__ = ["Answer", "AwsError", "Call", "answer_of", "error_answer", "read_body", "read_call"]

_CBOR = "smithy-rpc-v2-cbor"
# The name in a request's signature -> the name of the service's description.
_SERVICES = {
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
}
_UNAVAILABLE = frozenset({"RequestLimitExceeded", "SlowDown", "ServiceUnavailable", "Unavailable"})
_FORBIDDEN = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "AuthFailure"})
_INTERNAL = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceException"})
_STATUS = {
    "DryRunOperation": 412, "TooManyRequestsException": 429, "ResourceNotFoundException": 404, "NoSuchKey": 404,
    "NoSuchBucket": 404, "PreconditionFailed": 412,
}  # fmt: skip

_REQUEST = "fake-request"

Environ = dict[str, Any]


class AwsError(Exception):
    """An error that a service answers.

    Attributes:
        code: AWS's code, such as "InsufficientInstanceCapacity".
        extra: more members of the answer.
    """

    def __init__(self, code: str, message: str, **extra: object) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.extra = extra


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: name of the service's description, such as "ec2" or "cloudwatch".
        operation: such as "DescribeInstances"; empty if it could not be told.
        region: which region's endpoint was meant.
        key: who signed it.
        protocol: how it is written, and its answer.
        params: as boto3 takes them.
    """

    service: str
    operation: str
    region: str
    key: str
    protocol: str
    params: dict[str, Any]
    model: Any = field(repr=False)

    @property
    def name(self) -> str:
        """As "ec2:DescribeInstances"."""
        return f"{self.service}:{self.operation}"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether it is not an error."""
        return self.status < 400


def read_body(environ: Environ) -> bytes:
    """The whole body; it can be read again by whoever comes next."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    environ["wsgi.input_terminated"] = True
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return bytes(body)


def read_call(environ: Environ, region: str) -> Call | None:
    """The operation that a request means; None if it is not one of AWS's.

    Args:
        environ: of the request; `read_body` was called.
        region: for requests that do not say.
    """
    key, region, service = _signature(environ, region)
    if not service:
        return None
    model = get_service_model(service)
    request = _request(environ)
    path = request.path.strip("/").split("/")
    if path[0] == "service" and "operation" in path:
        operation_model = model.operation_model(path[-1])
        params = cbor.loads(request.get_data()) if request.get_data() else {}
        return Call(service, path[-1], region, key, _CBOR, params, operation_model)
    operation, uri_params = _operation(service, request)
    if not operation:
        return None
    operation_model = model.operation_model(operation)
    protocol = determine_request_protocol(model, request.content_type or "")
    parsed = PROTOCOL_PARSERS[protocol](operation_model, map_type=dict).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.get_data(),
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return Call(service, operation, region, key, protocol, dict(parsed), operation_model)


def answer_of(call: Call, result: Mapping[str, Any]) -> Answer:
    """The answer that boto3 reads `result` from."""
    if call.protocol == _CBOR:
        return _cbor_answer(200, result)
    return _serialized(call, dict(result))


def error_answer(call: Call, error: AwsError) -> Answer:
    """The answer that boto3 raises a ClientError of `error.code` for."""
    if call.protocol == _CBOR:
        return _cbor_answer(_status(error.code), {"__type": error.code, "message": error.message})
    status, kind = _status(error.code), "text/xml"
    code, message = escape(error.code), escape(error.message)
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if call.protocol == "ec2":
        body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{_REQUEST}</RequestID></Response>"
    elif call.protocol == "rest-xml":
        body = f"<Error>{inner}<RequestId>{_REQUEST}</RequestId></Error>"
    elif call.protocol == "query":
        inner = f"<Type>Sender</Type>{inner}"
        body = f"<ErrorResponse><Error>{inner}</Error><RequestId>{_REQUEST}</RequestId></ErrorResponse>"
    else:
        kind = "application/json"
        body = json.dumps({"__type": error.code, "message": error.message, **error.extra})
    headers = (("Content-Type", kind), ("x-amzn-ErrorType", error.code), ("x-amzn-RequestId", _REQUEST))
    return Answer(status, headers, b"" if call.operation.startswith("Head") else body.encode())


def _status(code: str) -> int:
    if code in _UNAVAILABLE:
        return 503
    if code in _FORBIDDEN:
        return 403
    if code in _INTERNAL:
        return 500
    return _STATUS.get(code, 400)


def _cbor_answer(status: int, result: Mapping[str, Any]) -> Answer:
    headers = (("Content-Type", "application/cbor"), ("smithy-protocol", "rpc-v2-cbor"))
    return Answer(status, headers, cbor.dumps(result))


def _serialized(call: Call, result: object) -> Answer:
    serializer = get_serializer_class(call.service, call.protocol)(operation_model=call.model)
    response = serializer.serialize(result)
    body = response["body"]
    headers = tuple((name, str(value)) for name, value in response["headers"].items())
    return Answer(response["status_code"], headers, body if isinstance(body, bytes) else body.encode())


def _signature(environ: Environ, region: str) -> tuple[str, str, str]:
    """Key, region and service of the request."""
    words = environ.get("HTTP_AUTHORIZATION", "").split("Credential=", 1)
    if len(words) < 2:
        # What an HTTP client fetches from a bucket by a signed address, and calls without credentials.
        return "", region, "s3" if "X-Amz-Signature=" in environ.get("QUERY_STRING", "") else ""
    scope = words[1].split(",")[0].split("/")
    if len(scope) < 5:
        return scope[0], region, ""
    return scope[0], scope[2], _SERVICES.get(scope[3], scope[3])


def _request(environ: Environ) -> Request:
    copied = dict(environ)
    body = environ["wsgi.input"].getvalue()
    if environ.get("HTTP_CONTENT_ENCODING") == "gzip" and body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
        copied["CONTENT_LENGTH"] = str(len(body))
    copied["wsgi.input"] = io.BytesIO(body)
    request = Request(copied)
    request.get_data(cache=True, parse_form_data=False)
    copied["wsgi.input"] = io.BytesIO(body)
    return request


def _operation(service: str, request: Request) -> tuple[str, Mapping[str, Any]]:
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2], {}
    # From a fresh request, for a form is parsed instead of the cached body.
    action = Request(dict(request.environ, **{"wsgi.input": io.BytesIO(request.get_data())})).values.get("Action")
    if action:
        return action, {}
    model = get_service_model(service)
    if model.protocol in {"rest-json", "rest-xml"}:
        matched: tuple[OperationModel, Mapping[str, Any]] = _router(service).match(request)
        return str(matched[0].name), matched[1]
    return "", {}


@functools.cache
def _router(service: str) -> ServiceOperationRouter:
    return ServiceOperationRouter(get_service_model(service))
