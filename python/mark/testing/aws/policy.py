"""Whether an IAM policy allows an action on a resource: as much of IAM's language as a least-privilege policy needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Action", "Policy", "context_key"]

Context = Mapping[str, Sequence[str]]
"""Condition key, lower case up to the first "/" -> its values; a key without a value is missing."""


@dataclass(frozen=True)
class Action:
    """One thing that a call does to one resource.

    Attributes:
        name: such as "ec2:RunInstances".
        resource: its ARN; "*" for an action that has none.
        context: what conditions may ask for.
    """

    name: str
    resource: str
    context: Context


def _like(value: str, pattern: str) -> bool:
    # fnmatch knows "[", which is only itself in IAM.
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericEquals": lambda value, wanted: float(value) == float(wanted),
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}
_ELEMENTS = frozenset({"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"})


class Policy:
    """A policy document.

    Thread safety: immutable.

    Raises:
        ValueError: the document has an element that this does not know; nothing is silently allowed.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._statements: list[Mapping[str, Any]] = _listed(document.get("Statement", []))
        for statement in self._statements:
            _check(statement)

    def allows(self, action: Action) -> bool:
        """Whether a statement allows it and none denies it."""
        effects = {statement["Effect"] for statement in self._statements if _applies(statement, action)}
        return "Allow" in effects and "Deny" not in effects


def _check(statement: Mapping[str, Any]) -> None:
    if unknown := set(statement) - _ELEMENTS:
        raise ValueError(f"a statement has {', '.join(sorted(unknown))}, which the fake does not know")
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise ValueError(f"a statement's Effect is {statement.get('Effect')!r}, neither Allow nor Deny")
    if not ("Action" in statement) ^ ("NotAction" in statement):
        raise ValueError("a statement needs one of Action and NotAction")
    if not ("Resource" in statement) ^ ("NotResource" in statement):
        raise ValueError("a statement needs one of Resource and NotResource")
    if "${" in str(statement):
        raise ValueError("a statement has a policy variable, which the fake does not know")
    for operator in statement.get("Condition", {}):
        plain = operator.rpartition(":")[2].removesuffix("IfExists")
        if plain not in _OPERATORS and plain not in _NEGATED and plain != "Null":
            raise ValueError(f"a condition has the operator {operator}, which the fake does not know")


def _applies(statement: Mapping[str, Any], action: Action) -> bool:
    if "Action" in statement:
        named = _any_like(action.name.lower(), statement["Action"], lower=True)
    else:
        named = not _any_like(action.name.lower(), statement["NotAction"], lower=True)
    if "Resource" in statement:
        meant = _any_like(action.resource, statement["Resource"])
    else:
        meant = not _any_like(action.resource, statement["NotResource"])
    conditions: Mapping[str, Mapping[str, Any]] = statement.get("Condition", {})
    return (
        named
        and meant
        and all(
            _holds(operator, action.context.get(context_key(key), ()), [str(each) for each in _listed(wanted)])
            for operator, keys in conditions.items()
            for key, wanted in keys.items()
        )
    )


def _holds(operator: str, values: Sequence[str], wanted: Sequence[str]) -> bool:
    quantifier, _, name = operator.rpartition(":")
    plain = name.removesuffix("IfExists")
    if plain == "Null":
        return (not values) == (wanted[0].lower() == "true")
    if not values:
        return name.endswith("IfExists") or quantifier == "ForAllValues" or plain in _NEGATED
    negated = plain in _NEGATED
    matches = _OPERATORS[_NEGATED.get(plain, plain)]
    found = [any(matches(value, each) for each in wanted) is not negated for value in values]
    return any(found) if quantifier == "ForAnyValue" else all(found)


def context_key(key: str) -> str:
    """Names of keys are the same in any case; names of tags are not."""
    name, slash, tag = key.partition("/")
    return f"{name.lower()}{slash}{tag}"


def _any_like(value: str, patterns: Any, lower: bool = False) -> bool:
    return any(_like(value, pattern.lower() if lower else pattern) for pattern in _listed(patterns))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
