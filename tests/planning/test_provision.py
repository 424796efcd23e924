"""What a plan says, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from freehold.errors import BadInput, CannotPlace
from freehold.models.hall import Hall
from freehold.models.network import PortConfig, PortMode
from freehold.models.plan import HoldKind, Plan
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot, natural
from freehold.services.base import ServerNeed
from tests.halls import BACK, COMPACT, DISTRIBUTED, FRONT, HallBuilder, request, small_hall


def snapshot(hall: HallBuilder | Hall) -> InventorySnapshot:
    return InventorySnapshot.of(hall.build() if isinstance(hall, HallBuilder) else hall)


def keep(snapshot: InventorySnapshot, plan: Plan) -> InventorySnapshot:
    return snapshot.holding(plan.instance, plan.holds)


def test_a_compact_instance_is_planned_whole() -> None:
    plan = plan_instance(request(customer="globex"), COMPACT, snapshot(small_hall()))
    (server,) = plan.servers
    assert server.server == "r1-s1"
    assert [(n.nic, n.network, n.switch, n.switch_port) for n in server.nics] == [
        ("eth1", FRONT, "leaf1", "swp2"),
        ("eth2", BACK, "leaf1", "swp3"),
    ]
    assert [str(n.address) for n in server.nics] == ["10.2.0.29/24", "10.64.0.1/26"]
    assert {n.purpose: (n.vlan, str(n.prefix)) for n in plan.networks} == {
        FRONT: (12, "10.2.0.0/24"),
        BACK: (100, "10.64.0.0/26"),
    }
    assert plan.endpoint.name == "acme-1.globex.freehold.internal"
    assert plan.endpoint.url == "https://10.2.0.10"
    assert plan.ports[0].change.config == PortConfig(mode=PortMode.ACCESS, vlan=12, description="acme-1 r1-s1")
    assert plan.ports[0].before == PortConfig()
    # globex's host is on leaf2, the server on leaf1: its VLAN passes the trunk, the back VLAN stays on leaf1.
    assert [(t.switch, t.change.port, t.change.vlan) for t in plan.trunks] == [
        ("leaf1", "swp1", 12),
        ("leaf2", "swp1", 12),
    ]
    assert [name for name, _ in plan.management] == ["leaf1", "leaf2", "r1-s1"]
    assert {(h.kind, h.key) for h in plan.holds} == {
        (HoldKind.SERVER, "r1-s1"),
        (HoldKind.PORT, "leaf1/swp2"),
        (HoldKind.PORT, "leaf1/swp3"),
        (HoldKind.VLAN, "north/100"),
        (HoldKind.PREFIX, "north/10.64.0.0/26"),
        (HoldKind.ADDRESS, "north/10.64.0.1"),
        (HoldKind.ADDRESS, "north/10.2.0.29"),
        (HoldKind.ADDRESS, "north/10.2.0.10"),
        (HoldKind.ENDPOINT_NAME, "acme-1.globex.freehold.internal"),
    }


def test_many_servers_spread_over_racks_and_feeds() -> None:
    plan = plan_instance(request(), DISTRIBUTED, snapshot(small_hall(servers=4)))
    web = [s for s in plan.servers if "web" in s.roles]
    storage = [s for s in plan.servers if "storage" in s.roles]
    assert {s.rack for s in web} == {"r1", "r2"}
    assert {s.feeds for s in web} == {("feed-a",), ("feed-b",)}
    assert sorted(s.rack for s in storage) in (["r1", "r1", "r2"], ["r1", "r2", "r2"])
    assert [n.network for n in storage[0].nics] == [BACK]
    assert {t.change.vlan for t in plan.trunks} == {11, 100}


def test_a_need_never_starves_a_later_one() -> None:
    hall = small_hall(servers=0)
    hall.server("a-big", "r1", ("leaf1", "leaf1"), unit=1, memory_gib=64)
    hall.server("b-small", "r1", ("leaf1", "leaf1"), unit=2, memory_gib=4, powered=False)
    needs = (
        ServerNeed(roles=("web",), count=1, networks=(FRONT,), memory_gib=4),
        ServerNeed(roles=("storage",), count=1, networks=(BACK,), memory_gib=64),
    )
    assert [s.server for s in plan_instance(request(), needs, snapshot(hall)).servers] == ["b-small", "a-big"]


def test_powered_servers_come_first_and_the_rest_is_told() -> None:
    hall = small_hall(servers=0)
    hall.server("a-off", "r1", ("leaf1", "leaf1"), unit=1, powered=False)
    hall.server("b-on", "r1", ("leaf1", "leaf1"), unit=2)
    first = plan_instance(request(), COMPACT, snapshot(hall))
    second = plan_instance(request("acme-2"), COMPACT, keep(snapshot(hall), first))
    assert [(s.server, s.powered) for p in (first, second) for s in p.servers] == [("b-on", True), ("a-off", False)]


def test_instances_of_one_customer_use_one_tree_of_trunks() -> None:
    """Three switches are joined in a triangle: if every instance took its own ways, the VLAN would run in a circle."""
    hall = HallBuilder()
    for number in (1, 2, 3):
        hall.rack(f"r{number}")
        hall.switch(f"leaf{number}", f"r{number}")
    for one, other in ((1, 2), (1, 3), (2, 3)):
        hall.trunk(f"leaf{one}", f"leaf{other}")
    for unit in (1, 2):
        for number in (1, 2):
            hall.server(f"r{number}-s{unit}", f"r{number}", (f"leaf{number}",) * 2, unit=unit)
    hall.host("acme-host", "acme", "leaf3")
    now, edges = snapshot(hall), set()
    for name, count in (("wide", 2), ("narrow-1", 1), ("narrow-2", 1)):
        plan = plan_instance(request(name), (COMPACT[0].model_copy(update={"count": count}),), now)
        now = keep(now, plan)
        for trunk in plan.trunks:
            end = now.far_end(trunk.switch, trunk.change.port)
            if trunk.change.vlan == 11 and end:
                edges.add(tuple(sorted((trunk.switch, end[0]))))
    assert edges == {("leaf1", "leaf3"), ("leaf2", "leaf3")}


def test_racks_matter_more_than_feeds() -> None:
    hall = small_hall(servers=0)
    hall.server("r1-a", "r1", ("leaf1", "leaf1"), unit=1, feeds=("feed-a",))
    hall.server("r1-b", "r1", ("leaf1", "leaf1"), unit=2, feeds=("feed-b",))
    hall.server("r2-a", "r2", ("leaf2", "leaf2"), unit=1, feeds=("feed-a",))
    plan = plan_instance(request(), (COMPACT[0].model_copy(update={"count": 2}),), snapshot(hall))
    assert [s.server for s in plan.servers] == ["r1-a", "r2-a"]


def test_a_vlan_that_passes_a_trunk_anyway_is_left_alone() -> None:
    built = small_hall().build()
    passing = PortConfig(mode=PortMode.TRUNK, trunk_vlans=(12,))

    def with_vlan(device_name: str) -> tuple[object, ...]:
        ports = built.device(device_name).ports
        return tuple(p.model_copy(update={"initial": passing}) if p.name == "swp1" else p for p in ports)

    devices = tuple(
        d.model_copy(update={"ports": with_vlan(d.name)}) if d.name.startswith("leaf") else d for d in built.devices
    )
    plan = plan_instance(request(customer="globex"), COMPACT, snapshot(built.model_copy(update={"devices": devices})))
    assert plan.trunks == ()


def test_back_networks_keep_out_of_what_exists() -> None:
    hall = small_hall()
    hall.vlans, hall.back_prefixes = (11, 13), "10.1.0.0/16"
    plan = plan_instance(request(), COMPACT, snapshot(hall))
    back = plan.network(BACK)
    assert back is not None
    assert back.vlan == 13  # 11 and 12 are the customers'
    assert str(back.prefix) == "10.1.1.0/26"  # 10.1.0.0/24 is acme's


def test_planning_again_for_the_same_instance_finds_its_own_things() -> None:
    now = snapshot(small_hall())
    plan = plan_instance(request(), COMPACT, now)
    assert plan_instance(request(), COMPACT, keep(now, plan)).hash == plan.hash


def test_order_of_rows_does_not_matter() -> None:
    now = snapshot(small_hall())
    turned = replace(
        now,
        devices=now.devices[::-1],
        cables=now.cables[::-1],
        racks=now.racks[::-1],
        customers=now.customers[::-1],
        holds=dict(reversed(now.holds.items())),
    )
    assert plan_instance(request(), DISTRIBUTED, now).hash == plan_instance(request(), DISTRIBUTED, turned).hash


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("customer", "umbrella", "customer 'umbrella' is not known; it is one of: acme, globex."),
        ("site", "west", "site 'west' is not known; it is one of: north."),
    ],
)
def test_unknown_names_are_refused_with_what_is_allowed(field: str, value: str, said: str) -> None:
    with pytest.raises(BadInput) as refusal:
        plan_instance(request(**{field: value}), COMPACT, snapshot(small_hall()))
    assert str(refusal.value) == said


def test_a_site_without_the_customers_network_is_refused() -> None:
    built = small_hall().build()
    south = built.sites[0].model_copy(update={"name": "south"})
    with pytest.raises(BadInput, match=r"customer acme has no private network there; it has one at: north\."):
        plan_instance(
            request(site="south"), COMPACT, snapshot(built.model_copy(update={"sites": (*built.sites, south)}))
        )


def test_the_refusal_says_what_is_missing_and_what_to_do() -> None:
    hall = small_hall(servers=1)
    hall.sites = ("north", "south")
    hall.server("spare-1", None)
    hall.server("r1-s8", "r1", ("leaf1", None), unit=8)
    hall.server("r1-s9", "r1", ("leaf1", "leaf1"), unit=9, disks=())
    hall.rack("s1", "south")
    hall.switch("south-leaf", "s1", site="south")
    for unit in (1, 2, 3):
        hall.server(f"south-s{unit}", "s1", ("south-leaf",) * 2, unit=unit, site="south")
    cabled = {cable[end] for cable in hall.cables for end in ("a", "b")}
    for leaf in hall.devices[:2]:  # no port is free for one more cable
        assert isinstance(leaf["ports"], list)
        leaf["ports"] = [p for p in leaf["ports"] if f"{leaf['name']}/{p['name']}" in cabled]
    now = snapshot(hall)
    now = keep(now, plan_instance(request("globex-1", "globex"), COMPACT, now))
    with pytest.raises(CannotPlace) as refusal:
        plan_instance(request(), (COMPACT[0].model_copy(update={"count": 3}),), now)
    assert str(refusal.value) == (
        "acme-1 needs 3 servers for web + storage (2 GiB of memory, 1 core, 1 disk, cables for front and back); "
        "site north has 1 free that fit, in rack r2, 2 too few (1 is held by other instances, 1 is in the storeroom, "
        "1 is mounted but not cabled for it, 1 is too small). Make room for 1 from the storeroom (rack units, feeds, "
        "leaf ports); or free switch ports to cable 1 that is mounted; or free 2; or ask for site south, which has "
        "enough."
    )


def test_servers_beyond_all_trunks_do_not_count() -> None:
    hall = small_hall(servers=1)
    hall.rack("r3")
    hall.switch("leaf3", "r3")
    hall.server("r3-s1", "r3", ("leaf3", "leaf3"))
    with pytest.raises(CannotPlace, match=r"has 2 free that fit.*1 is on switches that no trunk joins.*Cable a trunk"):
        plan_instance(request(), (COMPACT[0].model_copy(update={"count": 3}),), snapshot(hall))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vlans": (100, 100)}, r"needs 1 VLAN .* none free between 100 and 100"),
        ({"back_prefixes": "10.64.0.0/26"}, r"needs 1 back network .* none free in 10\.64\.0\.0/26"),
        ({"endpoints": 2}, r"needs 1 endpoint address; acme has none free .* between 10\.1\.0\.10 and 10\.1\.0\.11"),
        ({"endpoints": 3}, r"needs 1 address for its servers, besides its endpoint's, .* has 0 free between 10\.1\.0"),
    ],
)
def test_what_runs_out_is_named(change: dict[str, object], said: str) -> None:
    hall = small_hall()
    for field, value in change.items():
        setattr(hall, field, value)
    now = snapshot(hall)
    now = keep(now, plan_instance(request(), COMPACT, now))
    with pytest.raises(CannotPlace, match=said):
        plan_instance(request("acme-2"), COMPACT, now)


def test_names_sort_as_people_count() -> None:
    assert sorted(["s10", "s2", "s1", "r2-s1", "r10-s1"], key=natural) == ["r2-s1", "r10-s1", "s1", "s2", "s10"]


def test_a_server_from_the_storeroom_is_planned_with_its_place_and_cables() -> None:
    hall = small_hall(servers=0)
    hall.server("spare-1", None, nics=3, feeds=(), powered=False)
    hall.server("spare-2", None, nics=3, feeds=(), powered=False)
    plan = plan_instance(request(), COMPACT, snapshot(hall))
    (server,) = plan.servers
    assert plan.installs == ("spare-1",) and not plan.power_on
    assert (server.rack, server.unit, server.feeds) == ("r1", 1, ("feed-a", "feed-b"))
    assert [(c.label, str(c.b), c.length_m, c.colour) for c in plan.cables] == [
        ("leaf1.swp3", "spare-1/eth1", 5.0, "blue"),
        ("leaf1.swp4", "spare-1/eth2", 5.0, "yellow"),
        ("leaf1.swp5", "spare-1/eth3", 5.0, "grey"),
    ]
    assert [p.change.port for p in plan.ports] == ["swp3", "swp4"], "the spare NIC's port stays closed"
    assert {(HoldKind.UNIT, "north/r1/1"), (HoldKind.PORT, "leaf1/swp5")} <= {(h.kind, h.key) for h in plan.holds}


def test_what_is_mounted_is_switched_on_before_anything_is_carried() -> None:
    hall = small_hall(servers=0)
    hall.server("r1-s1", "r1", ("leaf1", "leaf1"), powered=False)
    hall.server("spare-1", None)
    plan = plan_instance(request(), COMPACT, snapshot(hall))
    assert (plan.installs, plan.power_on, plan.cables) == ((), ("r1-s1",), ())
