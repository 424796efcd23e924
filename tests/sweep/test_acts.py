"""No activity is forgotten by the sweep, as far as recorded runs know them."""

from __future__ import annotations

import json

import pytest

from tests.sweep.acts import BUILDING, ENDING, FORWARD, PARKING, REFUSING, UNDOING, lives
from tests.workflows.record import HISTORIES


def activities(run: str) -> set[str]:
    events = json.loads((HISTORIES / f"{run}.json").read_text())["events"]
    scheduled = [event.get("activityTaskScheduledEventAttributes") for event in events]
    return {given["activityType"]["name"] for given in scheduled if given}


@pytest.mark.parametrize(
    ("run", "disturbed"),
    [
        ("ProvisionInstance-active", BUILDING),
        ("ProvisionInstance-aborted", (*BUILDING, *UNDOING)),
        ("DecommissionInstance-gone", ENDING),
        ("SwitchSession-running", BUILDING),
        ("SwitchSession-running", ENDING),
    ],
)
def test_every_activity_is_disturbed(run: str, disturbed: tuple[str, ...]) -> None:
    assert activities(run) <= set(disturbed)


def test_every_activity_fails_but_who_says_what() -> None:
    """`identify` reads who spoke; when it fails, the message is refused and nothing stops."""
    assert {*REFUSING, *PARKING} == {*BUILDING} - {"identify"}
    assert {"take_lease", "plan_end", "contents", "keep_evidence", *FORWARD} == {*ENDING} - {"identify"}


def test_every_act_has_its_own_words() -> None:
    acts = [act.words for life in lives() for act in life if act.at]
    assert len(acts) == len(set(acts))
