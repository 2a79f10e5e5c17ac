"""Buying machines: written down first, asked of EC2 with a token, and forgotten once EC2 shows what was bought."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from mark.cloud.aws.errors import CAPACITY_CODES, QUOTA_CODES, THROTTLE_CODES, code_of, translated
from mark.cloud.aws.intents import Intent, Intents
from mark.cloud.aws.launching import Bought, Order, launch_request, read_answer
from mark.cloud.aws.lease import Lease
from mark.cloud.aws.session import Client
from mark.domain.offering import Market
from mark.errors import CloudError

__all__ = ["Buying", "Purchase"]

_log = logging.getLogger(__name__)

_TOKENS_LAST_S = 12 * 3600.0  # EC2 keeps them for a day; what is older would buy anew


@dataclass(frozen=True, slots=True)
class Purchase:
    """One call that EC2 answered."""

    intent: Intent
    bought: Bought

    @property
    def by_token(self) -> dict[str, str]:
        """Launch token -> machine, for as many as were bought."""
        return dict(zip(self.intent.tokens, sorted(self.bought.instances), strict=False))


class Buying:
    """Makes the calls that buy, so that none is made twice and none is forgotten.

    A call whose answer was lost stays written down and is made again, with the same parameters and token, until EC2
    answers: by `settle`, or by the router that comes next.

    Thread safety: every method may be called from any thread.

    Invariant: an intent is in S3 from before EC2 is asked until EC2 has refused all of it, or lists what it bought.
    """

    def __init__(self, client: Callable[[], Client], lease: Lease, intents: Intents) -> None:
        """Nothing is bought yet."""
        self._client = client
        self._lease = lease
        self._intents = intents
        self._lock = threading.Lock()
        self._unanswered: dict[str, Intent] = {}  # key ->
        self._asking: set[str] = set()  # keys of those that EC2 is being asked for
        self._unlisted: dict[str, tuple[Intent, set[str]]] = {}  # key -> and the machines that are not listed yet
        self._settled: dict[str, Intent] = {}  # their note is to be deleted

    def recover(self, is_wanted: Callable[[Intent], bool]) -> None:
        """Read what earlier routers began and did not finish.

        Args:
            is_wanted: whether the configuration still has its offering and model. One that is not wanted is not asked
                again; if it has bought, that is an orphan, which its tags tell.

        Raises:
            CloudError: S3 does not say.
        """
        for intent in self._intents.open_ones():
            kept = self._unanswered if _is_fresh(intent) and is_wanted(intent) else self._settled
            kept[intent.key] = intent

    def buy(self, order: Order) -> Purchase:
        """Buy what an order wants; EC2 may have less.

        Raises:
            CloudError: nothing was bought, or nobody knows: then it is asked again with the same token.
        """
        with self._lock:
            same = next((each for each in self._unanswered.values() if set(order.tokens) & set(each.tokens)), None)
        if same is not None:
            return self._send(same)
        operation, request = launch_request(order)
        intent = Intent(operation, request, order.offering, order.model, order.tokens, time.time(), self._lease.fencing)
        self._lease.check()
        self._intents.put(intent)
        return self._send(intent)

    def settle(self) -> list[Purchase]:
        """Ask again what was not answered, and delete the notes of what is settled; what was bought is returned."""
        with self._lock:
            waiting = [each for key, each in self._unanswered.items() if key not in self._asking]
            unanswered = [each for each in waiting if _is_fresh(each)]
            for stale in [each for each in waiting if not _is_fresh(each)]:
                self._settled[stale.key] = self._unanswered.pop(stale.key)
            settled = list(self._settled.values())
        for intent in settled:
            self._drop(intent)
        found = []
        for intent in unanswered:
            try:
                found.append(self._send(intent))
            except CloudError as error:
                _log.warning("a launch of %s that was begun: %s", intent.offering, error)
        return found

    def listed(self, machines: Iterable[str]) -> None:
        """EC2 lists these machines, so that what bought them need not be remembered."""
        shown = set(machines)
        done = []
        with self._lock:
            for key, (intent, missing) in list(self._unlisted.items()):
                missing.difference_update(shown)
                if not missing:
                    del self._unlisted[key]
                    done.append(intent)
        for intent in done:
            self._drop(intent)

    def _send(self, intent: Intent) -> Purchase:
        with self._lock:
            self._unanswered[intent.key] = intent
            self._asking.add(intent.key)
        try:
            return self._ask(intent)
        finally:
            with self._lock:
                self._asking.discard(intent.key)

    def _ask(self, intent: Intent) -> Purchase:
        self._lease.check()
        what = f"launching {len(intent.tokens)} of {intent.offering}"
        try:
            answer = getattr(self._client(), intent.operation)(**intent.request)
        except Exception as error:
            if self._is_refusal(error):
                self._forget(intent)
            raise translated(error, what) from error
        bought = read_answer(intent.operation, answer, _market_of(intent))
        if bought.instances:
            with self._lock:
                self._unanswered.pop(intent.key, None)
                self._unlisted[intent.key] = (intent, set(bought.instances))
        else:
            self._forget(intent)
        return Purchase(intent, bought)

    @staticmethod
    def _is_refusal(error: Exception) -> bool:
        """Whether EC2 has said no. A server error or a lost connection may have bought."""
        if not isinstance(error, ClientError):
            return False
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status < 500 or code_of(error) in THROTTLE_CODES | CAPACITY_CODES | QUOTA_CODES

    def _forget(self, intent: Intent) -> None:
        with self._lock:
            self._unanswered.pop(intent.key, None)
        self._drop(intent)

    def _drop(self, intent: Intent) -> None:
        try:
            self._intents.drop(intent)
        except CloudError as error:
            _log.warning("%s", error)
            with self._lock:
                self._settled[intent.key] = intent
        else:
            with self._lock:
                self._settled.pop(intent.key, None)


def _is_fresh(intent: Intent) -> bool:
    """Whether EC2 still knows its token; what it bought and never told of is found by its tags."""
    return time.time() - intent.began_at_s <= _TOKENS_LAST_S


def _market_of(intent: Intent) -> Market:
    request = intent.request
    kind = request.get("TargetCapacitySpecification", {}).get("DefaultTargetCapacityType", "")
    is_spot = kind == "spot" or request.get("InstanceMarketOptions", {}).get("MarketType") == "spot"
    return Market.SPOT if is_spot else Market.ON_DEMAND
