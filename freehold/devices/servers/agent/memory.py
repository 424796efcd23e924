"""What Freehold did to this server and how it was before: kept on the server until all is undone.

Each entry is written before the deed, so a kill at any moment loses nothing that undo needs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from .tools import Refused, replace_file

FOLDER = Path("/var/lib/freehold")
ORIGINALS = FOLDER / "originals"
STATE = FOLDER / "state.json"

PARTS = ("packages", "users", "filesystems", "directories", "files", "setups", "units", "purge", "pending", "notes")


class Memory:
    """One dictionary per kind of thing; the key names the thing, the value says how it was before."""

    def __init__(self) -> None:
        try:
            kept: dict[str, Any] = json.loads(STATE.read_text())
        except FileNotFoundError:
            kept = {}
        except ValueError as error:
            raise Refused(f"{STATE} cannot be read, so nothing here can be undone: {error}") from error
        self.parts: dict[str, dict[str, Any]] = {part: kept.get(part, {}) for part in PARTS}

    def __getitem__(self, part: str) -> dict[str, Any]:
        return self.parts[part]

    def save(self) -> None:
        FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(STATE, json.dumps(self.parts, indent=1).encode(), 0o600)

    def note(self, part: str, key: str, value: Any) -> None:
        """Remember how it was before; the first word counts."""
        if key not in self.parts[part]:
            self.parts[part][key] = value
            self.save()

    def drop(self, part: str, key: str) -> None:
        if self.parts[part].pop(key, None) is not None:
            self.save()

    def end(self) -> None:
        """All is as before: nothing is left to remember."""
        shutil.rmtree(FOLDER, ignore_errors=True)
