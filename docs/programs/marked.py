"""Parts of a document that a program writes: between `<!-- NAME -->` and `<!-- end of NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path


def fill(page: Path, parts: Mapping[str, str]) -> None:
    """Replace each named part; one that the page has no place for is an error."""
    text = page.read_text()
    for name, content in parts.items():
        place = re.compile(rf"<!-- {name} -->\n.*?<!-- end of {name} -->", re.S)
        if not place.search(text):
            raise SystemExit(f"{page.name} has no place for {name}")
        filled = f"<!-- {name} -->\n{content}\n<!-- end of {name} -->"
        text = place.sub(lambda _, filled=filled: filled, text)
    page.write_text(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    cells = [list(columns), ["---"] * len(columns), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
