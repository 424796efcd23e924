"""What simulations of the ten traces show, and that they are always the same."""

from __future__ import annotations

import pytest

from freehold.errors import BadInput
from freehold.models.scaling import Action, Contract, LeadTime, Measure, Mode
from freehold.models.scaling_policy import ScalingPolicy
from freehold.models.units import DAY_S
from freehold.planning.scaling.recorded import recorded
from freehold.planning.scaling.replay import TRACE_GIB, fitted, history_of
from freehold.planning.scaling.simulation import Outcome, Trial, Way, simulate, sized
from freehold.planning.scaling.traces import STEP_S, traces
from freehold.services import service

CHOSEN = service("object-storage")
REQUEST = sized(CHOSEN, "object-storage", "distributed", TRACE_GIB)
LEAD = LeadTime(usual_s=14 * DAY_S, late_s=14 * DAY_S)
TRIAL = Trial(CHOSEN, fitted(ScalingPolicy(), STEP_S), LEAD, Contract(mode=Mode.AUTOMATIC, tiers=("distributed",)))
TRACES = {trace.name: trace for trace in traces()}


def outcomes(name: str) -> dict[Way, Outcome]:
    return {out.policy: out for out, _ in simulate(history_of(TRACES[name], REQUEST), TRIAL)}


def test_there_are_ten_and_they_are_always_the_same() -> None:
    assert len(TRACES) == 10
    assert traces() == traces()
    assert traces(seed=7) != traces()


@pytest.mark.parametrize("name", ["growth", "growing-season", "gap"])
def test_the_forecast_decides_near_the_ideal_moment_and_thresholds_too_late(name: str) -> None:
    found = outcomes(name)
    ours, plain = found[Way.FORECAST], found[Way.THRESHOLDS]
    assert ours.decided_at is not None
    assert ours.ideal_at is not None
    assert plain.decided_at is not None
    assert abs((ours.decided_at - ours.ideal_at).total_seconds()) <= 2 * DAY_S
    assert plain.decided_at > ours.decided_at
    assert ours.short_share < 0.005 < plain.short_share
    assert ours.cost_ratio < 1.2


def test_who_knows_the_future_is_never_short_and_costs_the_measure() -> None:
    for name in ("growth", "spike", "saturating"):
        perfect = outcomes(name)[Way.PERFECT]
        assert (perfect.short_share, perfect.cost_ratio) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["season", "noise", "spike"])
def test_what_needs_no_change_gets_none(name: str) -> None:
    assert outcomes(name)[Way.FORECAST].steps == ()


def test_nothing_flaps_around_a_threshold() -> None:
    steps = outcomes("oscillation")[Way.FORECAST].steps
    assert [step.action for step in steps] == [Action.UP]


def test_in_a_gap_nothing_is_decided() -> None:
    found = outcomes("gap")[Way.FORECAST]
    assert found.refused_share > 0
    assert all(step.action is Action.UP for step in found.steps)


def test_a_recorded_history_is_replayed() -> None:
    lines = ["time,stored_bytes,requests_per_s"]
    lines += [f"{1_770_000_000 + 21600 * i},{(5 + 0.3 * i) * 200 * 2**30:.0f},12.5" for i in range(280)]
    history = recorded("acme", lines, REQUEST)
    assert history.step_s == 21600
    found = {out.policy: out for out, _ in simulate(history, TRIAL)}
    assert found[Way.FORECAST].decided_at is not None
    assert found[Way.FORECAST].short_share <= found[Way.THRESHOLDS].short_share


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["a,b", "1,2"], "must name the columns"),
        (["time,stored_bytes", "soon,2"], "line 2: 'soon' is no time"),
        (["time,stored_bytes", "1,much"], "'much' is no number"),
        (["time,stored_bytes", "1,2"], "at least 10"),
    ],
)
def test_a_file_that_is_no_history_is_refused_in_words(lines: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        recorded("x", lines, REQUEST)


def test_a_hole_in_a_recorded_history_is_a_gap() -> None:
    lines = ["time,stored_bytes"] + [f"{1_770_000_000 + 3600 * i},{'' if 20 <= i < 30 else 5}" for i in range(60)]
    history = recorded("x", lines, REQUEST)
    assert len(history.seen[Measure.STORED].times) == 50
    assert len(history.true[Measure.STORED].times) == 60
