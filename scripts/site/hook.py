"""What the site has beside the pages of docs/: the reference, made of the program, and all decisions in order.

MkDocs calls the functions by their names; see mkdocs.yml.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from command_page import command_page
from configuration_page import configuration_page
from metrics_page import metrics_page
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from picture import inlined, picture_colours
from python_page import python_page

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "digits.yaml"
# Sections of the navigation that show whatever is in a folder.
_WHOLE_FOLDERS = {"How to": "how-to/", "Decisions": "decisions/"}
_TEMPLATE = "decisions/0000-template.md"
_LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated, and list the decisions."""
    generated = {
        "reference/configuration.md": configuration_page(EXAMPLE),
        "reference/commands.md": command_page(),
        "reference/metrics.md": metrics_page(),
        "reference/python.md": python_page(),
        "site.css": picture_colours(),
    }
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    for section in config.nav or []:
        if isinstance(section, dict):
            for title, folder in _WHOLE_FOLDERS.items():
                if title in section:
                    section[title] += sorted(_pages_below(folder, files) - set(section[title]))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to the example to the reference that explains it, and those to the folder of decisions to the first.

    Both are what a reader of the repository wants to follow, too.
    """
    here = posixpath.dirname(page.file.src_uri)
    targets = {
        "../examples/digits.yaml": "reference/configuration.md",
        "decisions": min(_pages_below("decisions/", files)),
    }

    def led(found: re.Match[str]) -> str:
        target = targets.get(posixpath.normpath(posixpath.join(here, found[1])))
        return found[0] if target is None else f"]({posixpath.relpath(target, here or '.')}{found[2] or ''})"

    return _LINK.sub(led, markdown)


def _pages_below(folder: str, files: Files) -> set[str]:
    return {file.src_uri for file in files if file.src_uri.startswith(folder)} - {_TEMPLATE}


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put pictures into the page, so that they follow its colours."""
    return inlined(html, ROOT / "docs" / "pictures")
