"""How arrays get to a CUDA device and back: through pinned memory, copied while other work goes on."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from mark.worker.runtimes import Arrays

__all__ = ["CudaStreams", "Staging", "Streams"]

_CHUNK_BYTES = 1 << 20


class Streams(Protocol):
    """Orders copies and computation. `CudaStreams` is what serves; a test gives one that does everything in order."""

    def pinned(self, size: int) -> Any:
        """A uint8 tensor of the host that the device reads and writes by itself."""
        ...

    def on_device(self, size: int) -> Any:
        """A uint8 tensor of the device."""
        ...

    def copying(self) -> contextlib.AbstractContextManager[object]:
        """Within it, copies go to the stream of copies."""
        ...

    def copies_before_computing(self) -> None:
        """What is computed from now on waits for the copies so far."""
        ...

    def computing_before_copies(self) -> None:
        """Copies from now on wait for what is computed so far."""
        ...

    def wait_for_copies(self) -> None:
        """Block until all copies are done."""
        ...


class CudaStreams:
    """A stream of its own for copies, beside the one that computes.

    Waiting is by events that let the thread sleep: a worker that spins for its device takes a core from the router.
    """

    def __init__(self, torch: Any, device: Any) -> None:
        self._torch = torch
        self._device = device
        self._copies = torch.cuda.Stream(device=device)
        self._done = torch.cuda.Event(blocking=True)

    def pinned(self, size: int) -> Any:
        """See `Streams`."""
        return self._torch.empty(size, dtype=self._torch.uint8, pin_memory=True)

    def on_device(self, size: int) -> Any:
        """See `Streams`."""
        return self._torch.empty(size, dtype=self._torch.uint8, device=self._device)

    def copying(self) -> contextlib.AbstractContextManager[object]:
        """See `Streams`."""
        stream: contextlib.AbstractContextManager[object] = self._torch.cuda.stream(self._copies)
        return stream

    def copies_before_computing(self) -> None:
        """See `Streams`."""
        self._torch.cuda.current_stream(self._device).wait_stream(self._copies)

    def computing_before_copies(self) -> None:
        """See `Streams`."""
        self._copies.wait_stream(self._torch.cuda.current_stream(self._device))

    def wait_for_copies(self) -> None:
        """See `Streams`."""
        self._done.record(self._copies)
        self._done.synchronize()


class Staging:
    """Buffers for the inputs and outputs of one model, kept from batch to batch.

    Pinning memory takes as long as a small model computes, so there is one buffer for each tensor; it grows to the
    largest batch seen, and batches of every shape are views of it. A large input is copied in chunks: while the device
    fetches one, the next is written.

    Arrays that `fetch` returns are views of these buffers: they hold until the next batch.

    Thread safety: one batch at a time, from one thread.

    Invariants:
        - `send` writes to no buffer before the batch before has been waited for, in `fetch` or, where the model raised
          and there was none, in `send`;
        - no tensor that a stream may still read is given back to the allocator.
    """

    def __init__(self, torch: Any, streams: Streams, chunk_bytes: int = _CHUNK_BYTES) -> None:
        self._torch = torch
        self._streams = streams
        self._chunk_bytes = chunk_bytes
        self._pinned: dict[str, Any] = {}
        self._on_device: dict[str, Any] = {}
        self._under_way = False

    def send(self, inputs: Arrays, names: Sequence[str]) -> list[Any]:
        """Tensors of the device with the named inputs, in this order; what is computed next waits for them.

        Args:
            inputs: arrays of any numeric type, dimension 0 the rows.
            names: which, and in which order.
        """
        if self._under_way:
            self._wait()
        self._under_way = True
        sent = [self._send(f"input {name}", np.ascontiguousarray(inputs[name])) for name in names]
        self._streams.copies_before_computing()
        return sent

    def fetch(self, outputs: Sequence[Any]) -> list[npt.NDArray[Any]]:
        """The tensors of the device as arrays, once they are computed and copied."""
        # Each is kept until its copy is done: its memory must not become another tensor's before.
        contiguous = [tensor.detach().contiguous() for tensor in outputs]
        self._streams.computing_before_copies()  # so that waiting for the copies waits for the computation, too
        fetched = []
        with self._streams.copying():
            for index, tensor in enumerate(contiguous):
                size = tensor.numel() * tensor.element_size()
                pinned = self._room(self._pinned, f"output {index}", size, self._streams.pinned)
                fetched.append(_view(pinned, tensor.dtype, tuple(tensor.shape), size))
                fetched[-1].copy_(tensor, non_blocking=True)
        self._wait()
        return [tensor.numpy() for tensor in fetched]

    def _wait(self) -> None:
        self._streams.computing_before_copies()
        self._streams.wait_for_copies()
        self._under_way = False

    def _send(self, key: str, array: npt.NDArray[Any]) -> Any:
        source = self._torch.from_numpy(array)
        pinned = self._room(self._pinned, key, array.nbytes, self._streams.pinned)
        target = self._room(self._on_device, key, array.nbytes, self._streams.on_device)
        pinned = _view(pinned, source.dtype, array.shape, array.nbytes)
        target = _view(target, source.dtype, array.shape, array.nbytes)
        with self._streams.copying():
            for begin, end in _chunks(array, self._chunk_bytes):
                pinned[begin:end].copy_(source[begin:end])
                target[begin:end].copy_(pinned[begin:end], non_blocking=True)
        return target

    @staticmethod
    def _room(buffers: dict[str, Any], key: str, size: int, make: Callable[[int], Any]) -> Any:
        buffer = buffers.get(key)
        if buffer is None or buffer.numel() < size:
            buffer = buffers[key] = make(max(1, size))
        return buffer


def _view(buffer: Any, dtype: Any, shape: tuple[int, ...], size: int) -> Any:
    return buffer[:size].view(dtype).view(shape)


def _chunks(array: npt.NDArray[Any], chunk_bytes: int) -> list[tuple[int, int]]:
    """Ranges of rows of about so many bytes each."""
    rows = array.shape[0]
    row_bytes = max(1, array.nbytes // max(1, rows))
    step = max(1, math.ceil(chunk_bytes / row_bytes))
    return [(begin, min(begin + step, rows)) for begin in range(0, rows, step)]
