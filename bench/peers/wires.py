"""How a server is asked: what goes over the wire, what must come back, and one call of it from Python."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
from bench.peers.mlp import FEATURES, NAME, OUTPUTS, Mlp, Rows, request_row

from mark._core import parse_infer_response, write_infer_request
from mark.protocol import messages

__all__ = ["JSON", "OIP", "RAW", "Wire", "WrongAnswer", "check_answer"]


class WrongAnswer(Exception):
    """A server answered something else than the model run offline."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A request for one row, over one protocol.

    Attributes:
        name: what a table calls it.
        is_grpc: gRPC over HTTP/2 without TLS; else HTTP/1.1.
        path: to POST to, where servers do not differ in it.
        headers: beside what the protocol itself needs.
        message: the message of gRPC, or the body.
        read: the rows of an answer.
        connections: that 64 requests in flight are spread over, as many as suits the protocol.
    """

    name: str
    is_grpc: bool
    path: str
    headers: dict[str, str]
    message: bytes
    read: Callable[[bytes], Rows]
    connections: int

    @property
    def payload(self) -> bytes:
        """What is POSTed: a message of gRPC has five bytes before it."""
        return b"\0" + len(self.message).to_bytes(4, "big") + self.message if self.is_grpc else self.message

    def call(self, address: str, path: str, timeout_s: float = 5.0) -> bytes:
        """One request and its answer.

        Raises:
            ConnectionError: the server is not there, or answers with an error.
        """
        if self.is_grpc:
            return _call_grpc(address, path, self.message, timeout_s)
        return _call_http(address, path, self, timeout_s)


def check_answer(wire: Wire, answer: bytes) -> None:
    """Raise WrongAnswer unless it is what the model says of the row that was asked."""
    expected = Mlp()(request_row())
    try:
        rows = wire.read(answer)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise WrongAnswer(f"cannot be read: {error}: {answer[:200]!r}") from error
    # The order of additions depends on the size of the batch.
    if rows.shape != expected.shape or not np.allclose(rows, expected, rtol=1e-4, atol=1e-5):
        raise WrongAnswer(f"{rows.tolist()} instead of {expected.tolist()}")


def _call_grpc(address: str, path: str, message: bytes, timeout_s: float) -> bytes:
    with grpc.insecure_channel(address) as channel:
        try:
            return bytes(channel.unary_unary(path)(message, timeout=timeout_s))
        except grpc.RpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from error


def _call_http(address: str, path: str, wire: Wire, timeout_s: float) -> bytes:
    connection = http.client.HTTPConnection(address, timeout=timeout_s)
    try:
        connection.request("POST", path, wire.message, wire.headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ConnectionError(str(error)) from error
    finally:
        connection.close()
    if response.status != 200:
        raise ConnectionError(f"HTTP {response.status}: {answer[:200]!r}")
    return answer


def _read_oip(answer: bytes) -> Rows:
    tensors = parse_infer_response(answer).tensors
    return np.frombuffer(tensors[0][3], np.float32).reshape(-1, OUTPUTS)


def _read_json(answer: bytes) -> Rows:
    found: Any = json.loads(answer)
    return np.asarray(found["y"] if isinstance(found, dict) else found, np.float32)


ROW = request_row()
OIP = Wire(
    name="gRPC, OIP",
    is_grpc=True,
    path=messages.MODEL_INFER,
    headers={"content-type": "application/grpc", "te": "trailers"},
    message=write_infer_request(NAME, "", "", [("x", "FP32", (1, FEATURES), ROW)], []),
    read=_read_oip,
    connections=4,
)
RAW = Wire(
    name="HTTP, raw",
    is_grpc=False,
    path="/inference",
    headers={"content-type": "application/octet-stream"},
    message=ROW.tobytes(),
    read=lambda answer: np.frombuffer(answer, np.float32).reshape(-1, OUTPUTS),
    connections=64,
)
JSON = Wire(
    name="HTTP, JSON",
    is_grpc=False,
    path="/predict",
    headers={"content-type": "application/json"},
    message=json.dumps({"x": ROW.tolist()}).encode(),
    read=_read_json,
    connections=64,
)
