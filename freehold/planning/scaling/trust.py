"""Whether what was observed may carry a decision. What is not known is never taken for a figure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from operator import lt

from freehold.models.scaling import Measure, Standing
from freehold.models.scaling_policy import DataRules, ScalingPolicy
from freehold.models.units import GIB
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.words import ago, percent, span

NEEDED = (Measure.STORED, Measure.REQUESTS)
"""Without these there is no decision; without the others only what they would have asked for."""
SHARES = (Measure.CPU, Measure.DISK)
CLOSE = 0.01
"""Two sayings about the same thing may differ by so much."""


def doubts(standing: Standing, usage: Usage, policy: ScalingPolicy, now: float) -> tuple[str, ...]:
    """What speaks against any decision, each in a sentence; empty: nothing does."""
    if usage.complaints:
        return usage.complaints
    if found := tuple(_clocks(standing, usage, policy.data, now)):
        return found
    found = tuple(_values(usage, policy, now))
    return found or tuple(_contradictions(standing, usage))


def _clocks(standing: Standing, usage: Usage, rules: DataRules, now: float) -> Iterator[str]:
    """Times that cannot be: a clock jumped, here, at the metrics' server, or at the instance."""
    if abs(apart := usage.read_at - now) > rules.most_skew_s:
        yield f"the metrics' clock is {span(abs(apart))} {'ahead of' if apart > 0 else 'behind'} ours; one is wrong"
    latest = now + rules.most_skew_s
    if standing.changed_at.timestamp() > latest:
        yield f"it was last changed {span(standing.changed_at.timestamp() - now)} in the future; a clock was set back"
    if usage.measured_at is not None and usage.measured_at > latest:
        yield f"its own clock is {span(usage.measured_at - now)} ahead of ours"
    for measure, seen in usage.measures.items():
        # The last peak is that of a step that may not be over yet.
        for series, until in ((seen.recent, latest), (seen.peaks, latest + rules.peak_step_s)):
            if not series.times:
                continue
            if not all(map(lt, series.times, series.times[1:])):
                yield f"times of {measure} do not rise; a clock was set back while they were taken"
            elif series.times[-1] > until:
                yield f"{measure} has values from {span(series.times[-1] - now)} in the future"


def _values(usage: Usage, policy: ScalingPolicy, now: float) -> Iterator[str]:
    """Missing, old and senseless values, and windows with holes."""
    rules = policy.data
    if usage.measured_at is not None and now - usage.measured_at > rules.most_age_s:
        yield f"its figures are {span(now - usage.measured_at)} old; at most {span(rules.most_age_s)} is allowed"
    for measure in Measure:
        seen = usage.measures.get(measure, Observed()).recent
        window = within(seen, now - policy.up.window_s - rules.step_s, now + rules.most_skew_s)
        if not window:
            if measure in NEEDED:
                yield _missing(measure, seen, now)
        elif wrong := [v for _, v in window if not math.isfinite(v) or v < 0]:
            yield f"{measure} was {wrong[-1]:g} in the last {span(policy.up.window_s)}, which is no figure"
        elif now - window[-1][0] > rules.most_age_s:
            if measure in NEEDED:
                yield f"{measure} was last seen {ago(now - window[-1][0])}; at most {span(rules.most_age_s)} is allowed"
        elif measure in NEEDED and (there := covered(window, policy.up.window_s, rules.step_s)) < rules.least_coverage:
            yield (
                f"{measure} has values for {percent(there)} of the last {span(policy.up.window_s)}; "
                f"{percent(rules.least_coverage)} are needed"
            )


def _missing(measure: Measure, seen: Series, now: float) -> str:
    if not seen.times:
        return f"there is no figure of {measure}"
    return f"{measure} was last seen {ago(now - seen.times[-1])}"


def _contradictions(standing: Standing, usage: Usage) -> Iterator[str]:
    """Figures that cannot all be true."""
    last = {m: seen.recent.values[-1] for m, seen in usage.measures.items() if seen.recent.values}
    planned = standing.request.capacity_gib * GIB
    if (said := last.get(Measure.CAPACITY)) is not None and abs(said - planned) > CLOSE * planned:
        yield f"it says that it has {said / GIB:,.4g} GiB, its plan says {standing.request.capacity_gib:,} GiB"
    if last.get(Measure.OBJECTS) == 0 and last[Measure.STORED] > 0:
        yield f"it says that it keeps {last[Measure.STORED]:,.0f} bytes in no object at all"
    failed, asked = last.get(Measure.ERRORS, 0.0), last[Measure.REQUESTS]
    if failed > asked * (1 + CLOSE) + CLOSE:
        yield f"{failed:,.4g} requests a second failed of {asked:,.4g} that there were"
    for measure in SHARES:
        if (share := last.get(measure, 0.0)) > 1 + CLOSE:
            yield f"{measure} is {percent(share)} of what there is"


def within(series: Series, after: float, until: float) -> list[tuple[float, float]]:
    """Times and values of a part of a series."""
    first, last = bisect_right(series.times, after), bisect_right(series.times, until)
    return list(zip(series.times[first:last], series.values[first:last], strict=True))


def covered(window: list[tuple[float, float]], length_s: float, step_s: float) -> float:
    """The share of a window that has values."""
    return min(1.0, len(window) / max(1, int(length_s / step_s)))
