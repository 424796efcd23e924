"""The picture of a simulation: what was needed, and what each way of deciding would have had."""

from __future__ import annotations

from collections.abc import Sequence

from freehold.models.scaling import Action, Measure
from freehold.planning.scaling.replay import History, carried
from freehold.planning.scaling.simulation import Outcome, Sizes, Way
from freehold.web.forecast import HEADROOM, UNITS
from freehold.web.plots import Line, Plot
from freehold.web.svg import COLOURS, GOOD

LOOKS = {
    Way.PERFECT: Line("known future", GOOD, 1.4, "2 3"),
    Way.THRESHOLDS: Line("thresholds", COLOURS["orange"], 1.8, "7 4"),
    Way.FORECAST: Line("with forecast", COLOURS["purple"], 2.4),
}


def simulation_svg(history: History, found: Sequence[tuple[Outcome, Sizes]], words: str = "") -> str:
    """One plot of the first measure that the history has, with a mark at each decision."""
    measure = next(m for m in (Measure.STORED, Measure.REQUESTS) if m in history.true)
    by, unit = UNITS[measure]
    needed = [(t, v / by) for t, v in zip(history.times, history.true[measure].values, strict=True)]
    had = {out.policy: [(at, carried(size, measure) / by) for at, size in sizes] for out, sizes in found}
    most = HEADROOM * max(v for points in (needed, *had.values()) for _, v in points)
    plot = Plot(
        f"{history.name}: {words}" if words else history.name, unit, (history.times[0], history.times[-1]), most
    )
    plot.line(Line("needed", COLOURS["blue"], 1.3), needed)
    outcomes = {outcome.policy: outcome for outcome, _ in found}
    for way, look in LOOKS.items():
        plot.line(look, [*had[way], (history.times[-1], had[way][-1][1])], stairs=True)
        for step in outcomes[way].steps:
            at = step.decided_at.timestamp()
            plot.mark(at, _at(needed, at), look.stroke, up=step.action is Action.UP)
    ideal = outcomes[Way.PERFECT].ideal_at
    if ideal is not None:
        plot.moment(ideal.timestamp(), "ideal", GOOD)
    plot.moment(history.begins_at, "decides from here", COLOURS["grey"], row=1)
    plot.note("Triangles: decisions. Steps: when they had their effect.")
    return plot.svg()


def _at(points: Sequence[tuple[float, float]], at: float) -> float:
    return next((value for time, value in points if time >= at), points[-1][1])
