"""What the example file says of each key: its comments are the one place where keys are explained."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["explained_keys"]

# A key of a line, behind the hyphen of a list and, in an example that is commented out, behind the hash.
_KEY = re.compile(r"^(?P<indent> *)(?P<out># *)?(?P<hyphen>- )?(?P<key>\w+):(?: |$)(?P<rest>.*)$")
_CONTINUED = re.compile(r"^ *#(?: {5,}#)? +(?P<words>.*)$")


def explained_keys(example: str) -> dict[str, str]:
    """What is said of each key, by its dotted path, lists left out: `models.slo.rt_max_ms`.

    A key in braces is explained with the one before the brace. Comments run on over lines that have no key.
    """
    explained: dict[str, str] = {}
    parents: list[tuple[int, str]] = []  # column and name
    last = ""
    for line in example.splitlines():
        found = _KEY.match(line)
        if found is None:
            continued = _CONTINUED.match(line)
            if last and continued:
                explained[last] = f"{explained[last]} {continued['words']}".strip()
            continue
        column = len(found["indent"]) + len(found["hyphen"] or "") + max(0, len(found["out"] or "") - len("# "))
        while parents and parents[-1][0] >= column:
            parents.pop()
        parents.append((column, found["key"]))
        last = ".".join(name for _, name in parents)
        value, words = _parted(found["rest"])
        explained.setdefault(last, "")
        explained[last] = explained[last] or words
        for key in _braced(value):
            explained.setdefault(f"{last}.{key}", words)
    return {path: words.replace("...", "…").strip() for path, words in explained.items() if words}


def _parted(rest: str) -> tuple[str, str]:
    value, _, words = f" {rest}".partition(" # ")
    return value.strip(), words.strip()


def _braced(value: str) -> Iterator[str]:
    if value.startswith("{"):
        yield from re.findall(r"[{,] *(\w+):", value)
