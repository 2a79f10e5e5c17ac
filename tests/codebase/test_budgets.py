"""Keeps files, functions and names small and plain: the budgets of CONTRIBUTING.md."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from codebase.source_tree import ROOT, cpp_sources, package_modules, python_modules

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 7
PYTHON_FOLDERS = ("python/mark", "tests", "bench", "scripts")

# A name that says nothing about its contents; they collect everything.
EMPTY_NAMES = {"base", "common", "handler", "helper", "manager", "misc", "processor", "util"}
# A unit ends its name ("rt_max_ms"), in this spelling; what a rate is measured by may follow ("price_usd_per_hour").
UNITS = {"ms", "ns", "us"}
MISSPELT_UNITS = {"millis", "milliseconds", "msec", "msecs", "sec", "secs", "seconds", "usec", "usecs", "dollars"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def singular(word: str) -> str:
    return word.lower().removesuffix("s")


def functions_of(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def parameters_of(function: Function) -> list[str]:
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]


def size_violations(root: Path) -> list[str]:
    found = []
    for module in python_modules(root, PYTHON_FOLDERS):
        lines = len(module.path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{module.path.relative_to(root)} has {lines} lines")
        for function in functions_of(module.tree):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append(f"{module.path.relative_to(root)}:{function.lineno} {function.name} has {length} lines")
    # The length of a C++ function is clang-tidy's to check.
    for path in cpp_sources(root):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > FILE_LINES_MAX:
            found.append(f"{path.relative_to(root)} has {lines} lines")
    return found


def parameter_violations(root: Path) -> list[str]:
    """Functions of the package with too many; a parameter of a command is an option of the command line."""
    return [
        f"{module.name}:{function.lineno} {function.name} has {len(parameters_of(function))} parameters"
        for module in package_modules(root)
        if not module.name.startswith("mark.cli.")
        for function in functions_of(module.tree)
        if len(parameters_of(function)) > PARAMETERS_MAX
    ]


def empty_names(root: Path) -> list[str]:
    """Files, folders and classes whose name says nothing."""
    paths = {module.path for module in python_modules(root, PYTHON_FOLDERS)} | set(cpp_sources(root))
    named = {part for path in paths for part in path.relative_to(root).with_suffix("").parts}
    found = [name for name in sorted(named) if {singular(word) for word in name.split("_")} & EMPTY_NAMES]
    for module in package_modules(root):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                words = re.findall(r"[A-Z][a-z0-9]*", node.name)
                # gRPC's own word for what answers a method.
                found += [f"{module.name}.{node.name}" for word in words if singular(word) in EMPTY_NAMES - {"handler"}]
    return found


def names_of_values(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Parameters, fields and annotated variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, (ast.Name, ast.Attribute)):
            yield ast.unparse(node.target).rpartition(".")[2], node.lineno


def unit_violations(root: Path) -> list[str]:
    found = []
    for module in package_modules(root):
        for name, line in names_of_values(module.tree):
            words = name.lower().strip("_").split("_")
            inside = [word for word, following in itertools.pairwise(words) if following != "per"]
            if len(words) > 1 and (set(inside) & UNITS or set(words) & MISSPELT_UNITS):
                found.append(f"{module.name}:{line} {name}: the unit comes last, as ns, us, ms or s")
    return found


def test_files_and_functions_stay_small() -> None:
    assert size_violations(ROOT) == []


def test_functions_take_few_parameters() -> None:
    assert parameter_violations(ROOT) == []


def test_names_say_what_is_inside() -> None:
    assert empty_names(ROOT) == []


def test_units_come_last_in_a_name() -> None:
    assert unit_violations(ROOT) == []


def plant(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("path", ["python/mark/part.py", "tests/unit/test_part.py", "csrc/mark/part.cc"])
def test_a_long_file_is_found(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "\n" * FILE_LINES_MAX)
    assert size_violations(tmp_path) == []
    plant(tmp_path, path, "\n" * (FILE_LINES_MAX + 1))
    assert size_violations(tmp_path) == [f"{path} has {FILE_LINES_MAX + 1} lines"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_function_is_found(tmp_path: Path, keyword: str) -> None:
    body = "    x = 1\n" * FUNCTION_LINES_MAX
    plant(tmp_path, "bench/bench_part.py", f"{keyword} long():\n{body}")
    assert size_violations(tmp_path) == [f"bench/bench_part.py:1 long has {FUNCTION_LINES_MAX + 1} lines"]


def test_a_function_with_many_parameters_is_found(tmp_path: Path) -> None:
    names = ", ".join(f"p{number}" for number in range(PARAMETERS_MAX))
    plant(
        tmp_path,
        "python/mark/part.py",
        f"class Part:\n    def ok(self, {names}): ...\n    def many({names}, *, p): ...",
    )
    plant(tmp_path, "python/mark/cli/load.py", f"def load({names}, option): ...")
    assert parameter_violations(tmp_path) == [f"mark.part:3 many has {PARAMETERS_MAX + 1} parameters"]


@pytest.mark.parametrize(
    "path", ["python/mark/utils.py", "csrc/mark/queue_helpers.h", "python/mark/common/part.py", "tests/base.py"]
)
def test_a_file_with_an_empty_name_is_found(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "")
    assert len(empty_names(tmp_path)) == 1


def test_a_class_with_an_empty_name_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "python/mark/part.py", "class Database: ...\nclass FleetManager: ...")
    assert empty_names(tmp_path) == ["mark.part.FleetManager"]


@pytest.mark.parametrize("name", ["ms_timeout", "rt_ms_max", "timeout_seconds", "wait_sec"])
def test_a_unit_out_of_place_is_found(tmp_path: Path, name: str) -> None:
    plant(tmp_path, "python/mark/part.py", f"def wait({name}): ...\n{name}: int = 1")
    assert len(unit_violations(tmp_path)) == 2


def test_a_unit_at_the_end_is_allowed(tmp_path: Path) -> None:
    plant(tmp_path, "python/mark/part.py", "def wait(rt_max_ms, drift_ns_per_s, us, seconds): ...")
    assert unit_violations(tmp_path) == []
