"""What is agreed with customers about scaling, and what the schedule reads of all instances at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from freehold.errors import NotFound
from freehold.inventory import Inventory
from freehold.models.instance import InstanceState
from freehold.models.scaling import Contract, Mode
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request


@pytest.fixture
def active(inventory: Inventory, hall: object) -> Inventory:
    inventory.reserve(plan_instance(request(), COMPACT, inventory.snapshot()))
    inventory.set_state("acme-1", InstanceState.ACTIVE)
    return inventory


def test_without_a_contract_nothing_is_decided(active: Inventory) -> None:
    assert active.contract("acme-1").mode is Mode.OFF
    assert active.standings() == []
    with pytest.raises(NotFound, match="nobody-1"):
        active.contract("nobody-1")


def test_a_contract_is_kept_and_replaced(active: Inventory) -> None:
    before = active.fingerprint()
    agreed = Contract(mode=Mode.AUTOMATIC, most_capacity_gib=8, most_spend=500.5)
    assert active.set_contract("acme-1", agreed)
    assert not active.set_contract("acme-1", agreed)
    assert active.contract("acme-1") == agreed
    assert active.fingerprint() == before, "what a procedure must bring back is not changed by it"
    ((standing, kept),) = active.standings()
    assert (standing.request, kept) == (active.instance("acme-1").plan.request, agreed)
    assert active.set_contract("acme-1", Contract(mode=Mode.OFF))
    assert active.standings() == []


def test_who_works_on_it_is_known(active: Inventory) -> None:
    active.set_contract("acme-1", Contract())
    active.take_lease("acme-1", "ConsolidateData", "consolidate-acme-1", "run")
    ((standing, _),) = active.standings()
    assert standing.held_by == "ConsolidateData (consolidate-acme-1)"


@pytest.mark.parametrize("state", [s for s in InstanceState if s is not InstanceState.ACTIVE])
def test_only_what_is_active_has_its_turn(active: Inventory, state: InstanceState) -> None:
    active.set_contract("acme-1", Contract())
    active.set_state("acme-1", state)
    assert active.standings() == []


def test_an_answer_of_people_lets_it_rest(active: Inventory) -> None:
    active.set_contract("acme-1", Contract())
    ((before, _),) = active.standings()
    assert before.changed_at == active.instance("acme-1").active_at
    later = datetime.now(UTC) + timedelta(minutes=5)
    active.note_asked("acme-1", later)
    ((after, _),) = active.standings()
    assert after.changed_at == later


def test_an_end_is_the_end_of_the_contract(active: Inventory) -> None:
    active.set_contract("acme-1", Contract())
    active.release("acme-1")
    assert active.contract("acme-1").mode is Mode.OFF
