"""What forecasts are worth: how far off, and whether their intervals hold."""

from __future__ import annotations

import math
from statistics import mean

import pytest

from freehold.models.scaling_policy import ForecastRules
from freehold.models.units import DAY_S
from freehold.planning.scaling.forecast import foresee
from freehold.planning.scaling.traces import BEGIN, Trace, traces

RULES = ForecastRules()
AHEAD = 14
TRACES = {trace.name: trace for trace in traces()}


def peaks(trace: Trace) -> list[float]:
    values = trace.true.values
    return [max(values[i : i + 4]) for i in range(0, len(values), 4)]


def forecasts(days: list[float]) -> list[tuple[float, float, float]]:
    """The likely value, the upper bound, and what came, two weeks ahead."""
    found = []
    for day in range(60, len(days) - AHEAD, 5):
        times = [BEGIN + DAY_S * (i + 1) for i in range(day - 56, day)]
        outlook = foresee(times, days[day - 56 : day], DAY_S, times[-1], AHEAD * DAY_S, RULES)
        assert outlook is not None
        found.append((float(outlook.likely[AHEAD]), float(outlook.high[AHEAD]), days[day - 1 + AHEAD]))
    return found


@pytest.mark.parametrize(
    ("name", "share"),
    # Waves that grow are more than a sum of trend and season can follow.
    [("growth", 0.8), ("season", 0.8), ("noise", 0.8), ("oscillation", 0.8), ("spike", 0.8), ("growing-season", 0.7)],
)
def test_about_nine_of_ten_values_are_below_the_upper_bound(name: str, share: float) -> None:
    found = forecasts(peaks(TRACES[name]))
    assert mean(true <= high for _, high, true in found) >= share


@pytest.mark.parametrize(("name", "off"), [("growth", 1.0), ("season", 2.0), ("growing-season", 3.0)])
def test_trend_and_week_are_found(name: str, off: float) -> None:
    found = forecasts(peaks(TRACES[name]))
    assert mean(abs(likely - true) for likely, _, true in found) < off


def test_a_day_is_found_in_finer_values() -> None:
    step_s = DAY_S // 4
    times = [BEGIN + step_s * i for i in range(80)]
    values = [50 + 20 * math.sin(2 * math.pi * t / DAY_S) for t in times]
    outlook = foresee(times, values, step_s, times[-1], 2 * DAY_S, RULES)
    assert outlook is not None
    assert "season of a day" in outlook.method
    true = [50 + 20 * math.sin(2 * math.pi * t / DAY_S) for t in outlook.times]
    assert max(abs(a - b) for a, b in zip(true, outlook.likely, strict=True)) < 1.0


def test_a_gap_is_left_out_and_not_taken_for_nothing() -> None:
    times = [BEGIN + DAY_S * i for i in range(56) if not 30 <= i < 40]
    outlook = foresee(times, [20 + t / DAY_S - BEGIN / DAY_S for t in times], DAY_S, times[-1], AHEAD * DAY_S, RULES)
    assert outlook is not None
    assert float(outlook.likely[AHEAD]) == pytest.approx(20 + 55 + AHEAD, abs=0.5)


def test_too_few_values_make_no_forecast() -> None:
    assert foresee([BEGIN + DAY_S * i for i in range(13)], [1.0] * 13, DAY_S, BEGIN, DAY_S, RULES) is None


def test_it_is_less_sure_of_what_is_further_away() -> None:
    days = peaks(TRACES["noise"])[:56]
    times = [BEGIN + DAY_S * i for i in range(56)]
    outlook = foresee(times, days, DAY_S, times[-1], 56 * DAY_S, RULES)
    assert outlook is not None
    assert outlook.high[50] - outlook.low[50] > 1.05 * (outlook.high[1] - outlook.low[1])
