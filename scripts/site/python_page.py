"""The reference of the Python API: what mkdocstrings shall take from the docstrings."""

from __future__ import annotations

__all__ = ["python_page"]

_SECTIONS = {
    "Clients": ("What calls a model.", ("mark.client.sync.Client", "mark.client.aio.AsyncClient")),
    "Errors": ("What a call may raise: the type says what may be done about it.", ("mark.errors",)),
    "Ports": (
        "What mark needs from the world; a cloud or a forecaster of your own implements one.",
        ("mark.ports",),
    ),
    "Values": (
        "What decisions are made of.",
        (
            "mark.domain.slo",
            "mark.domain.signature",
            "mark.domain.offering",
            "mark.domain.profile",
            "mark.domain.fleet",
            "mark.domain.forecast",
            "mark.domain.plan",
        ),
    ),
    "Tests of your own": ("Clouds and clocks that do as they are told.", ("mark.testing.cloud", "mark.testing.clock")),
}


def python_page() -> str:
    """The page in Markdown, with what mkdocstrings replaces."""
    parts = ["# Python\n\n`pip install mark-serve` brings them. This page is made of the docstrings.\n"]
    for title, (words, names) in _SECTIONS.items():
        parts.append(f"## {title}\n\n{words}\n")
        parts += [f"::: {name}\n" for name in names]
    return "\n".join(parts)
