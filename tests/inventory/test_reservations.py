"""Holds, leases, instances: all or nothing, repeats harmless, refusals that name the holder."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from freehold.errors import Conflict, LeaseHeld, NotFound
from freehold.inventory import Inventory
from freehold.models.hall import Hall
from freehold.models.instance import Evidence, EvidenceKind, InstanceState
from freehold.models.plan import Hold, HoldKind, Plan
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request


def planned(inventory: Inventory, instance: str = "acme-1", customer: str = "acme") -> Plan:
    return plan_instance(request(instance, customer), COMPACT, inventory.snapshot())


def test_reserve_and_release_leave_the_inventory_as_it_was(inventory: Inventory) -> None:
    before, snapshot = inventory.fingerprint(), inventory.snapshot()
    plan = planned(inventory)
    lease = inventory.take_lease("acme-1", "ProvisionInstance", "provision-acme-1", "run-1")
    inventory.reserve(plan, lease)
    assert [hold for hold, _ in inventory.holds("acme-1")] == list(plan.holds)
    assert inventory.instance("acme-1").plan == plan
    assert inventory.fingerprint() != before
    inventory.keep_files("acme-1", {"object.builder": b"rings"})
    assert inventory.release("acme-1", forget=True)
    assert not inventory.release("acme-1", forget=True)
    assert inventory.drop_lease("acme-1", "provision-acme-1", "run-1")
    assert inventory.fingerprint() == before
    assert inventory.snapshot() == snapshot
    with pytest.raises(NotFound, match="instance 'acme-1' is not known"):
        inventory.instance("acme-1")


def test_the_same_plan_may_be_reserved_again_and_another_may_not(inventory: Inventory) -> None:
    plan = planned(inventory)
    inventory.reserve(plan)
    once = inventory.fingerprint()
    inventory.reserve(plan)
    assert inventory.fingerprint() == once
    other = plan_instance(request().model_copy(update={"capacity_gib": 2}), COMPACT, inventory.snapshot())
    with pytest.raises(Conflict, match=r"acme-1 exists already \(provisioning\) with another plan"):
        inventory.reserve(other)
    assert inventory.fingerprint() == once


def test_a_conflict_takes_nothing_and_names_the_holder(inventory: Inventory) -> None:
    mine, theirs = planned(inventory), planned(inventory, "globex-1", "globex")
    inventory.reserve(mine)
    before = inventory.fingerprint()
    with pytest.raises(Conflict, match=r"address north/10\.64\.0\.1 is held by acme-1; globex-1 cannot have it"):
        inventory.reserve(theirs)
    assert inventory.fingerprint() == before
    with pytest.raises(NotFound):
        inventory.instance("globex-1")
    inventory.reserve(planned(inventory, "globex-1", "globex"))


def test_a_plan_that_the_hall_outgrew_is_refused(inventory: Inventory, hall: Hall) -> None:
    plan = planned(inventory)
    changed = tuple(d.model_copy(update={"serial": "OTHER"}) if d.name == "r1-s1" else d for d in hall.devices)
    inventory.import_hall(hall.model_copy(update={"devices": changed}), {})
    with pytest.raises(Conflict, match=r"r1-s1 \(serial SRV-r1-s1\) is no longer where the plan has it"):
        inventory.reserve(plan)
    assert inventory.holds() == ()


def test_a_lease_is_for_one_procedure_and_its_later_runs(inventory: Inventory) -> None:
    first = inventory.take_lease("acme-1", "ScaleUp", "scale-acme-1", "run-1")
    assert inventory.take_lease("acme-1", "ScaleUp", "scale-acme-1", "run-1") == first
    with pytest.raises(LeaseHeld, match=r"ScaleUp works on acme-1 since .* \(workflow scale-acme-1, run run-1\)"):
        inventory.take_lease("acme-1", "Decommission", "end-acme-1", "run-9")
    inventory.take_lease("acme-1", "ScaleUp", "scale-acme-1", "run-2")
    assert not inventory.drop_lease("acme-1", "scale-acme-1", "run-1"), "the earlier run has nothing to give back"
    with pytest.raises(LeaseHeld):
        inventory.reserve(planned(inventory), first)
    assert inventory.drop_lease("acme-1", "scale-acme-1", "run-2")
    with pytest.raises(Conflict, match="has no lease on acme-1"):
        inventory.reserve(planned(inventory), first)
    inventory.take_lease("acme-1", "Decommission", "end-acme-1", "run-9")


def test_states_and_times_of_an_instance(inventory: Inventory) -> None:
    inventory.reserve(planned(inventory))
    assert inventory.instance("acme-1").active_at is None
    inventory.set_state("acme-1", InstanceState.ACTIVE)
    active = inventory.instance("acme-1")
    assert active.state is InstanceState.ACTIVE
    assert active.active_at is not None
    inventory.release("acme-1", forget=True)
    assert inventory.instance("acme-1").state is InstanceState.GONE, "what was active stays on record"
    again = planned(inventory)
    inventory.reserve(again)
    assert [i.state for i in inventory.instances()] == [InstanceState.PROVISIONING]


def test_a_plan_may_learn_but_not_take_more(inventory: Inventory) -> None:
    plan = planned(inventory)
    inventory.reserve(plan)
    learned = plan.model_copy(update={"procedure": "other"})
    inventory.update_plan("acme-1", learned)
    assert inventory.instance("acme-1").plan == learned
    inventory.reserve(plan)
    with pytest.raises(Conflict, match="takes other things than were reserved"):
        inventory.update_plan("acme-1", plan.model_copy(update={"holds": plan.holds[1:]}))


def test_only_the_last_instance_takes_its_customers_vlan_out_of_the_trunk(inventory: Inventory) -> None:
    """globex's host is on leaf2, both instances are on leaf1: they share globex's VLAN on the trunk."""
    elsewhere = [Hold(kind=HoldKind.SERVER, key=f"r2-s{n}") for n in (1, 2, 3)]
    plans = []
    for name in ("globex-1", "globex-2"):
        now = inventory.snapshot().holding("others", elsewhere)
        plans.append(plan_instance(request(name, "globex"), COMPACT, now))
        inventory.reserve(plans[-1])
    assert plans[0].trunks == plans[1].trunks != ()
    assert inventory.undo_plan("globex-1").trunks == ()
    assert inventory.undo_plan("globex-1").ports == plans[0].ports
    assert inventory.undo_plan("globex-2").trunks == plans[1].trunks, "the other one is leaving too"
    assert inventory.undo_plan("globex-1").trunks == plans[0].trunks


def test_evidence_is_kept_once_and_never_overwritten(inventory: Inventory) -> None:
    before = inventory.fingerprint()
    seen = Evidence(
        id="run-1/probe",
        instance="acme-1",
        kind=EvidenceKind.SERVICE,
        claim="the endpoint answers",
        holds=True,
        observed={"objects": 3},
        at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    inventory.keep_evidence(seen)
    later = seen.model_copy(update={"holds": False})
    earlier = seen.model_copy(
        update={"id": "run-1/plan", "kind": EvidenceKind.PLAN, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    )
    inventory.keep_evidence(later, earlier, earlier.model_copy(update={"holds": False}))
    assert inventory.evidence("acme-1") == (earlier, seen)
    assert inventory.evidence("acme-1", EvidenceKind.SERVICE) == (seen,)
    assert inventory.evidence("acme-2") == ()
    assert inventory.fingerprint() == before


def test_files_are_kept_until_the_instance_is_released(inventory: Inventory) -> None:
    inventory.reserve(planned(inventory))
    inventory.keep_files("acme-1", {"object.builder": b"\x00old"})
    inventory.keep_files("acme-1", {"object.builder": b"\x00new"})
    assert inventory.file("acme-1", "object.builder") == b"\x00new"
    assert inventory.file("acme-1", "other") is None
    inventory.release("acme-1")
    assert inventory.file("acme-1", "object.builder") is None
