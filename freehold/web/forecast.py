"""The picture behind a scaling decision: what was, what is expected, and how long a change takes."""

from __future__ import annotations

from itertools import pairwise

from freehold.models.scaling import Action, Decision, Forecast, Measure
from freehold.models.units import GIB
from freehold.web.plots import Line, Plot
from freehold.web.svg import ALARM, COLOURS, GOOD

SEEN, LIKELY, BAND, CARRIES, FULL = COLOURS["blue"], COLOURS["purple"], "#dccdf0", "#333333", COLOURS["orange"]
HEADROOM = 1.15
UNITS = {Measure.STORED: (GIB, "GiB"), Measure.REQUESTS: (1, "1/s")}
WORDS = {Action.UP: "bigger", Action.DOWN: "smaller", Action.NONE: "as it is", Action.REFUSED: "no decision"}


def forecast_svg(forecast: Forecast, decision: Decision) -> str:
    """History, forecast with its interval, what the instance carries, now, and when a change would have its effect."""
    by, unit = UNITS.get(forecast.measure, (1, ""))
    past = [(at.timestamp(), value / by) for at, value in forecast.history]
    ahead = [(p.at.timestamp(), p.low / by, p.likely / by, p.high / by) for p in forecast.ahead]
    now, carries = decision.at.timestamp(), forecast.carries / by
    # A forecast that soon leaves the picture says enough; what was and what there is must stay readable.
    highest = min(max(p[3] for p in ahead), 2.5 * carries)
    most = HEADROOM * max(carries, highest, *(v for _, v in past))
    plot = Plot(f"{decision.instance}: {forecast.measure}", unit, (min(past[0][0], now), ahead[-1][0]), most)
    plot.band("interval", BAND, [(p[0], p[1]) for p in ahead], [(p[0], p[3]) for p in ahead])
    steps = [b[0] - a[0] for a, b in pairwise(past)]
    plot.line(Line("observed", SEEN), past, gap_s=1.5 * min(steps, default=1.0))
    plot.line(Line("forecast", LIKELY), [(p[0], p[2]) for p in ahead])
    plot.level(Line("carries", CARRIES, 1.8), carries)
    plot.level(Line("full", FULL, 1.4, "6 4"), forecast.full / by)
    plot.moment(now, f"now: {WORDS[decision.action]}", GOOD, row=0)
    if decision.lead_time is not None:
        plot.moment(now + decision.lead_time.late_s, "a change would have its effect", COLOURS["brown"], row=1)
    if forecast.full_at is not None:
        plot.moment(forecast.full_at.timestamp(), "may be full", ALARM, row=2)
    plot.note(f"Forecast: {forecast.method}.")
    return plot.svg()
