"""Every module says what it offers: a sorted `__all__` whose names exist and are the ones that others import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from codebase.source_tree import ROOT, PythonModule, package_modules


def is_docstring_only(module: PythonModule) -> bool:
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in module.tree.body)


def exports_of(module: PythonModule) -> list[str] | None:
    """The literal `__all__`; None when there is none."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            exported: list[str] = ast.literal_eval(node.value)
            return exported
    return None


def bound_names(body: list[ast.stmt]) -> Iterator[str]:
    """Names that a module binds, under `if` and `try` too: a name may be imported for type checkers only."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign):
            yield from (name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, (ast.If, ast.Try)):
            yield from bound_names(node.body + node.orelse)


def isort_order(name: str) -> tuple[int, str]:
    """CONSTANTS, Classes, then the rest: the order that ruff sorts into."""
    if name.isupper():
        return (0, name)
    return (1 if name.lstrip("_")[:1].isupper() else 2, name)


def export_violations(root: Path) -> list[str]:
    found = []
    for module in package_modules(root):
        if module.path.name == "__main__.py" or is_docstring_only(module):
            continue
        exported = exports_of(module)
        if exported is None:
            found.append(f"{module.name} has no __all__")
            continue
        if exported != sorted(set(exported), key=isort_order):
            found.append(f"{module.name}: __all__ is not sorted or names something twice")
        missing = sorted(set(exported) - set(bound_names(module.tree.body)))
        if missing:
            found.append(f"{module.name}: __all__ names {', '.join(missing)}, which it does not define")
    return found


def private_uses(root: Path) -> list[str]:
    """Names that a package takes from another one's module although that does not offer them."""
    modules = package_modules(root)
    offered = {module.name: exports_of(module) for module in modules}
    return [
        f"{module.name} takes {alias.name} from {node.module}, which does not offer it"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module in offered
        for alias in node.names
        if alias.name not in (offered[node.module] or ())
        and f"{node.module}.{alias.name}" not in offered
        and node.module.split(".")[:2] != module.name.split(".")[:2]
        and f"{node.module}.{alias.name}" != "mark._core"
    ]


def test_every_module_offers_a_sorted_all() -> None:
    assert package_modules()
    assert export_violations(ROOT) == []


def test_packages_take_only_what_others_offer() -> None:
    assert private_uses(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "__all__ = ['b', 'a']\na = b = 1",
        "__all__ = ['a', 'a']\na = 1",
        "__all__ = ['lower', 'Upper']\nlower = Upper = 1",
        "__all__ = ['missing']",
    ],
)
def test_a_bad_all_is_found(tmp_path: Path, text: str) -> None:
    (tmp_path / "python/mark").mkdir(parents=True)
    (tmp_path / "python/mark/part.py").write_text(text, encoding="utf-8")
    assert len(export_violations(tmp_path)) == 1


def test_a_good_all_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "python/mark").mkdir(parents=True)
    (tmp_path / "python/mark/__init__.py").write_text('"""Only words."""', encoding="utf-8")
    text = "__all__ = ['RATE', 'Late', 'early']\nRATE: int = 1\nif RATE:\n    from x import Late\ndef early(): ..."
    (tmp_path / "python/mark/part.py").write_text(text, encoding="utf-8")
    assert export_violations(tmp_path) == []


def test_the_use_of_a_name_that_is_not_offered_is_found(tmp_path: Path) -> None:
    for path, text in {
        "domain/slo.py": "__all__ = ['Slo']\nclass Slo: ...\ndef inner(): ...",
        "domain/plan.py": "from mark.domain.slo import inner",
        "ports.py": "from mark.domain import slo\nfrom mark.domain.slo import Slo, inner",
    }.items():
        (tmp_path / "python/mark/domain").mkdir(parents=True, exist_ok=True)
        (tmp_path / "python/mark/domain/__init__.py").write_text("", encoding="utf-8")
        (tmp_path / "python/mark" / path).write_text(text, encoding="utf-8")
    assert private_uses(tmp_path) == ["mark.ports takes inner from mark.domain.slo, which does not offer it"]
