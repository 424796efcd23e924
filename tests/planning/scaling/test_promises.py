"""The promises of a decision, for whatever may be observed."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from freehold.models.scaling import Action, Contract, Decision, Measure, Mode
from freehold.models.units import DAY_S
from freehold.models.usage import Observed, Series, Usage
from freehold.planning.scaling.ahead import look_ahead
from freehold.planning.scaling.load import loads
from freehold.services import service
from tests.planning.scaling.cases import CARRIES, DAYS, ENDS, LATELY, LEAD, NOW, POLICY, decided, request, usage

SHARES = st.floats(0, 1.4, allow_nan=False)
CHOSEN = service("object-storage")
ANY = st.one_of(SHARES, st.just(math.nan), st.just(-1.0), st.just(math.inf))
SOME = settings(max_examples=40, deadline=None)


@st.composite
def histories(draw: st.DrawFn) -> list[float]:
    """Peaks of each day: a level, a trend, a wave, some noise, never less than nothing."""
    level, trend, wave = draw(SHARES), draw(st.floats(-0.02, 0.02)), draw(st.floats(0, 0.2))
    noise = draw(st.lists(st.floats(-0.1, 0.1), min_size=DAYS, max_size=DAYS))
    return [max(0.0, level + trend * (i - DAYS) + wave * math.sin(i / 7 * 2 * math.pi) + noise[i]) for i in range(DAYS)]


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What was observed, whole and sound."""
    measures = {}
    for measure, carries in CARRIES.items():
        days = draw(histories())
        most = 1.0 if carries == 1.0 else math.inf
        peaks = [min(most, share) * carries for share in days]
        lately = min(most, days[-1]) * draw(st.floats(0.5, 1.0)) * carries
        measures[measure] = Observed(Series(LATELY, [lately] * len(LATELY)), Series(ENDS, peaks))
    return Usage(NOW, measures)


@SOME
@given(usages(), st.integers(1, 6), st.sampled_from([Measure.STORED, Measure.REQUESTS]))
def test_never_smaller_when_a_day_of_the_window_is_missing(what: Usage, day: int, measure: Measure) -> None:
    peaks = what.measures[measure].peaks
    kept = [i for i in range(DAYS) if i != DAYS - 1 - day]
    holey = Series([peaks.times[i] for i in kept], [peaks.values[i] for i in kept])
    seen = replace(what, measures={**what.measures, measure: Observed(what.measures[measure].recent, holey)})
    found = decided(seen)
    if found.action is Action.DOWN:  # only what is known of the other layer
        assert found.wanted is not None
        assert (found.wanted.capacity_gib is None) or measure is not Measure.STORED


@SOME
@given(usages())
def test_smaller_only_below_the_threshold_in_the_whole_window(what: Usage) -> None:
    """Whatever the forecast says."""
    found = decided(what)
    if found.action is not Action.DOWN:
        return
    assert found.wanted is not None
    for measure, changed in ((Measure.STORED, found.wanted.capacity_gib),):
        if changed is not None:
            window = [v for t, v in zip(ENDS, what.measures[measure].peaks.values, strict=True) if t > NOW - 7 * DAY_S]
            assert max(window) < POLICY.stored.down_at * CARRIES[measure]


@SOME
@given(st.lists(ANY, min_size=len(LATELY), max_size=len(LATELY)), SHARES)
def test_no_decision_on_what_is_no_figure(values: list[float], others: float) -> None:
    recent = Series(LATELY, [v * CARRIES[Measure.STORED] for v in values])
    base = usage({Measure.REQUESTS: others})
    found = decided(
        replace(base, measures={**base.measures, Measure.STORED: Observed(recent, Series(ENDS, [1.0] * DAYS))})
    )
    if any(not math.isfinite(v) or v < 0 for v in values):
        assert found.action is Action.REFUSED


@SOME
@given(usages(), st.floats(-30 * DAY_S, 30 * DAY_S).filter(lambda s: abs(s) > 120))
def test_no_decision_when_a_clock_jumped(what: Usage, jump: float) -> None:
    assert decided(what, now=NOW + jump).action is Action.REFUSED


@SOME
@given(usages())
def test_what_was_decided_once_carried_out_is_neither_taken_back_nor_repeated(what: Usage) -> None:
    """The same use, seen against the new size, asks for nothing of that kind; of another kind it may."""
    contract = Contract(mode=Mode.AUTOMATIC, tiers=("compact",))
    first = decided(what, contract=contract)
    if first.wanted is None:
        return
    now, then_is = (CHOSEN.size(r) for r in (request(), first.wanted.applied_to(request())))
    less = {
        Measure.DISK: now.request.capacity_gib / then_is.request.capacity_gib,
        Measure.CPU: now.requests_per_s / then_is.requests_per_s,
    }
    measures = dict(what.measures)
    for measure, factor in less.items():
        both = (measures[measure].recent, measures[measure].peaks)
        measures[measure] = Observed(*(Series(s.times, [min(1.0, v * factor) for v in s.values]) for s in both))
    size = {name: getattr(then_is.request, name) for name in ("capacity_gib", "requests_per_s")}
    then = decided(replace(what, measures=measures), contract=contract, **size)
    again = _changed(first) & _changed(then)
    assert not again, (first.summary, then.summary)


def _changed(decision: Decision) -> set[str]:
    names = ("tier", "capacity_gib", "requests_per_s", "web_servers", "storage_servers")
    return {name for name in names if decision.wanted and getattr(decision.wanted, name) is not None}


@SOME
@given(usages(), st.integers(1, 300), st.integers(1, 8), st.floats(100, 2000))
def test_nothing_beyond_the_contract(what: Usage, most_gib: int, most_servers: int, most_spend: float) -> None:
    contract = Contract(
        mode=Mode.AUTOMATIC, most_capacity_gib=most_gib, most_servers=most_servers, most_spend=most_spend
    )
    found = decided(what, contract=contract)
    if found.action is Action.UP:
        assert found.wanted is not None
        size = service("object-storage").size(found.wanted.applied_to(request()))
        assert size.request.capacity_gib <= max(most_gib, 100)
        assert size.servers <= most_servers
        assert found.spend_after is not None
        assert found.spend_after <= most_spend + 0.01


@SOME
@given(usages())
def test_a_forecast_that_is_left_out_would_have_changed_nothing(what: Usage) -> None:
    size = service("object-storage").size(request())
    for load in loads(size, what, POLICY, NOW):
        if load.measure in (Measure.STORED, Measure.REQUESTS) and look_ahead(load, LEAD) is None:
            made = look_ahead(load, LEAD, always=True)
            assert made is not None
            assert not made.presses


@settings(max_examples=6, deadline=None)
@example(0.375, 0.25, 18.0)  # a wave longer than the window in which it must be small
@example(0.3125, 0.25, 13.0)
@given(st.floats(0.3, 0.95), st.floats(0.0, 0.3), st.floats(0.3, 20))
def test_an_oscillation_lets_it_find_its_size_and_stay(level: float, height: float, period: float) -> None:
    """Around a threshold or not: it never goes to and fro."""
    capacity, changes, changed_at = 100, [], NOW - 90 * DAY_S

    def stored_at(moment: float) -> float:
        return max(0.0, level + height * math.sin(2 * math.pi * moment / (period * DAY_S))) * CARRIES[Measure.STORED]

    for day in range(90):
        now = NOW + day * DAY_S
        ends, lately = ([t + day * DAY_S for t in times] for times in (ENDS, LATELY))
        peaks = [max(stored_at(end - DAY_S * part / 12) for part in range(12)) for end in ends]
        stored = Observed(Series(lately, [stored_at(t) for t in lately]), Series(ends, peaks))
        unit = capacity * 2**30
        disk = Observed(
            *(Series(s.times, [min(1.0, v / unit) for v in s.values]) for s in (stored.recent, stored.peaks))
        )
        half = Observed(Series(lately, [30.0] * len(lately)), Series(ends, [30.0] * DAYS))
        what = Usage(now, {Measure.STORED: stored, Measure.DISK: disk, Measure.REQUESTS: half})
        found = decided(what, now=now, changed_at=changed_at, capacity_gib=capacity)
        if found.wanted is not None:
            capacity, changed_at = found.wanted.capacity_gib or capacity, now
            changes.append(found.action)
    assert len(changes) <= 2, changes
    assert set(changes) != {Action.UP, Action.DOWN}, changes
