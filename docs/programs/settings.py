"""The table of settings in docs/design.md, from freehold/settings.py: `python -m docs.programs.settings`."""

from __future__ import annotations

from pathlib import Path

from pydantic_core import PydanticUndefined

from docs.programs.marked import fill, table
from freehold.settings import Settings

PAGE = Path(__file__).parents[1] / "design.md"
MADE = {
    "home": "`~/.local/state/freehold`",
    "cache": "`~/.cache/freehold`",
    "identity": "`user@host`",
    "database_url": "SQLite, `freehold.db` in the home",
}
VARIABLES = {"identity": "FREEHOLD_OPERATOR"}


def rows() -> list[tuple[str, str, str]]:
    found = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (PydanticUndefined, None, "") else f"`{field.default}`"
        variable = VARIABLES.get(name, f"FREEHOLD_{name.upper()}")
        found.append((f"`{variable}`", MADE.get(name, default), field.description or ""))
    return found


if __name__ == "__main__":
    fill(PAGE, {"settings": table(("variable", "default", "what"), rows())})
