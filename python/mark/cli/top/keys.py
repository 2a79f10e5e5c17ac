"""What a person pressed, of the bytes that a terminal sends."""

from __future__ import annotations

import enum

__all__ = ["Key", "KeyReader"]


class Key(enum.Enum):
    """A key that means something here."""

    UP = enum.auto()
    DOWN = enum.auto()
    PAGE_UP = enum.auto()
    PAGE_DOWN = enum.auto()
    HOME = enum.auto()
    END = enum.auto()
    ENTER = enum.auto()
    ESCAPE = enum.auto()
    NEXT = enum.auto()
    PREVIOUS = enum.auto()
    LONGER = enum.auto()
    SHORTER = enum.auto()
    ALL = enum.auto()
    QUIT = enum.auto()


_PLAIN = {
    b"\r": Key.ENTER,
    b"\n": Key.ENTER,
    b"\t": Key.NEXT,
    b"q": Key.QUIT,
    b"Q": Key.QUIT,
    b"k": Key.UP,
    b"j": Key.DOWN,
    b"g": Key.HOME,
    b"G": Key.END,
    b"a": Key.ALL,
    b"-": Key.LONGER,
    b"+": Key.SHORTER,
    b"=": Key.SHORTER,  # the key of + without shift
}

# What follows ESC, in the two modes that terminals have for their cursor keys.
_SEQUENCES = {
    b"[A": Key.UP,
    b"OA": Key.UP,
    b"[B": Key.DOWN,
    b"OB": Key.DOWN,
    b"[C": Key.ENTER,
    b"OC": Key.ENTER,
    b"[D": Key.ESCAPE,
    b"OD": Key.ESCAPE,
    b"[5~": Key.PAGE_UP,
    b"[6~": Key.PAGE_DOWN,
    b"[H": Key.HOME,
    b"OH": Key.HOME,
    b"[1~": Key.HOME,
    b"[7~": Key.HOME,
    b"[F": Key.END,
    b"OF": Key.END,
    b"[4~": Key.END,
    b"[8~": Key.END,
    b"[Z": Key.PREVIOUS,
}
_ESC = 0x1B
_SEQUENCE_BYTES_MAX = 32  # longer ones are garbage


class KeyReader:
    """Cuts a stream of bytes into keys; a sequence may come in several pieces.

    Unknown keys and sequences are swallowed whole, so that their letters are not taken for commands.
    """

    def __init__(self) -> None:
        self._rest = b""

    @property
    def waits(self) -> bool:
        """Whether what came last may be the beginning of a sequence, or Escape by itself: `flush` decides."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Key]:
        """The keys that are complete with these bytes."""
        keys: list[Key] = []
        data, self._rest = self._rest + data, b""
        while data:
            if data[0] != _ESC:
                if (key := _PLAIN.get(data[:1])) is not None:
                    keys.append(key)
                data = data[1:]
                continue
            length = _sequence_length(data[1:])
            if length is None:
                self._rest = data
                break
            if length == 0:  # Escape, and then something else
                keys.append(Key.ESCAPE)
            elif (key := _SEQUENCES.get(data[1 : 1 + length])) is not None:
                keys.append(key)
            data = data[1 + length :]
        return keys

    def flush(self) -> list[Key]:
        """Nothing came for a moment: a lone ESC was the Escape key; half a sequence was nothing."""
        rest, self._rest = self._rest, b""
        return [Key.ESCAPE] if rest == b"\x1b" else []


def _sequence_length(after: bytes) -> int | None:
    """Bytes of the sequence that begins after ESC; 0 if none does, None if its end is still to come."""
    if not after:
        return None
    if after[:1] == b"O":
        return 2 if len(after) > 1 else None
    if after[:1] != b"[":
        return 0
    for at, byte in enumerate(after[1:_SEQUENCE_BYTES_MAX], start=1):
        if 0x40 <= byte <= 0x7E:
            return at + 1
    return None if len(after) < _SEQUENCE_BYTES_MAX else _SEQUENCE_BYTES_MAX
