"""The connection to one worker: batches out, answers in, over the Open Inference Protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from mark._core import PROBE_TIMEOUT_NS, ProbePauses
from mark.domain.tls import TlsIdentity
from mark.errors import CloudError
from mark.protocol import messages
from mark.protocol.statuses import LINK_CODES
from mark.protocol.tls import channel_credentials, channel_options

__all__ = ["LinkFailed", "ModelRaised", "WorkerLink", "log_finding"]

_log = logging.getLogger(__name__)

_NO_HEADERS: Mapping[str, str] = {}
_REPLACED_S = 60.0  # what is in flight on a channel whose certificate was replaced may end in so long

# Batches may be larger than one client's message: the bound is the queue's, not gRPC's.
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class LinkFailed(Exception):
    """The worker did not answer: it is gone, hangs, or refuses to work."""

    def __init__(self, message: str, *, hung: bool = False) -> None:
        super().__init__(message)
        self.hung = hung  # it took the batch and did not answer in time


class ModelRaised(Exception):
    """The worker answered that its model failed on the batch."""


def log_finding(address: str, finding: str) -> None:
    """Tell what a worker says when it is asked whether it is ready, and did not say before."""
    # That a worker which was just launched does not answer yet is nothing to tell anybody.
    level = logging.DEBUG if address.startswith("unix:") or finding == "ready" else logging.WARNING
    _log.log(level, "worker %s: %s", address, finding)


class WorkerLink:
    """A channel to one worker, ours or any server of the Open Inference Protocol.

    With `tls`, the channel is made when the worker is asked whether it is ready, and made again when it is asked after
    the identity was replaced; a connection that stands is left alone.

    Thread safety: belongs to one event loop; `tls` is called on threads.
    """

    def __init__(self, address: str, model: str, version: str, tls: Callable[[], TlsIdentity] | None = None) -> None:
        self.address = address
        self.last_probe = "not asked yet"  # why it is not ready, in words
        self._ready_request = messages.ModelReadyRequest(name=model, version=version).SerializeToString()
        self._tls = tls
        self._identity: TlsIdentity | None = None
        self._replaced: dict[asyncio.Task[None], grpc.aio.Channel] = {}
        self._channel: grpc.aio.Channel | None = None
        if tls is None:
            self._use(grpc.aio.insecure_channel(address, options=_OPTIONS))

    def _use(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._infer = channel.unary_unary(messages.MODEL_INFER)
        self._model_ready = channel.unary_unary(messages.MODEL_READY)

    async def send(self, batch: bytes, timeout_s: float, headers: Mapping[str, str] = _NO_HEADERS) -> bytes:
        """Send one ModelInferRequest, with headers of its own, and return the ModelInferResponse.

        Raises:
            LinkFailed: no answer, for a reason that is not the batch's.
            ModelRaised: the worker refused this batch, or its model failed on it.
        """
        if self._channel is None:
            raise LinkFailed(f"worker {self.address}: {self.last_probe}")
        try:
            metadata = tuple(headers.items()) or None
            return cast(bytes, await self._infer(batch, timeout=timeout_s, metadata=metadata))
        except grpc.aio.AioRpcError as error:
            words = f"{error.code().name}: {error.details()}"
            if error.code() in LINK_CODES:
                hung = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                raise LinkFailed(f"worker {self.address}: {words}", hung=hung) from error
            raise ModelRaised(error.details() or words) from error

    async def wait_ready(self) -> None:
        """Return once the worker says that it serves the model; ask again, with growing pauses, until then."""
        pauses = ProbePauses()
        while True:
            if await self._is_ready():
                return
            await asyncio.sleep(pauses.next_ns() / 1e9)

    async def _is_ready(self) -> bool:
        try:
            await self._secure()
            answer = await self._model_ready(self._ready_request, timeout=PROBE_TIMEOUT_NS / 1e9)
            is_ready = bool(messages.ModelReadyResponse.FromString(answer).ready)
            self._probed("ready" if is_ready else "it answers that it is not ready")
        except grpc.aio.AioRpcError as error:
            self._probed(f"{error.code().name}: {error.details()}")
            return False
        except CloudError as error:
            self._probed(f"no certificate to show to it: {error}")
            return False
        except DecodeError:
            self._probed("its answer is not of the Open Inference Protocol")
            return False
        return is_ready

    async def _secure(self) -> None:
        """Make the channel, or another one when the identity was replaced since."""
        if self._tls is None:
            return
        identity = await asyncio.to_thread(self._tls)
        if identity == self._identity:
            return
        replaced, self._identity = self._channel, identity
        options = [*_OPTIONS, *channel_options(identity)]
        self._use(grpc.aio.secure_channel(self.address, channel_credentials(identity), options=options))
        if replaced is not None:
            # Not at once: that would cancel who waits for a batch, instead of failing it.
            task = asyncio.get_running_loop().create_task(replaced.close(_REPLACED_S))
            self._replaced[task] = replaced
            task.add_done_callback(lambda done: self._replaced.pop(done, None))

    def _probed(self, finding: str) -> None:
        if finding != self.last_probe:
            log_finding(self.address, finding)
        self.last_probe = finding

    async def close(self) -> None:
        """Close the channel; calls in flight fail."""
        replaced = dict(self._replaced)
        for task in replaced:
            task.cancel()
        await asyncio.gather(*replaced, return_exceptions=True)
        for channel in (*replaced.values(), self._channel):
            if channel is not None:
                await channel.close()

    async def __aenter__(self) -> WorkerLink:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
