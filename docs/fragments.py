"""The directive ``changelog``: what ``CHANGELOG.md`` and the files in ``changelog/`` say, as part of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parent.parent

#: The second part of a file's name, and the heading under which it stands, in that order.
KINDS = {"security": "Security", "feature": "New", "bugfix": "Fixed"}

_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


class Changelog(SphinxDirective):
    """Takes no arguments."""

    def run(self) -> list[nodes.Node]:
        """What the two places say, unreleased changes first."""
        lines = [*_unreleased(), *_released((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))]
        return self.parse_text_to_nodes(StringList(lines, source="changelog"))


def _unreleased() -> Iterator[str]:
    for kind, heading in KINDS.items():
        files = sorted((ROOT / "changelog").glob(f"*.{kind}.md"))
        if files:
            yield from ("", f".. rubric:: {heading}", "")
        for file in files:
            sentence = " ".join(file.read_text(encoding="utf-8").split())
            yield f"- {_as_rst(sentence)}"


def _released(text: str) -> Iterator[str]:
    """From the first version on. Headings become rubrics; lists and paragraphs are the same in both languages."""
    _preamble, version, versions = text.partition("\n## ")
    for line in (version + versions).splitlines():
        heading = line.startswith("##")
        yield from ("", f".. rubric:: {_as_rst(line.lstrip('# '))}", "") if heading else (_as_rst(line),)


def _as_rst(markdown: str) -> str:
    return _LINK.sub(r"\1", _CODE.sub(r"``\1``", markdown))


def setup(app: Sphinx) -> dict[str, Any]:
    """Let Sphinx know of it."""
    app.add_directive("changelog", Changelog)
    return {"parallel_read_safe": True}
