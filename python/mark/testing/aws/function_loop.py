"""Runs in the process of a function: loads its handler, then answers one event after another.

Lines of JSON come on the standard input and go to the file descriptor that the second argument names; what the function
prints goes to its log. Imports nothing of mark: its only packages are the function's own.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

__all__ = ["main"]


class Context:
    """What a handler is told about its call.

    Attributes:
        aws_request_id: of the call.
        function_name: as it was created.
        memory_limit_in_mb: as it was created.
    """

    def __init__(self, request_id: str) -> None:
        self.aws_request_id = request_id
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.memory_limit_in_mb = int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"])


def main() -> None:
    """Answer until the standard input ends."""
    handler_name, answers_fd = sys.argv[1:3]
    with os.fdopen(int(answers_fd), "w", encoding="utf-8") as answers:

        def say(message: dict[str, Any]) -> None:
            answers.write(json.dumps(message) + "\n")
            answers.flush()

        module, _, name = handler_name.rpartition(".")
        try:
            handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the function's answer
            say({"failed": _told(error)})
            return
        say({"ready": True})
        for line in sys.stdin:
            request = json.loads(line)
            try:
                answer: dict[str, Any] = {"payload": json.dumps(handler(request["event"], Context(request["id"])))}
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the function's answer
                answer = {"failed": _told(error)}
            say(answer)


def _told(error: Exception) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


if __name__ == "__main__":
    # The folder of this file would shadow packages of the function's.
    del sys.path[0]
    main()
