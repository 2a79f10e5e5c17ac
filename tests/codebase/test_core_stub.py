"""Keeps python/mark/_core.pyi true: the same public names, members and parameters as the compiled module."""

from __future__ import annotations

import ast
import enum
import inspect
import re
from pathlib import Path

import pytest

import mark
from mark import _core

STUB = ast.parse((Path(mark.__file__).parent / "_core.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
ENUMS = {
    name
    for name, node in CLASSES.items()
    if any(isinstance(parent, ast.Attribute) and parent.attr == "Enum" for parent in node.bases)
}
CONSTANTS = {
    node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}
PLAIN_CLASSES = sorted(set(CLASSES) - ENUMS)


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list)


def members(class_name: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in CLASSES[class_name].body if isinstance(node, ast.FunctionDef)}


def parameters_in_stub(node: ast.FunctionDef) -> list[str]:
    """Names in order, a star before those that are keyword-only."""
    positional = [argument.arg for argument in node.args.args]
    keywords = [argument.arg for argument in node.args.kwonlyargs]
    return positional + (["*", *keywords] if keywords else [])


def parameters_in_docstring(function: object) -> list[str]:
    """The same, out of the signature that pybind11 writes into the first line of the docstring."""
    signature = (inspect.getdoc(function) or "").partition("\n")[0]
    inside = signature[signature.index("(") + 1 : signature.rindex(") -> ")]
    without_brackets = inside
    while (shorter := re.sub(r"\[[^\[\]]*\]|\([^()]*\)", "", without_brackets)) != without_brackets:
        without_brackets = shorter
    return [part.partition(":")[0].strip() for part in without_brackets.split(",") if part.strip()]


def test_the_stub_names_what_the_module_has() -> None:
    compiled = {name for name in vars(_core) if is_public(name)}
    stubbed = set(CLASSES) | set(FUNCTIONS) | CONSTANTS
    assert stubbed == compiled


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_an_enum_has_the_stubs_members(name: str) -> None:
    compiled = getattr(_core, name)
    assert issubclass(compiled, enum.Enum)
    stubbed = [
        target.id
        for node in CLASSES[name].body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert [member.name for member in compiled] == stubbed


@pytest.mark.parametrize("name", PLAIN_CLASSES)
def test_a_class_has_the_stubs_members(name: str) -> None:
    compiled = vars(getattr(_core, name))
    stubbed = members(name)
    assert {member for member in stubbed if is_public(member)} == {member for member in compiled if is_public(member)}
    for member, node in stubbed.items():
        if is_property(node):
            assert isinstance(compiled[member], property), member


@pytest.mark.parametrize("name", PLAIN_CLASSES)
def test_a_method_has_the_stubs_parameters(name: str) -> None:
    for member, node in members(name).items():
        if not is_property(node):
            compiled = getattr(getattr(_core, name), member)
            assert parameters_in_docstring(compiled) == parameters_in_stub(node), member


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_function_has_the_stubs_parameters(name: str) -> None:
    assert parameters_in_docstring(getattr(_core, name)) == parameters_in_stub(FUNCTIONS[name])
