"""Servers that died: the way leads on without asking them anything, and only where nothing is lost with them."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from freehold.errors import CannotPlace
from freehold.models.plan import Plan
from freehold.models.request import ScaleRequest
from freehold.planning.change import DRAIN as CONSOLIDATE
from freehold.planning.change import next_plan
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.object_storage.blueprint import Role
from freehold.services.object_storage.layout import Layout
from freehold.services.object_storage.way import JOIN, MEET, PREPARE, SETTLE, path, way_back
from tests.services.object_storage.conftest import make_plan
from tests.services.object_storage.test_way import BLUEPRINT, GROW, HALL_OF_NINE, STORAGE, changed, names, whole

GROWN = changed(make_plan(HALL_OF_NINE), **GROW)


def without(plan: Plan, *dead: str, **asked: int) -> Plan:
    request = ScaleRequest(instance=plan.instance, requested_by="eve", **asked).applied_to(plan.request)
    now = InventorySnapshot.of(HALL_OF_NINE).holding(plan.instance, plan.holds)
    return next_plan(STORAGE, plan, request, now, CONSOLIDATE, dead, dead=True)


def holders(role: Role) -> list[str]:
    return [s.server for s in GROWN.servers if role in s.roles]


@pytest.mark.parametrize("dead", [s.server for s in GROWN.servers])
def test_nothing_is_asked_of_the_dead_and_of_every_partition_a_living_replica_stays(dead: str) -> None:
    after = without(GROWN, dead)
    assert (after.dead, after.leaves) == ((dead,), (dead,))
    stops = path(GROWN, after, BLUEPRINT)
    for waypoint in STORAGE.path(GROWN, after):
        assert dead not in {i.server for i in waypoint.intents} | {
            e.server for group in waypoint.errands() for e in group
        }
    start = Layout.of(GROWN, BLUEPRINT)
    own = start.keys(start.server(dead)) if dead in holders(Role.STORAGE) else set()
    before = start.rings["object"].primaries
    for stop in stops[1:]:
        for was, is_ in zip(before, stop.layout.rings["object"].primaries, strict=True):
            assert (set(was) & set(is_)) - own, f"{stop.name}: of a partition no replica that lives stays"
            assert not own & set(is_), f"{stop.name}: the dead server is in the ring"
    whole(stops[2:], stops[1].layout)
    assert stops[-1].layout.holder != dead
    assert Layout.of(after, BLUEPRINT).rings == stops[-1].layout.rings


def test_the_way_without_a_storage_server_copies_and_proves() -> None:
    dead = holders(Role.STORAGE)[0]
    stops = path(GROWN, without(GROWN, dead), BLUEPRINT)
    assert names(stops) == [PREPARE, JOIN, SETTLE]
    assert stops[1].moves and stops[2].moves, "both end with a proof of all replicas"
    assert not way_back(GROWN, without(GROWN, dead), PREPARE, BLUEPRINT)


def test_who_takes_over_the_endpoint_is_told() -> None:
    dead = str(GROWN.remembered["holder"])
    stops = path(GROWN, without(GROWN, dead), BLUEPRINT)
    assert names(stops) == [PREPARE, MEET, SETTLE]
    assert not any(stop.closes for stop in stops), "nobody waits for its connections to end"
    assert stops[-1].layout.holder in stops[-1].configure
    gone = Layout.of(GROWN, BLUEPRINT)
    address = gone.back_address(gone.server(dead))
    assert IPv4Address(address)
    for intent in STORAGE.path(GROWN, without(GROWN, dead))[-1].intents:
        assert not any(address in file.content.split() for file in intent.files), "still a peer of the others"


def test_four_become_three_without_the_dead_one() -> None:
    more = changed(GROWN, storage_servers=4)
    dead = next(s.server for s in more.servers if Role.STORAGE in s.roles)
    after = without(more, dead, storage_servers=3)
    assert len(after.servers) == len(more.servers) - 1
    assert names(path(more, after, BLUEPRINT)) == [PREPARE, JOIN, SETTLE]


def test_the_last_replica_is_not_given_up() -> None:
    with pytest.raises(CannotPlace, match=r"srv-1 has every replica of 64 of the 64 partitions of acme-1"):
        without(make_plan(HALL_OF_NINE), "srv-1")
    with pytest.raises(CannotPlace, match=r"have every replica of \d+ of the 64 partitions"):
        without(GROWN, *holders(Role.STORAGE)[:2])


def test_replicas_do_not_end_up_in_one_rack() -> None:
    """With nothing but rack r1 to choose from, the server in the other rack may not leave."""
    racks = {s.rack: s.server for s in GROWN.servers if Role.STORAGE in s.roles}
    assert len(racks) == 2
    alone = next(r for r in racks if sum(s.rack == r and Role.STORAGE in s.roles for s in GROWN.servers) == 1)
    spare = {d.name for d in HALL_OF_NINE.devices if d.position and d.position.rack == alone}
    hall = InventorySnapshot.of(HALL_OF_NINE).holding(GROWN.instance, GROWN.holds)
    hall = hall.draining(sorted(name for name in spare if hall.device[name].kind == "server"))
    request = ScaleRequest(instance=GROWN.instance, requested_by="eve").applied_to(GROWN.request)
    with pytest.raises(CannotPlace, match=rf"would all be in r\d.*takes all 2 replicas away.*e\.g\. {alone}"):
        next_plan(STORAGE, GROWN, request, hall, CONSOLIDATE, [racks[alone]])
