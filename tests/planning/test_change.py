"""What a change of an active instance plans, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from freehold.errors import BadInput, CannotPlace
from freehold.models.change import Change
from freehold.models.hall import Hall
from freehold.models.plan import HoldKind, Plan
from freehold.models.request import InstanceRequest
from freehold.planning.change import DOWN, UP, check_direction, is_already, plan_change
from freehold.planning.provision import plan_instance
from freehold.planning.replan import replan
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed
from tests.halls import BACK, COMPACT, DISTRIBUTED, FRONT, HallBuilder, request, small_hall

WEB, STORAGE = DISTRIBUTED
TIERS = ("compact", "distributed")


def snapshot(hall: HallBuilder | Hall) -> InventorySnapshot:
    return InventorySnapshot.of(hall.build() if isinstance(hall, HallBuilder) else hall)


def distributed(web: int = 2, storage: int = 3, disk_gib: int = 2) -> tuple[ServerNeed, ...]:
    return (
        WEB.model_copy(update={"count": web}),
        STORAGE.model_copy(update={"count": storage, "disk_gib": disk_gib}),
    )


def asked(**fields: object) -> InstanceRequest:
    return request().model_copy(update=fields)


def active(
    hall: HallBuilder, needs: tuple[ServerNeed, ...] = COMPACT, name: str = "acme-1"
) -> tuple[InventorySnapshot, Plan]:
    now = snapshot(hall)
    plan = plan_instance(request(name), needs, now)
    return now.holding(name, plan.holds), plan


def changed(
    now: InventorySnapshot, before: Plan, needs: tuple[ServerNeed, ...], procedure: str = UP, **fields: object
) -> Change:
    return Change(before=before, after=plan_change(before, asked(**fields), needs, now, procedure))


def names(plan: Plan) -> list[str]:
    return [s.server for s in plan.servers]


def test_from_compact_to_distributed_one_leaves_and_five_join() -> None:
    now, before = active(small_hall(servers=4))
    change = changed(now, before, DISTRIBUTED, tier="distributed")
    after = change.after
    assert after.procedure == UP and after.request.tier == "distributed"
    assert names(before) == names(change.leaving) == list(after.leaves) == ["r1-s1"]
    assert len(change.joining.servers) == 5 and "r1-s1" not in names(after)
    assert (after.endpoint, after.networks) == (before.endpoint, before.networks)
    fronts = [n.address for s in (*before.servers, *after.servers) for n in s.nics if n.network is FRONT]
    assert [str(a) for a in fronts] == ["10.1.0.29/24", "10.1.0.28/24", "10.1.0.27/24"]
    backs = [str(n.address) for s in (*before.servers, *after.servers) for n in s.nics if n.network is BACK]
    assert backs == [f"10.64.0.{n}/26" for n in range(1, 7)]
    assert not {h.key for h in after.holds} & {"r1-s1", "north/10.64.0.1", "north/10.1.0.29"}


def test_one_more_server_goes_where_fewest_are_and_the_rest_stays_as_it_is() -> None:
    now, before = active(small_hall(servers=4), DISTRIBUTED)
    read = before.model_copy(
        update={"ports": tuple(p.model_copy(update={"before": p.change.config}) for p in before.ports)}
    )
    change = changed(now, read, distributed(storage=4), tier="distributed")
    assert change.leaving.servers == change.leaving.ports == () and not change.after.leaves
    (new,) = change.joining.servers
    racks = sorted(s.rack for s in change.after.servers if s.roles == STORAGE.roles)
    assert new.roles == STORAGE.roles and racks == ["r1", "r1", "r2", "r2"]
    assert set(read.servers) < set(change.after.servers)
    assert set(read.ports) < set(change.after.ports), "also what was read of the ports"
    assert [(p.switch, p.change.port) for p in change.joining.ports] == [(n.switch, n.switch_port) for n in new.nics]


def test_who_leaves_is_whose_rack_and_feed_have_most() -> None:
    hall = small_hall(servers=0)
    for server, rack, feed in (("a", 1, "feed-a"), ("b", 1, "feed-a"), ("c", 1, "feed-b"), ("d", 2, "feed-a")):
        hall.server(server, f"r{rack}", (f"leaf{rack}",) * 2, unit=ord(server) - 96, feeds=(feed,))
    now, before = active(hall, (STORAGE.model_copy(update={"count": 4}),))
    for count, leaves in ((3, ["b"]), (2, ["a", "b"]), (1, ["a", "b", "d"])):
        change = changed(now, before, (STORAGE.model_copy(update={"count": count}),), DOWN)
        assert names(change.leaving) == leaves and not change.joining.servers
        assert change.after.procedure == DOWN


def test_a_server_that_has_become_too_small_is_replaced_by_a_bigger_one() -> None:
    hall = small_hall(servers=2)
    hall.server("big", "r1", ("leaf1", "leaf1"), unit=9, disks=(100,))
    now, before = active(hall)
    change = changed(now, before, (COMPACT[0].model_copy(update={"disk_gib": 50}),), capacity_gib=40)
    assert (names(change.leaving), names(change.joining)) == (["r1-s1"], ["big"])


def test_a_server_out_of_use_does_not_stay() -> None:
    hall = small_hall(servers=4)
    now, before = active(hall, DISTRIBUTED)
    dead = before.servers[-1].server
    devices = tuple(d.model_copy(update={"out_of_use": "dead"}) if d.name == dead else d for d in now.devices)
    broken = replace(now, devices=devices)
    assert is_already(before, before.request, DISTRIBUTED, now)
    assert not is_already(before, before.request, DISTRIBUTED, broken)
    change = changed(broken, before, DISTRIBUTED)
    assert names(change.leaving) == [dead] and len(change.joining.servers) == 1


def test_hardware_from_the_storeroom_joins_like_any_other() -> None:
    hall = small_hall(servers=0)
    hall.server("r1-s1", "r1", ("leaf1", "leaf1"), unit=1)
    hall.server("spare-1", None, feeds=())
    now, before = active(hall, (STORAGE.model_copy(update={"count": 1}),))
    change = changed(now, before, (STORAGE.model_copy(update={"count": 2}),))
    assert change.after.installs == change.joining.installs == ("spare-1",)
    assert {c.b.device for c in change.after.cables} == {"spare-1"}
    assert (HoldKind.UNIT, "north/r2/1") in {(h.kind, h.key) for h in change.after.holds}, "where nothing stands yet"


def test_it_is_remembered_who_came_from_the_storeroom() -> None:
    """Whoever ends the instance has them carried back, however often it was changed in between."""
    now, before = active(small_hall(servers=4), DISTRIBUTED)
    stored = before.model_copy(update={"installs": (before.servers[0].server, before.servers[-1].server)})
    after = changed(now, stored, distributed(storage=2)).after
    again = changed(now, after, distributed(storage=2, web=3)).after
    staying = tuple(name for name in stored.installs if name in names(after))
    assert stored.from_storeroom == stored.installs and staying
    assert after.from_storeroom == again.from_storeroom == staying


def test_old_and_new_are_joined_while_data_moves() -> None:
    """The old server is on leaf1, the new one on leaf2: the back network must pass the trunk."""
    hall = small_hall(servers=0)
    hall.server("old", "r1", ("leaf1", "leaf1"))
    hall.server("new", "r2", ("leaf2", "leaf2"), disks=(100,))
    now, before = active(hall)
    assert not [t for t in before.trunks if t.change.vlan == 100]
    change = changed(now, before, (COMPACT[0].model_copy(update={"disk_gib": 50}),))
    assert [t.switch for t in change.joining.trunks if t.change.vlan == 100] == ["leaf1", "leaf2"]
    # The next change finds that the trunk is not needed any more.
    now = now.released("acme-1").holding("acme-1", change.after.holds)
    later = changed(now, change.after, (COMPACT[0].model_copy(update={"disk_gib": 60}),))
    assert [t.switch for t in later.leaving.trunks if t.change.vlan == 100] == ["leaf1", "leaf2"]


def test_the_refusal_says_what_stays_and_what_is_missing() -> None:
    now, before = active(small_hall(servers=3), DISTRIBUTED)
    with pytest.raises(CannotPlace) as refusal:
        changed(now, before, distributed(storage=5), tier="distributed")
    assert str(refusal.value) == (
        "acme-1 needs, besides the 5 servers that stay, 2 servers for storage (1 GiB of memory, 1 core, 1 disk of "
        "2 GiB, cables for back); site north has 1 free that fit, in rack r2, 1 too few (5 are in the instance "
        "itself). Add 1."
    )


def test_addresses_that_run_out_are_named() -> None:
    hall = small_hall(servers=4)
    hall.endpoints = 3
    now, before = active(hall)
    with pytest.raises(CannotPlace, match=r"needs 2 addresses for its servers.* has 1 free between .*Free 1 more or"):
        changed(now, before, DISTRIBUTED)


@pytest.mark.parametrize(
    ("fields", "needs", "said"),
    [
        ({"capacity_gib": 9}, distributed(), "capacity_gib 9, now 10"),
        ({"tier": "compact"}, COMPACT, "tier 'compact', now 'distributed'"),
        ({"features": ("quotas",)}, distributed(), "without feature 'versioning'"),
        ({"storage_servers": 2}, distributed(storage=2), "2 servers for storage, now 3"),
    ],
)
def test_scaling_up_never_makes_smaller_and_scaling_down_never_bigger(
    fields: dict[str, object], needs: tuple[ServerNeed, ...], said: str
) -> None:
    _, before = active(small_hall(servers=4), DISTRIBUTED)
    request_before = asked(tier="distributed", capacity_gib=10, features=("quotas", "versioning"))
    before = before.model_copy(update={"request": request_before})
    smaller = request_before.model_copy(update=fields)
    check_direction(before, smaller, needs, TIERS, DOWN)
    with pytest.raises(BadInput) as refusal:
        check_direction(before, smaller, needs, TIERS, UP)
    assert str(refusal.value) == f"ScaleUp cannot make acme-1 smaller ({said}); use ScaleDown for that."


def test_scaling_down_refuses_to_add() -> None:
    _, before = active(small_hall(servers=4), DISTRIBUTED)
    before = before.model_copy(update={"request": asked(tier="distributed")})
    bigger = asked(tier="distributed", capacity_gib=2, features=("quotas",))
    check_direction(before, bigger, distributed(storage=4), TIERS, UP)
    with pytest.raises(BadInput) as refusal:
        check_direction(before, bigger, distributed(storage=4), TIERS, DOWN)
    assert str(refusal.value) == (
        "ScaleDown cannot make acme-1 bigger (capacity_gib 2, now 1, with feature 'quotas', 4 servers for storage, "
        "now 3); use ScaleUp for that."
    )


def test_what_joins_and_cannot_be_used_is_planned_anew_within_the_change() -> None:
    hall = small_hall(servers=0)
    hall.server("old", "r1", ("leaf1", "leaf1"))
    hall.server("spare-1", None)
    hall.server("spare-2", None)
    now, before = active(hall, (STORAGE.model_copy(update={"count": 1}),))
    change = changed(now, before, COMPACT)
    assert change.after.installs == ("spare-1",)
    devices = tuple(d.model_copy(update={"out_of_use": "dead"}) if d.name == "spare-1" else d for d in now.devices)
    target = change.after.model_copy(update={"remembered": {"generation": 1}})
    again = replan(target, COMPACT, replace(now, devices=devices), before)
    assert (again.installs, again.leaves, again.procedure) == (("spare-2",), ("old",), UP)
    assert again.remembered == target.remembered
    assert [n.address for s in again.servers for n in s.nics] == [n.address for s in target.servers for n in s.nics]
