"""Client tokens: the same request twice is done once."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable

from mark.testing.aws.wire import Answer, AwsError, Call

__all__ = ["Tokens"]

_WITH_TOKENS = frozenset({"ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"})


class Tokens:
    """Remembers the answers to requests that carry a token. Failed requests are not remembered.

    Thread safety: every method may be called from any thread; requests of one token go one after another.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_token: defaultdict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._answers: dict[tuple[str, str], tuple[str, Answer]] = {}

    def once(self, call: Call, do: Callable[[], Answer]) -> Answer:
        """The answer of the first time, or of `do`.

        Raises:
            AwsError: the token was used with other parameters.
        """
        token = call.params.get("ClientToken")
        if not token or call.name not in _WITH_TOKENS or call.params.get("DryRun"):
            return do()
        key = (call.operation, token)
        asked = json.dumps(call.params, sort_keys=True, default=str)
        with self._lock:
            turn = self._of_token[key]
        with turn:
            if key in self._answers:
                before, answer = self._answers[key]
                if before != asked:
                    message = "Arguments on this idempotent request are inconsistent with arguments used previously"
                    raise AwsError("IdempotentParameterMismatch", message)
                return answer
            answer = do()
            if answer.ok:
                self._answers[key] = (asked, answer)
            return answer
