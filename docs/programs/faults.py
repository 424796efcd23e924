"""What `make sweep` and `make life-faults` found, into docs: `python -m docs.programs.faults`."""

from __future__ import annotations

import json
from pathlib import Path

from docs.programs.marked import fill, table
from tests.life.__main__ import NEVER
from tests.sweep.acts import lives

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"


def swept() -> str:
    kept = json.loads((RESULTS / "sweep.json").read_text())["rows"]
    rows = [
        (what, row["ended"], "; ".join(row["differs"]) or "nothing", f"{row['seconds']:.0f} s")
        for what, row in kept.items()
    ]
    acts = {act.words for life in lives() for act in life if act.at}
    good, times = [what for what in acts if what in kept and kept[what]["good"]], sorted(r["at"] for r in kept.values())
    told = f"{len(good)} of {len(acts)} are known to end as they must, tried from {times[0]} to {times[-1]}."
    return f"{told}\n\n{table(('procedure and fault', 'ended', 'differs from what it must be', 'time'), rows)}"


def lived() -> str:
    """Each fault under the counting client. What a request may never find is one number: it must be 0."""
    rows = [
        (
            row["fault"],
            row["words"],
            f"{row['seconds']:.0f} s",
            row["requests"],
            row["failed"],
            sum(row[n] for n in NEVER),
            row["listings_wrong"],
            f"{row['p99_ms']:.0f} ms",
        )
        for row in json.loads((RESULTS / "life-faults.json").read_text())
        if row["requests"]
    ]
    counted = ("requests", "failed", ", ".join(NEVER), "old listings", "p99")
    return table(("fault", "what came of it", "time", *counted), rows)


if __name__ == "__main__":
    fill(ROOT / "docs/faults.md", {"sweep": swept()})
    fill(ROOT / "docs/scaling.md", {"life-faults": lived()})
