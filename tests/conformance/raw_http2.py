"""An HTTP/2 client that says exactly what a test wants said, frame by frame, legal or not.

It answers what a well-behaved client must (SETTINGS, PING, spent windows) unless told not to, and judges nothing.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable
from types import TracebackType

from conformance.raw_frames import PREFACE, Answer, Headers, length_prefixed, request_headers
from hpack import Decoder, Encoder
from hyperframe.exceptions import HyperframeError
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

__all__ = ["RawConnection", "connect"]

_WINDOW_BEGIN = 65_535


def connect(address: str, timeout_s: float = 10.0) -> socket.socket:
    """A connected socket without Nagle's delay, so that each send is a segment of its own."""
    if address.startswith("unix:"):
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.settimeout(timeout_s)
        opened.connect(address.removeprefix("unix:"))
        return opened
    host, _, port = address.rpartition(":")
    opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    opened.settimeout(timeout_s)
    opened.connect((host, int(port)))
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened


class RawConnection:
    """One connection. Reads only inside `answer`, `until` and `drained`.

    Args:
        address: "host:port" or "unix:/path".
        settings: of the first SETTINGS frame, by number.
        greets: whether the preface and the first SETTINGS are sent at once.
        refills: whether received DATA is given back to the windows.
        timeout_s: how long any read may take.
        tls: what wraps the socket, if anything does.
    """

    def __init__(
        self,
        address: str,
        settings: dict[int, int] | None = None,
        *,
        greets: bool = True,
        refills: bool = True,
        timeout_s: float = 10.0,
        tls: Callable[[socket.socket], socket.socket] | None = None,
    ) -> None:
        plain = connect(address, timeout_s)
        self.socket = plain if tls is None else tls(plain)
        self.encoder = Encoder()
        self.refills = refills
        self.timeout_s = timeout_s
        self.answers: dict[int, Answer] = {}
        self.ended: set[int] = set()
        self.goaway: GoAwayFrame | None = None
        self.pongs: list[bytes] = []
        self.peer_settings: dict[int, int] = {}
        self.settings_acked = 0
        self.closed = False
        self.data_frame_bytes_max = 0  # of what was received
        self.send_window = _WINDOW_BEGIN  # of the connection, for us
        self._stream_credit: dict[int, int] = {}  # what WINDOW_UPDATEs gave to a stream, less what it was sent
        self._decoder = Decoder()
        self._decoder.max_allowed_table_size = (settings or {}).get(SettingsFrame.HEADER_TABLE_SIZE, 4096)
        self._received = bytearray()
        self._block: tuple[int, bytearray, bool] | None = None
        self._next_stream = 1
        if greets:
            try:
                self.send(PREFACE, SettingsFrame(0, settings=settings or {}))
            except OSError:
                self.socket.close()
                raise

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def new_stream(self) -> int:
        """The next id of a stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        return stream

    # --- sending

    def send(self, *parts: Frame | bytes, segment_bytes: int | None = None) -> None:
        """Send frames and bytes as one piece, or in pieces of so many bytes; windows are not looked at."""
        piece = b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts)
        size = segment_bytes or max(1, len(piece))
        for begin in range(0, len(piece), size):
            self.socket.sendall(piece[begin : begin + size])

    def sends(self, *parts: Frame | bytes) -> bool:
        """As `send`; False when the server has closed the connection, or takes no more."""
        try:
            self.send(*parts)
        except OSError:
            return False
        return True

    def block(self, headers: Headers, *, huffman: bool = True) -> bytes:
        """A header block in the compression state of this connection."""
        return bytes(self.encoder.encode(headers, huffman=huffman))

    def open(self, headers: Headers, *, end_stream: bool = False) -> int:
        """Send headers in one frame; the id of the stream."""
        stream = self.new_stream()
        flags = ["END_HEADERS", "END_STREAM"] if end_stream else ["END_HEADERS"]
        self.send(HeadersFrame(stream, self.block(headers), flags=flags))
        return stream

    def call(self, path: str, message: bytes, extra: Headers = ()) -> Answer:
        """A whole unary call in ordinary frames."""
        return self.answer(self.begin(path, message, extra))

    def begin(self, path: str, message: bytes, extra: Headers = ()) -> int:
        """The request of a unary call, as the windows allow; the id of the stream."""
        stream = self.open(request_headers(path, extra))
        self.send_body(stream, length_prefixed(message))
        return stream

    def send_body(self, stream: int, body: bytes, frame_bytes: int = 16_384) -> None:
        """Send a body as fast as the windows allow, and end the stream."""
        view, end = memoryview(body), len(body)
        at = 0
        while at < end:
            size = min(frame_bytes, end - at, self.send_window, self._stream_window(stream))
            if size <= 0:
                self._read_one(time.monotonic() + self.timeout_s)
                continue
            frame = DataFrame(stream, bytes(view[at : at + size]), flags=["END_STREAM"] if at + size == end else [])
            at += size
            self.send_window -= size
            self._credit(stream, -size)
            self._send_or_read(frame.serialize())

    def _send_or_read(self, piece: bytes) -> None:
        """Send, and read where the server takes no more: it may wait for that, and then both would wait for ever."""
        if isinstance(self.socket, ssl.SSLSocket):
            self.socket.sendall(piece)  # of a single large call, whose answer comes when all of it was read
            return
        view, ends = memoryview(piece), time.monotonic() + self.timeout_s
        ready = select.poll()
        ready.register(self.socket, select.POLLIN | select.POLLOUT)
        while view:
            happened = ready.poll(1e3 * max(0.0, ends - time.monotonic()))
            if not happened:
                raise TimeoutError("the server takes no more, and sends nothing")
            if happened[0][1] & ~select.POLLIN:
                view = view[self.socket.send(view) :]
            elif not self._read_one(ends):
                raise ConnectionResetError("the server closed the connection")

    def _stream_window(self, stream: int) -> int:
        begin = self.peer_settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, _WINDOW_BEGIN)
        return begin + self._stream_credit.get(stream, 0)

    def _credit(self, stream: int, size: int) -> None:
        self._stream_credit[stream] = self._stream_credit.get(stream, 0) + size

    # --- receiving

    def answer(self, stream: int, timeout_s: float | None = None) -> Answer:
        """Read until the stream has ended, by whatever way; TimeoutError when it does not."""
        ends = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while stream not in self.ended:
            ignored = self.goaway is not None and self.goaway.last_stream_id < stream
            if ignored or not self._read_one(ends):
                self._answer(stream).went_away = True
                break
        return self._answer(stream)

    def until_pong(self, opaque: bytes = b"conforms") -> None:
        """Send a PING and read until it is answered: whatever was sent before was read by the server by then."""
        self.pongs.clear()
        self.send(PingFrame(opaque_data=opaque))
        ends = time.monotonic() + self.timeout_s
        while self.pongs[-1:] != [opaque]:
            assert self._read_one(ends), "the server closed the connection"

    def until_closed(self, timeout_s: float | None = None) -> bool:
        """Read until the server closes; False when it has not in time."""
        ends = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        try:
            while self._read_one(ends):
                pass
        except TimeoutError:
            return False
        return True

    def closed_before_pong(self, opaque: bytes = b"lives?!?") -> bool:
        """Send a PING and read until it is answered or the server closes; it answers in order, so False is sure."""
        self.sends(PingFrame(opaque_data=opaque))
        ends = time.monotonic() + self.timeout_s
        while self.pongs[-1:] != [opaque]:
            if not self._read_one(ends):
                return True
        return False

    def read_some(self, for_s: float) -> None:
        """Read what comes within this time."""
        with contextlib.suppress(TimeoutError):
            ends = time.monotonic() + for_s
            while self._read_one(ends):
                pass

    def _answer(self, stream: int) -> Answer:
        return self.answers.setdefault(stream, Answer())

    def _read_one(self, ends: float) -> bool:
        """Read and act on one frame; False once the connection has ended."""
        while True:
            if len(self._received) >= 9:
                length = int.from_bytes(self._received[:3], "big")
                if len(self._received) >= 9 + length:
                    piece = bytes(self._received[: 9 + length])
                    del self._received[: 9 + length]
                    self._take(piece)
                    return True
            if self.closed:
                return False
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing more was sent in time")
            self.socket.settimeout(left)
            try:
                received = self.socket.recv(1 << 18)
            except (ConnectionError, ssl.SSLError):
                received = b""
            self.socket.settimeout(self.timeout_s)
            self.closed = not received
            self._received += received

    def _take(self, piece: bytes) -> None:
        frame, _ = Frame.parse_frame_header(memoryview(piece[:9]))
        with contextlib.suppress(HyperframeError):
            frame.parse_body(memoryview(piece[9:]))
        if isinstance(frame, SettingsFrame):
            self._take_settings(frame)
        elif isinstance(frame, PingFrame):
            self._take_ping(frame)
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame
        elif isinstance(frame, WindowUpdateFrame):
            self._take_window(frame)
        elif isinstance(frame, RstStreamFrame):
            self._answer(frame.stream_id).reset = frame.error_code
            self.ended.add(frame.stream_id)
        elif isinstance(frame, DataFrame):
            self._take_data(frame)
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self._take_headers(frame)

    def _take_settings(self, frame: SettingsFrame) -> None:
        if "ACK" in frame.flags:
            self.settings_acked += 1
            return
        self.peer_settings.update(frame.settings)
        if SettingsFrame.HEADER_TABLE_SIZE in frame.settings:
            self.encoder.header_table_size = min(4096, frame.settings[SettingsFrame.HEADER_TABLE_SIZE])
        self.sends(SettingsFrame(0, flags=["ACK"]))

    def _take_ping(self, frame: PingFrame) -> None:
        if "ACK" in frame.flags:
            self.pongs.append(frame.opaque_data)
        else:
            self.sends(PingFrame(opaque_data=frame.opaque_data, flags=["ACK"]))

    def _take_window(self, frame: WindowUpdateFrame) -> None:
        if frame.stream_id == 0:
            self.send_window += frame.window_increment
        else:
            self._credit(frame.stream_id, frame.window_increment)

    def _take_data(self, frame: DataFrame) -> None:
        answer = self._answer(frame.stream_id)
        answer.body += frame.data
        self.data_frame_bytes_max = max(self.data_frame_bytes_max, frame.flow_controlled_length)
        if self.refills and frame.flow_controlled_length:
            ended = "END_STREAM" in frame.flags
            streams = (0,) if ended else (0, frame.stream_id)
            size = frame.flow_controlled_length
            self.sends(*(WindowUpdateFrame(each, window_increment=size) for each in streams))
        if "END_STREAM" in frame.flags:
            self.ended.add(frame.stream_id)

    def _take_headers(self, frame: HeadersFrame | ContinuationFrame) -> None:
        if isinstance(frame, HeadersFrame):
            self._block = (frame.stream_id, bytearray(), "END_STREAM" in frame.flags)
        assert self._block is not None
        stream, block, ends = self._block
        block += frame.data
        if "END_HEADERS" not in frame.flags:
            return
        self._block = None
        decoded = [(str(name), str(value)) for name, value in self._decoder.decode(bytes(block))]
        answer = self._answer(stream)
        if answer.headers:
            answer.trailers = decoded
        else:
            answer.headers = decoded
        if ends:
            self.ended.add(stream)
