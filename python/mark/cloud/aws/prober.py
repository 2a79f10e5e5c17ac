"""Asks workers that boot whether they answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from mark.domain.tls import TlsIdentity
from mark.protocol import messages
from mark.protocol.tls import channel_credentials, channel_options

__all__ = ["Prober"]

_log = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S = 2.0


class Prober:
    """Keeps one question open to each of the workers that it is told of.

    Thread safety: `ask` and `close` from one thread at a time; answers are called back from gRPC's threads.

    Invariant: `_channels` holds those that were asked about last, and `_asking` those whose answer is awaited.
    """

    def __init__(self, identity: Callable[[], TlsIdentity | None], on_ready: Callable[[str, str], None]) -> None:
        """Ask nobody yet.

        Args:
            identity: what this end shows and whom it trusts; None for connections that are not encrypted.
            on_ready: told the key and the address of a worker that answers that it is ready.
        """
        self._identity = identity
        self._on_ready = on_ready
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, str], grpc.Channel] = {}
        self._asking: set[tuple[str, str]] = set()

    def ask(self, targets: Mapping[str, str]) -> None:
        """Ask each of them, key -> address, unless its answer is still awaited; forget the others. Does not wait."""
        wanted = set(targets.items())
        for target in [each for each in self._channels if each not in wanted]:
            self._channels.pop(target).close()
        identity = self._identity() if wanted - self._channels.keys() else None
        for target in wanted:
            if target not in self._channels:
                self._channels[target] = self._channel(target[1], identity)
            with self._lock:
                if target in self._asking:
                    continue
                self._asking.add(target)
            question = self._channels[target].unary_unary(messages.SERVER_READY).future(b"", timeout=_ANSWER_TIMEOUT_S)
            question.add_done_callback(lambda answer, target=target: self._answered(target, answer))

    def close(self) -> None:
        """Ask nobody any more."""
        self.ask({})

    @staticmethod
    def _channel(address: str, identity: TlsIdentity | None) -> grpc.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if identity is None:
            return grpc.insecure_channel(address, options=[*options, ("grpc.enable_http_proxy", 0)])
        return grpc.secure_channel(
            address, channel_credentials(identity), options=[*options, *channel_options(identity)]
        )

    def _answered(self, target: tuple[str, str], answer: grpc.Future) -> None:
        with self._lock:
            self._asking.discard(target)
        try:
            ready = bool(messages.ServerReadyResponse.FromString(answer.result()).ready)
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            _log.debug("%s at %s does not answer yet: %s", *target, error)
            return
        if ready:
            self._on_ready(*target)
