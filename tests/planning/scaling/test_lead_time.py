"""How long a change takes, learned from earlier ones."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.models.scaling import LeadPart
from freehold.models.scaling_policy import LeadTimeRules
from freehold.models.units import DAY_S, HOUR_S
from freehold.planning.scaling.lead_time import lead_parts, learn_lead_time

RULES = LeadTimeRules()
ALL = tuple(LeadPart)


def test_without_experience_the_guesses_stand() -> None:
    found = learn_lead_time({}, RULES, [LeadPart.DELIVERY])
    assert round(found.usual_s) == 10 * DAY_S
    assert round(found.late_s) == 21 * DAY_S
    assert found.parts[0].learned_from == 0


def test_experience_replaces_the_guess_little_by_little() -> None:
    after = [learn_lead_time({LeadPart.APPROVAL: [HOUR_S] * n}, RULES, [LeadPart.APPROVAL]) for n in (0, 1, 10, 500)]
    assert [round(a.usual_s / HOUR_S, 1) for a in after] == [4.0, 3.0, 1.5, 1.0]
    assert after[0].late_s > after[2].late_s > after[3].late_s
    assert after[3].late_s < 1.4 * HOUR_S


def test_only_what_has_to_happen_takes_time() -> None:
    assert lead_parts(installed=True, in_storeroom=False, asks=False) == (LeadPart.WORK,)
    assert lead_parts(installed=False, in_storeroom=True, asks=True) == (
        LeadPart.RACKING,
        LeadPart.APPROVAL,
        LeadPart.WORK,
    )
    assert lead_parts(installed=False, in_storeroom=False, asks=True) == ALL


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(ALL), st.lists(st.floats(0, 1e8), max_size=30)), st.lists(st.sampled_from(ALL)))
def test_late_is_later_than_usual_and_no_part_makes_it_shorter(
    seen: dict[LeadPart, list[float]], parts: list[LeadPart]
) -> None:
    found = learn_lead_time(seen, RULES, dict.fromkeys(parts))
    assert found.late_s >= found.usual_s >= 0
    assert found.late_s <= sum(part.late_s for part in found.parts) + 1e-6
    assert all(found.late_s >= part.late_s - 1e-6 for part in found.parts)
