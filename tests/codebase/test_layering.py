"""Keeps the dependency direction: a package imports only from its left, whatever the place of the import."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from codebase.source_tree import ROOT, PythonModule, cpp_sources, package_modules

# From left to right; packages of one entry never import each other. docs/architecture.md draws the same line.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("_core",),
    ("domain",),
    ("protocol",),
    ("tracing",),
    ("ports",),
    ("policies",),
    ("controlplane",),
    ("forecast", "workload", "cloud", "live", "worker", "sim", "testing", "client", "report", "observability"),
    ("config",),
    ("app",),
    ("demo",),
    ("cli",),
    ("__main__", "lambda_entry"),
)
RANKS = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}
SIDEWAYS = {("workload", "client")}  # a load generator is a client
FACADE = {"client"}  # what `import mark` itself offers
VERSION = "__version__"

# Decisions are passive: these learn the time from an argument and the world from values.
PASSIVE = {"errors", "domain", "ports", "policies", "controlplane", "forecast"}
ACTIVE_MODULES = {"asyncio", "concurrent", "datetime", "grpc", "socket", "subprocess", "threading", "time"}

# Only these choose an implementation of a port.
CONSTRUCTORS = {"app", "demo", "cli"}


def package_of(module: str) -> str:
    """The part of `mark` that a module lies in; empty for `mark` itself."""
    return module.split(".")[1] if "." in module else ""


def imports_of(module: PythonModule) -> Iterator[tuple[str, int]]:
    """Dotted names that a module imports, and where; inside functions and TYPE_CHECKING too."""
    package = module.name.split(".") if module.path.name == "__init__.py" else module.name.split(".")[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            left = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            source = ".".join(part for part in (left, node.module) if part)
            # `from mark import app` imports a part; `from mark.app import serve` a name of one.
            names = [f"{source}.{alias.name}" for alias in node.names] if source == "mark" else [source]
            yield from ((name, node.lineno) for name in names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"importlib.import_module", "import_module"}:
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield named.value, node.lineno


def may_import(importer: str, imported: str) -> bool:
    if imported in {importer, VERSION}:
        return True
    if importer == "":
        return imported in FACADE
    if imported not in RANKS:
        return False
    return RANKS[imported] < RANKS[importer] or (importer, imported) in SIDEWAYS


def layering_violations(root: Path) -> list[str]:
    found = []
    for module in package_modules(root):
        importer = package_of(module.name)
        if importer and importer not in RANKS:
            found.append(f"{module.name} lies in no layer")
            continue
        for name, line in imports_of(module):
            imported = package_of(name)
            if name.split(".")[0] == "mark" and imported and not may_import(importer, imported):
                found.append(f"{module.name}:{line} imports {name}, which is not to its left")
            if importer in PASSIVE and name.split(".")[0] in ACTIVE_MODULES:
                found.append(f"{module.name}:{line} imports {name}; a decision is told, it does not look")
    return found


# Packages that need not be installed, and the only part of mark that imports them.
EXTRAS = {
    "boto3": "mark.cloud.aws",
    "botocore": "mark.cloud.aws",
    "moto": "mark.testing.aws",
    "opentelemetry": "mark.tracing",
}


def extra_violations(root: Path) -> list[str]:
    return [
        f"{module.name}:{line} imports {name}; only {home} does"
        for module in package_modules(root)
        for name, line in imports_of(module)
        for home in [EXTRAS.get(name.split(".")[0])]
        if home is not None and not f"{module.name}.".startswith(f"{home}.")
    ]


def methods_of(node: ast.ClassDef) -> set[str]:
    return {item.name for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}


def construction_violations(root: Path) -> list[str]:
    """Calls of a class that implements a port, from where none may be chosen."""
    modules = package_modules(root)
    ports = [
        methods_of(node)
        for module in modules
        if module.name == "mark.ports"
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    ]
    concrete = {
        node.name
        for module in modules
        if module.name != "mark.ports"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and any(port <= methods_of(node) for port in ports)
    }
    return [
        f"{module.name}:{node.lineno} constructs {ast.unparse(node.func)}; only app does"
        for module in modules
        if package_of(module.name) not in CONSTRUCTORS
        and module.path.name != "__main__.py"  # of a program of its own, which chooses itself
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in concrete
    ]


# Folder of csrc -> what its files must not say. The policy core builds without Python, sockets, threads or clocks.
PYTHON = r'#include [<"](Python\.h|pybind11/|bindings/)'
CPP_FORBIDDEN: dict[str, tuple[str, ...]] = {
    "mark": (
        PYTHON,
        r'#include [<"](net/|sys/|netinet/|arpa/|unistd\.h|poll\.h|fcntl\.h)',
        r"#include <(thread|future|ctime|time\.h|pthread\.h)>",
        r"\b(steady|system|high_resolution)_clock\b",
    ),
    "net": (PYTHON,),
    "tests": (PYTHON,),
    "bench": (PYTHON,),
    "bindings": (),
}
LOCKS = r"#include <(mutex|shared_mutex|condition_variable|atomic|semaphore)>"
LOCKING_FILES = {"mutex.h", "concurrent_dispatcher.h", "concurrent_dispatcher.cc"}


def cpp_violations(root: Path) -> list[str]:
    found = []
    for path in cpp_sources(root):
        folder = path.relative_to(root / "csrc").parts[0]
        forbidden = CPP_FORBIDDEN.get(folder)
        if forbidden is None:
            found.append(f"{path.relative_to(root)} lies in no layer")
            continue
        if folder == "mark" and path.name not in LOCKING_FILES:
            forbidden = (*forbidden, LOCKS)
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        found += [
            f"{path.relative_to(root)} says {match[0]}" for pattern in forbidden for match in re.finditer(pattern, code)
        ]
    return found


def test_every_package_imports_only_from_its_left() -> None:
    assert layering_violations(ROOT) == []


def test_extras_are_imported_only_where_they_belong(tmp_path: Path) -> None:
    assert extra_violations(ROOT) == []
    plant(tmp_path, "python/mark/app/late.py", "def late():\n    import boto3.session")
    assert len(extra_violations(tmp_path)) == 1


def test_only_app_chooses_implementations_of_ports() -> None:
    assert construction_violations(ROOT) == []


def test_the_cpp_core_knows_neither_python_nor_sockets_nor_clocks() -> None:
    assert cpp_sources()
    assert cpp_violations(ROOT) == []


def plant(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("domain/slo.py", "import mark.ports"),
        ("domain/slo.py", "from mark.ports import Clock"),
        ("domain/slo.py", "from mark import ports"),
        ("domain/slo.py", "from .. import ports"),
        ("domain/slo.py", "from ..ports import Clock"),
        ("domain/__init__.py", "from ..ports import Clock"),
        ("live/server.py", "def late():\n    from mark.cloud import local"),
        ("cloud/local.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import mark.live.server"),
        ("client/sync.py", "from mark.workload import report"),
        ("worker/main.py", "import importlib\nimportlib.import_module('mark.app')"),
        ("errors.py", "from mark import Client"),
        ("__init__.py", "from mark import app"),
        ("policies/late.py", "import time"),
        ("controlplane/late.py", "from datetime import datetime"),
        ("surprise/part.py", ""),
    ],
)
def test_an_import_from_the_right_is_found(tmp_path: Path, module: str, text: str) -> None:
    plant(tmp_path, f"python/mark/{module}", text)
    assert len(layering_violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("workload/open_loop.py", "from mark.client import AsyncClient"),
        ("live/server.py", "import time\nfrom mark import __version__, _core\nfrom . import recorder"),
        ("__init__.py", "from mark.client import Client"),
        ("cli/demo.py", "from mark.app import serve"),
    ],
)
def test_an_import_from_the_left_is_allowed(tmp_path: Path, module: str, text: str) -> None:
    plant(tmp_path, f"python/mark/{module}", text)
    assert layering_violations(tmp_path) == []


def test_a_clock_made_outside_app_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "python/mark/ports.py", "class Clock:\n    def now_ns(self): ...")
    plant(tmp_path, "python/mark/live/clock.py", "class WallClock:\n    def now_ns(self): ...")
    plant(tmp_path, "python/mark/live/server.py", "from mark.live import clock\nnow = clock.WallClock().now_ns()")
    plant(tmp_path, "python/mark/app.py", "from mark.live.clock import WallClock\nwall = WallClock()")
    assert construction_violations(tmp_path) == ["mark.live.server:2 constructs clock.WallClock; only app does"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("mark/queue.h", "#include <Python.h>"),
        ("mark/queue.h", '#include "net/wire.h"'),
        ("mark/queue.cc", "#include <thread>"),
        ("mark/queue.cc", "#include <mutex>"),
        ("mark/queue.cc", "auto now = std::chrono::steady_clock::now();"),
        ("net/wire.cc", "#include <pybind11/pybind11.h>"),
        ("net/wire.cc", '#include "bindings/bindings.h"'),
        ("surprise/part.cc", ""),
    ],
)
def test_a_cpp_file_that_looks_right_is_found(tmp_path: Path, source: str, text: str) -> None:
    plant(tmp_path, f"csrc/{source}", text)
    assert len(cpp_violations(tmp_path)) == 1


def test_cpp_comments_and_the_concurrent_dispatcher_are_allowed(tmp_path: Path) -> None:
    plant(tmp_path, "csrc/mark/queue.h", "// unlike std::chrono::steady_clock, it has no now()")
    plant(tmp_path, "csrc/mark/concurrent_dispatcher.h", "#include <mutex>")
    plant(tmp_path, "csrc/bindings/module.cc", "#include <pybind11/pybind11.h>")
    assert cpp_violations(tmp_path) == []
