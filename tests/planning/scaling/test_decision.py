"""What is decided in the cases that people ask about first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from freehold.models.scaling import Action, Contract, Measure, Mode
from freehold.models.units import DAY_S
from freehold.models.usage import Observed, Series, Usage
from tests.planning.scaling.cases import DAYS, ENDS, LATELY, NOW, POLICY, decided, observed, seen, usage

STORED, REQUESTS, CPU, DISK = Measure.STORED, Measure.REQUESTS, Measure.CPU, Measure.DISK
LOW = {STORED: 0.2, REQUESTS: 0.1, CPU: 0.1, DISK: 0.2}
GROWING = [0.85 - 0.012 * i for i in range(DAYS - 1, -1, -1)]


def test_half_full_stays_as_it_is() -> None:
    found = decided(usage())
    assert (found.action, found.wanted, found.hindered_by) == (Action.NONE, None, "")
    assert any("50 % of 100 GiB" in words for words in found.reasons)


def test_a_lasting_need_of_storage_makes_it_bigger() -> None:
    found = decided(usage({STORED: 0.9}))
    assert found.action is Action.UP
    assert found.wanted is not None
    assert found.wanted.capacity_gib == 150  # 90 GiB at 60 %
    assert found.wanted.web_servers is None
    assert not found.foreseen


def test_busy_web_servers_get_more_programs_before_there_are_more_of_them() -> None:
    found = decided(usage({CPU: 0.9}))
    assert found.wanted is not None
    assert (found.wanted.tier, found.wanted.requests_per_s) == (None, 108)  # 60 at 90 % is 108 at 50 %


def test_they_take_another_tier_when_theirs_has_no_more() -> None:
    found = decided(usage({REQUESTS: 1.3}))
    assert found.wanted is not None
    assert found.wanted.tier == "distributed"


def test_a_short_peak_is_no_need() -> None:
    short = Series(LATELY, [50e9] + [107e9 * 0.9] * (len(LATELY) - 1))
    assert decided(seen(STORED, Observed(short, observed(STORED, 0.5).peaks))).action is Action.NONE


def test_a_foreseen_need_makes_it_bigger_in_time() -> None:
    found = decided(seen(STORED, observed(STORED, 0.79, [share - 0.06 for share in GROWING])))
    assert (found.action, found.foreseen) == (Action.UP, True)
    assert found.forecasts[0].full_at is not None
    assert found.too_late_at is not None
    assert found.too_late_at <= found.at
    assert "as early as" in " ".join(found.reasons)


def test_without_a_forecast_the_same_has_time() -> None:
    plain = POLICY.model_copy(update={"forecast": POLICY.forecast.model_copy(update={"enabled": False})})
    found = decided(seen(STORED, observed(STORED, 0.79, [share - 0.06 for share in GROWING])), policy=plain)
    assert found.action is Action.NONE


def test_one_strange_day_is_no_forecast() -> None:
    strange = [0.5] * (DAYS - 1) + [1.5]
    assert decided(seen(STORED, observed(STORED, 0.5, strange))).action is Action.NONE


def test_little_for_the_whole_window_makes_it_smaller() -> None:
    found = decided(usage(LOW))
    assert found.action is Action.DOWN
    assert found.wanted is not None
    assert found.wanted.capacity_gib == 34  # 20 GiB at 60 %


def test_one_busy_day_in_the_window_forbids_it() -> None:
    days = [0.2] * (DAYS - 3) + [0.5] + [0.2] * 2
    assert decided(seen(STORED, observed(STORED, 0.2, days), usage(LOW))).action is Action.NONE


@pytest.mark.parametrize("days", [1, 3])
def test_an_outage_is_not_low_use(days: int) -> None:
    kept = Series(ENDS[: -days - 2] + ENDS[-2:], [20e9] * (DAYS - days))
    found = decided(seen(STORED, Observed(observed(STORED, 0.2).recent, kept), usage(LOW)))
    assert found.action is Action.NONE
    assert "what was not seen is not taken for little" in " ".join(found.reasons)


def test_days_that_were_hardly_seen_are_not_low_use() -> None:
    shares = [1.0] * (DAYS - 4) + [0.3] * 2 + [1.0] * 2
    assert decided(usage(LOW, coverage=Series(ENDS, shares))).action is Action.NONE


@pytest.mark.parametrize(("over", "action"), [(0.6, Action.DOWN), (0.3, Action.NONE)])
def test_of_a_day_that_is_not_over_only_what_is_over_must_have_been_seen(over: float, action: Action) -> None:
    """It is 15 o'clock; the metrics were there all day, or only for half of what is over."""
    shift = DAY_S * (1 - 15 / 24)
    ends = [t + shift for t in ENDS]
    what = usage(LOW, coverage=Series(ends, [1.0] * (DAYS - 1) + [over]))
    moved = {measure: Observed(each.recent, Series(ends, each.peaks.values)) for measure, each in what.measures.items()}
    assert decided(replace(what, measures=moved)).action is action


def test_nothing_shrinks_where_customers_suffer() -> None:
    slow = Observed(Series(LATELY, [5.0] * len(LATELY)))
    assert decided(seen(Measure.LATENCY, slow, usage(LOW))).action is Action.NONE


def test_suffering_lets_a_near_need_count() -> None:
    near = usage({REQUESTS: 0.79})
    slow = Observed(Series(LATELY, [5.0] * len(LATELY)))
    assert decided(near).action is Action.NONE
    assert decided(seen(Measure.LATENCY, slow, near)).action is Action.UP


def test_nothing_shrinks_into_what_the_forecast_outgrows() -> None:
    days = [0.02 + 0.006 * i for i in range(DAYS)]
    found = decided(seen(STORED, observed(STORED, days[-1], days), usage(LOW)))
    assert found.action is Action.NONE or (
        found.wanted and found.wanted.capacity_gib and found.wanted.capacity_gib > 60
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Usage(NOW), "there is no figure of stored bytes"),
        (usage(complaints=("two series say different things",)), "two series"),
        (seen(STORED, observed(STORED, math.nan)), "is no figure"),
        (seen(REQUESTS, observed(REQUESTS, math.inf)), "is no figure"),
        (seen(STORED, observed(STORED, -0.1)), "is no figure"),
        (usage(measured_at=NOW - 7200), "2 hours old"),
        (usage(measured_at=NOW + 7200), "ahead of ours"),
        (usage(read_at=NOW - 3600), "behind ours"),
        (usage(read_at=NOW + 3600), "ahead of ours"),
        (seen(STORED, Observed(Series([t + 3600 for t in LATELY], [50e9] * 7))), "in the future"),
        (seen(STORED, Observed(Series(LATELY[::-1], [50e9] * 7))), "do not rise"),
        (seen(STORED, Observed(Series([t - 7200 for t in LATELY], [50e9] * 7))), "last seen"),
        (seen(STORED, Observed(Series(LATELY[-3:], [50e9] * 3))), "are needed"),
        (seen(Measure.CAPACITY, Observed(Series(LATELY[-1:], [200 * 2**30]))), "its plan says 100 GiB"),
        (seen(Measure.OBJECTS, Observed(Series(LATELY[-1:], [0.0]))), "in no object"),
        (seen(Measure.ERRORS, Observed(Series(LATELY[-1:], [90.0]))), "failed of"),
        (seen(CPU, observed(CPU, 1.5)), "150 %"),
    ],
)
def test_what_cannot_be_trusted_decides_nothing(what: Usage, words: str) -> None:
    found = decided(what)
    assert (found.action, found.wanted) == (Action.REFUSED, None)
    assert words in found.summary


def test_a_change_in_the_future_means_that_the_clock_was_set_back() -> None:
    assert "a clock was set back" in decided(usage({STORED: 0.9}), changed_at=NOW + 86400).summary


def test_one_change_at_a_time() -> None:
    found = decided(usage({STORED: 0.9}), held_by="ScaleUp")
    assert (found.action, found.need, found.hindered_by) == (Action.NONE, Action.UP, "ScaleUp works on it")


@pytest.mark.parametrize(("shares", "rest_s"), [({STORED: 0.9}, 1800), (LOW, 3 * DAY_S)])
def test_it_rests_after_a_change(shares: dict[Measure, float], rest_s: float) -> None:
    found = decided(usage(shares), changed_at=NOW - rest_s)
    assert found.action is Action.NONE
    assert "rests until" in found.hindered_by


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        (Contract(most_capacity_gib=100), "the contract allows 100 GiB"),
        (Contract(most_spend=122.5), "the contract allows 122.50"),
        (Contract(tiers=("compact",), most_servers=1), "no size carries"),
        (Contract(most_servers=4, least_capacity_gib=600), "the contract allows 4"),
    ],
)
def test_nothing_beyond_the_contract(contract: Contract, words: str) -> None:
    shares = {REQUESTS: 1.3} if contract.most_servers else {STORED: 0.95}
    found = decided(usage(shares), contract=contract)
    assert (found.action, found.need) == (Action.NONE, Action.UP)
    assert words in found.hindered_by


def test_as_much_as_the_contract_allows() -> None:
    found = decided(usage({STORED: 0.95}), contract=Contract(most_capacity_gib=120))
    assert found.wanted is not None
    assert found.wanted.capacity_gib == 120
    assert any("the contract allows 120 GiB" in words for words in found.reasons)


def test_off_decides_nothing() -> None:
    assert decided(usage({STORED: 0.95}), contract=Contract(mode=Mode.OFF)).action is Action.NONE


def test_a_decision_is_plain_json() -> None:
    found = decided(seen(STORED, observed(STORED, 0.79, [share - 0.06 for share in GROWING])))
    assert type(found).model_validate_json(found.model_dump_json()) == found
