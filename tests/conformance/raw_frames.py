"""HTTP/2 and gRPC as bytes: frames as a test wants them, legal or not, and what an answer consists of."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame

__all__ = [
    "PREFACE",
    "Answer",
    "Headers",
    "continued",
    "data_frames",
    "length_prefixed",
    "raw_frame",
    "request_headers",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Headers = Sequence[tuple[str | bytes, str | bytes]]


def request_headers(path: str, extra: Headers = (), **pseudo: str) -> list[tuple[str | bytes, str | bytes]]:
    """The headers of a gRPC call: those that every one has, then the extra ones."""
    return [
        (":method", pseudo.get("method", "POST")),
        (":scheme", pseudo.get("scheme", "http")),
        (":path", path),
        (":authority", "conformance"),
        ("te", pseudo.get("te", "trailers")),
        ("content-type", pseudo.get("content_type", "application/grpc")),
        *extra,
    ]


def length_prefixed(message: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """The message as gRPC frames it; `length` is what the prefix says, if not the truth."""
    return struct.pack(">BI", compressed, len(message) if length is None else length) + message


def raw_frame(kind: int, flags: int, stream: int, body: bytes, *, length: int | None = None) -> bytes:
    """A frame of any kind with any flags; `length` is what its header says, if not the truth."""
    return (
        struct.pack(">I", len(body) if length is None else length)[1:] + struct.pack(">BBI", kind, flags, stream) + body
    )


def continued(stream: int, block: bytes, cuts: Iterable[int], *, end_stream: bool = False) -> list[Frame]:
    """A header block as HEADERS and CONTINUATION frames, cut at these positions."""
    places = [0, *cuts, len(block)]
    parts = [block[begin:end] for begin, end in itertools.pairwise(places)]
    frames: list[Frame] = [HeadersFrame(stream, parts[0], flags=["END_STREAM"] if end_stream else [])]
    frames += [ContinuationFrame(stream, part) for part in parts[1:]]
    frames[-1].flags.add("END_HEADERS")
    return frames


def data_frames(stream: int, body: bytes, size: int, *, pad: int | None = None, end_stream: bool = True) -> list[Frame]:
    """A body as DATA frames of up to `size` bytes, each padded by `pad` bytes unless it is None."""
    frames: list[Frame] = []
    for begin in range(0, len(body), size) if body else (0,):
        flags = [] if pad is None else ["PADDED"]
        frames.append(DataFrame(stream, body[begin : begin + size], flags=flags, pad_length=pad or 0))
    if end_stream:
        frames[-1].flags.add("END_STREAM")
    return frames


@dataclass
class Answer:
    """What a stream got: gRPC's status and messages are in it, or an error of HTTP/2."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    reset: int | None = None
    went_away: bool = False  # the connection ended first, or was told to go away before this stream

    @property
    def trailers_only(self) -> bool:
        """Whether headers were the whole answer."""
        return bool(self.headers) and not self.trailers and not self.body

    def header(self, name: str) -> str | None:
        """The value of a header or trailer."""
        return next((value for key, value in (*self.trailers, *self.headers) if key == name), None)

    @property
    def status(self) -> int | None:
        """`grpc-status`; None where there is none."""
        value = self.header("grpc-status")
        return None if value is None else int(value)

    @property
    def details(self) -> str:
        """`grpc-message`, decoded."""
        return unquote(self.header("grpc-message") or "", errors="strict")

    @property
    def messages(self) -> list[bytes]:
        """The messages in the body; AssertionError when it is cut off, or one is compressed."""
        found, at = [], 0
        while at < len(self.body):
            compressed, length = struct.unpack(">BI", self.body[at : at + 5])
            at += 5 + length
            assert not compressed
            assert len(self.body) >= at
            found.append(bytes(self.body[at - length : at]))
        return found
