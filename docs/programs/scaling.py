"""The table and the plots of docs/scaling-decisions.md: `python -m docs.programs.scaling`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from docs.programs.marked import fill, table
from freehold.cli.scaling import COLUMNS, rows, simulated
from freehold.planning.scaling.replay import History
from freehold.planning.scaling.simulation import Outcome, Sizes
from freehold.web.simulation import simulation_svg

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "scaling-decisions.md", ROOT / "pictures"


def plot(history: History, words: str, outcomes: Sequence[tuple[Outcome, Sizes]]) -> str:
    return simulation_svg(history, outcomes, words) + "\n"


def main() -> None:
    found = simulated()
    for history, words, outcomes in found:
        (PICTURES / f"scaling-{history.name}.svg").write_text(plot(history, words, outcomes))
    shown = [f"![{h.name}: {words}](pictures/scaling-{h.name}.svg)" for h, words, _ in found]
    fill(PAGE, {"simulation": table(COLUMNS, rows(found)), "plots": "\n\n".join(shown)})


if __name__ == "__main__":
    main()
