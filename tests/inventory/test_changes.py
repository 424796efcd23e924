"""An instance between two plans: it holds both, and ends with exactly one; every repeat is harmless."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from freehold.errors import CannotPlace, Conflict, NotFound
from freehold.inventory import Inventory
from freehold.models.change import Change
from freehold.models.hall import Hall
from freehold.models.installation import Installed
from freehold.models.instance import InstanceState
from freehold.models.plan import Hold, HoldKind, Plan
from freehold.models.request import ScaleRequest
from freehold.planning.change import UP, plan_change
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed
from tests.halls import COMPACT, DISTRIBUTED, request, small_hall

UPWARDS = ScaleRequest(instance="acme-1", tier="distributed", requested_by="olga")


@pytest.fixture
def hall() -> Hall:
    hall = small_hall(servers=5)
    hall.server("spare-1", None)
    return hall.build()


def planner(
    wanted: ScaleRequest = UPWARDS, needs: tuple[ServerNeed, ...] = DISTRIBUTED
) -> Callable[[Plan, InventorySnapshot], Plan]:
    def make(before: Plan, now: InventorySnapshot) -> Plan:
        return plan_change(before, wanted.applied_to(before.request), needs, now, UP)

    return make


def provisioned(
    inventory: Inventory, name: str = "acme-1", customer: str = "acme", needs: tuple[ServerNeed, ...] = COMPACT
) -> Plan:
    plan = plan_instance(request(name, customer), needs, inventory.snapshot())
    inventory.reserve(plan)
    inventory.set_state(name, InstanceState.ACTIVE)
    return plan


def changing(inventory: Inventory) -> Change:
    provisioned(inventory)
    return inventory.place_change(UPWARDS, planner())


def held(inventory: Inventory, name: str = "acme-1") -> set[Hold]:
    return {hold for hold, _ in inventory.holds(name)}


def test_a_change_is_placed_once_and_holds_what_both_plans_name(inventory: Inventory) -> None:
    change = changing(inventory)
    placed = inventory.fingerprint()
    instance = inventory.instance("acme-1")
    assert (instance.state, instance.plan, instance.target) == (InstanceState.CHANGING, change.before, change.after)
    assert held(inventory) == {*change.before.holds, *change.after.holds}
    assert inventory.place_change(UPWARDS, planner()) == inventory.change("acme-1") == change
    assert inventory.fingerprint() == placed
    other = UPWARDS.model_copy(update={"capacity_gib": 5})
    with pytest.raises(Conflict, match=r"^acme-1 is changing; only an active instance can be changed\.$"):
        inventory.place_change(other, planner(other))


def test_a_dry_run_takes_nothing(inventory: Inventory) -> None:
    provisioned(inventory)
    before = inventory.fingerprint()
    dry = UPWARDS.model_copy(update={"dry_run": True})
    assert len(inventory.place_change(dry, planner(dry)).joining.servers) == 5
    assert inventory.fingerprint() == before


@pytest.mark.parametrize("state", [InstanceState.PROVISIONING, InstanceState.DECOMMISSIONING])
def test_only_an_active_instance_can_be_changed(inventory: Inventory, state: InstanceState) -> None:
    provisioned(inventory)
    inventory.set_state("acme-1", state)
    with pytest.raises(Conflict, match=f"^acme-1 is {state}; only an active"):
        inventory.place_change(UPWARDS, planner())


def test_what_cannot_be_placed_takes_nothing(inventory: Inventory) -> None:
    provisioned(inventory)
    before = inventory.fingerprint()
    with pytest.raises(CannotPlace):
        inventory.place_change(UPWARDS, planner(needs=(DISTRIBUTED[1].model_copy(update={"count": 20}),)))
    assert inventory.fingerprint() == before


def test_a_settled_change_frees_exactly_what_left(inventory: Inventory) -> None:
    change = changing(inventory)
    for server in ("r1-s1", "r2-s1"):
        inventory.keep_files("acme-1", {f"before-{server}": b"as it was"})
    assert inventory.settle_change("acme-1", ["before-r1-s1"])
    settled = inventory.fingerprint()
    assert not inventory.settle_change("acme-1", ["before-r1-s1"])
    assert not inventory.drop_change("acme-1"), "there is nothing to be taken back any more"
    assert inventory.fingerprint() == settled
    instance = inventory.instance("acme-1")
    assert (instance.state, instance.plan, instance.target) == (InstanceState.ACTIVE, change.after, None)
    assert held(inventory) == set(change.after.holds)
    assert inventory.file("acme-1", "before-r1-s1") is None
    assert inventory.file("acme-1", "before-r2-s1") == b"as it was"
    again = plan_instance(request("acme-2"), COMPACT, inventory.snapshot())
    assert [s.server for s in again.servers] == ["r1-s1"], "the server that left is free"


def test_a_dropped_change_leaves_all_as_it_was(inventory: Inventory) -> None:
    provisioned(inventory)
    before = inventory.fingerprint()
    change = inventory.place_change(UPWARDS, planner())
    inventory.joining("acme-1")
    inventory.keep_files("acme-1", {"before-r2-s1": b"as it was"})
    assert inventory.drop_change("acme-1", ["before-r2-s1"])
    assert not inventory.drop_change("acme-1", ["before-r2-s1"])
    assert inventory.fingerprint() == before
    assert inventory.instance("acme-1").plan == change.before
    with pytest.raises(NotFound, match=r"^acme-1 is not being changed; it is active\.$"):
        inventory.change("acme-1")


def test_a_plan_that_remembers_survives_the_drop(inventory: Inventory) -> None:
    change = changing(inventory)
    remembers = change.before.model_copy(update={"remembered": {"generation": 3}})
    inventory.update_plan("acme-1", remembers)
    inventory.drop_change("acme-1")
    assert inventory.instance("acme-1").plan == remembers


def test_a_target_may_learn_but_not_take_more(inventory: Inventory) -> None:
    change = changing(inventory)
    learned = change.after.model_copy(update={"remembered": {"generation": 1}})
    inventory.keep_target(learned)
    assert inventory.change("acme-1").after == learned
    with pytest.raises(Conflict, match="new target of acme-1 takes other things"):
        inventory.keep_target(change.after.model_copy(update={"holds": change.before.holds}))
    inventory.settle_change("acme-1")
    with pytest.raises(NotFound):
        inventory.keep_target(learned)


def test_what_changes_is_not_decommissioned(inventory: Inventory) -> None:
    changing(inventory)
    with pytest.raises(Conflict, match=r"^acme-1 is being changed; abort that or wait until it ends\.$"):
        inventory.undo_plan("acme-1")


def test_what_only_the_target_names_cannot_be_taken_away(inventory: Inventory, hall: Hall) -> None:
    change = changing(inventory)
    new = change.joining.servers[0]
    cables = tuple(c for c in hall.cables if c.label != new.nics[0].cable.label)
    with pytest.raises(Conflict, match=rf"cable {new.nics[0].cable.label} leads elsewhere .* acme-1 uses it"):
        inventory.import_hall(hall.model_copy(update={"cables": cables}), {})
    devices = tuple(d.model_copy(update={"serial": "OTHER"}) if d.name == new.server else d for d in hall.devices)
    with pytest.raises(Conflict, match=f"{new.server} has serial OTHER in hall test"):
        inventory.import_hall(hall.model_copy(update={"devices": devices}), {})


def test_hardware_for_a_change_is_installed(inventory: Inventory) -> None:
    provisioned(inventory)
    needs = (DISTRIBUTED[0], DISTRIBUTED[1].model_copy(update={"count": 8}))
    change = inventory.place_change(UPWARDS, planner(needs=needs))
    assert change.after.installs == ("spare-1",)
    labels = tuple(c.label for c in change.after.cables)
    given = Installed(instance="acme-1", mounted=("spare-1",), powered=("spare-1",), cables=labels)
    assert inventory.install(given)
    assert inventory.hall().device("spare-1").position is not None
    inventory.settle_change("acme-1")
    kinds = {hold.kind for hold in held(inventory)}
    assert HoldKind.UNIT in kinds


def test_a_customers_vlan_stays_on_the_trunk_for_both_plans_of_a_changing_instance(inventory: Inventory) -> None:
    """globex's host is on leaf2: an instance of globex on leaf1 needs the trunk."""
    others = [Hold(kind=HoldKind.SERVER, key=f"r2-s{n}") for n in range(1, 6)]
    plans = []
    for name in ("globex-1", "globex-2"):
        now = inventory.snapshot().holding("others", others)
        plans.append(plan_instance(request(name, "globex"), COMPACT, now))
        inventory.reserve(plans[-1])
        inventory.set_state(name, InstanceState.ACTIVE)
    shared = plans[0].trunks
    assert shared == plans[1].trunks != ()
    without = plans[0].model_copy(update={"trunks": (), "request": plans[0].request.model_copy(update={"tier": "x"})})
    wanted = ScaleRequest(instance="globex-1", tier="x", requested_by="olga")
    inventory.place_change(wanted, lambda *_: without)
    assert inventory.undo_plan("globex-2").trunks == (), "globex-1 may go back to its old plan"
    inventory.set_state("globex-2", InstanceState.ACTIVE)
    assert inventory.leaving("globex-1").trunks == (), "globex-2 needs it"
    assert inventory.undo_plan("globex-2").trunks == shared, "globex-1 has given it up"
    assert inventory.leaving("globex-1").trunks == shared, "globex-2 is leaving too"


def test_many_changes_and_provisionings_at_once_share_nothing(inventory: Inventory) -> None:
    """Twelve servers are wanted and eleven are there: two instances want four more each, two new ones want one each."""
    for name in ("acme-1", "acme-2"):
        provisioned(inventory, name)
    needs = (DISTRIBUTED[1].model_copy(update={"count": 4}),)

    def change(name: str) -> str:
        wanted = UPWARDS.model_copy(update={"instance": name})
        inventory.place_change(wanted, planner(wanted, needs))
        return "changed"

    def provision(name: str) -> str:
        wanted = request(name)
        inventory.place(wanted, lambda now: plan_instance(wanted, COMPACT, now))
        return "placed"

    def attempt(work: tuple[Callable[[str], str], str]) -> str:
        try:
            return work[0](work[1])
        except CannotPlace:
            return "refused"

    jobs = [(change, "acme-1"), (provision, "acme-3"), (change, "acme-2"), (provision, "acme-4")] * 2
    with ThreadPoolExecutor(len(jobs)) as pool:
        told = list(pool.map(attempt, jobs))
    assert told.count("refused") <= 2, "one kind of job at most, twice"
    instances = inventory.instances()
    used = [s.server for i in instances for s in {s.server: s for p in (i.plan, i.newest) for s in p.servers}.values()]
    assert len(used) == len(set(used))
    for (work, _), answer in zip(jobs, told, strict=True):
        assert answer != "refused" or 11 - len(used) < (4 if work is change else 1), "there was enough"
    for instance in instances:
        assert held(inventory, instance.name) == {*instance.plan.holds, *instance.newest.holds}
    for instance in instances:
        inventory.drop_change(instance.name)
        assert held(inventory, instance.name) == set(instance.plan.holds)
