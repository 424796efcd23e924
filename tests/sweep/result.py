"""What a sweep found, kept in a file; docs/faults.md shows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.sweep.acts import Act, Life, lives
from tests.workflows.rig import ROOT

FILE = ROOT / "benchmarks/results/sweep.json"

Kept = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Row:
    """What came of an act."""

    act: Act
    ended: str
    differs: tuple[str, ...]
    seconds: float

    @property
    def kept(self) -> dict[str, Any]:
        good = self.ended == self.act.ends and not self.differs
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        return {"ended": self.ended, "differs": self.differs, "seconds": self.seconds, "at": now, "good": good}


class Result:
    """Rows by act, in the order of the sweep; each is written down at once."""

    def __init__(self, kept: Kept | None = None, file: Path = FILE) -> None:
        self._kept, self._file = kept or {}, file

    @classmethod
    def load(cls, file: Path = FILE) -> Result:
        return cls(json.loads(file.read_text())["rows"] if file.exists() else {}, file)

    def keep(self, row: Row) -> None:
        self._kept[row.act.words] = row.kept
        print(f"{row.act.words:90}{row.ended:10}{row.seconds:>7} s  {'; '.join(row.differs) or 'ok'}", flush=True)
        in_order = [act.words for life in lives() for act in life if act.words in self._kept]
        self._kept = {words: self._kept[words] for words in in_order}
        self._file.write_text(json.dumps({"rows": self._kept}, indent=1) + "\n")

    def is_good(self, act: Act) -> bool:
        return bool(self._kept.get(act.words, {}).get("good"))

    def missing(self) -> list[Life]:
        """Lives of which not every act is known to go well."""
        return [life for life in lives() if not all(self.is_good(act) for act in life)]
