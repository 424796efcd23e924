"""The promises of planning, on random halls and random requests and releases."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import networkx as nx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.errors import CannotPlace
from freehold.models.hall import DeviceKind, Hall, Position
from freehold.models.network import PortMode
from freehold.models.plan import HoldKind, Plan
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed
from tests.halls import BACK, FRONT, HallBuilder, request

FEEDS = st.sampled_from([("a",), ("b",), ("a", "b"), ()])
NETWORKS = st.sampled_from([(FRONT,), (BACK,), (FRONT, BACK)])
NEED = st.builds(
    ServerNeed,
    roles=st.just(("role",)),
    count=st.integers(1, 3),
    networks=NETWORKS,
    disks=st.integers(0, 1),
    disk_gib=st.sampled_from([0, 10, 20]),
    memory_gib=st.sampled_from([1, 8]),
)
NEEDS = st.lists(NEED, min_size=1, max_size=3).map(tuple)
# A release names the instance by its place among the living.
STEP = st.one_of(st.tuples(st.sampled_from(["acme", "globex"]), NEEDS), st.integers(0, 3))


@st.composite
def halls(draw: st.DrawFn) -> InventorySnapshot:
    racks = draw(st.integers(1, 3))
    hall = HallBuilder()
    for rack in range(racks):
        hall.rack(f"r{rack}")
        hall.switch(f"leaf{rack}", f"r{rack}")
    for one, other in combinations(range(racks), 2):
        if draw(st.sampled_from([True, True, False])):
            hall.trunk(f"leaf{one}", f"leaf{other}")
    # Most servers are mounted and cabled, else nearly every request would be refused.
    leaf = st.sampled_from([None, *[f"leaf{rack}" for rack in range(racks)] * 4])
    for number in range(draw(st.integers(2, 7))):
        rack = draw(st.sampled_from([None, *[f"r{r}" for r in range(racks)] * 4]))
        hall.server(
            f"s{number}",
            rack,
            draw(st.tuples(leaf, leaf)) if rack else (),
            unit=number + 1,
            feeds=draw(FEEDS),
            disks=draw(st.sampled_from([(), (10,), (20,), (10, 20)])),
            memory_gib=draw(st.sampled_from([4, 16])),
            powered=draw(st.booleans()),
        )
    for customer in ("acme", "globex"):
        if draw(st.booleans()):
            hall.host(f"{customer}-host", customer, f"leaf{draw(st.integers(0, racks - 1))}")
    return InventorySnapshot.of(hall.build())


def fitting(need: ServerNeed, now: InventorySnapshot) -> Iterator[str]:
    """Written anew on purpose: what planning may use, without planning's own code."""
    for server in now.devices:
        if server.kind is not DeviceKind.SERVER or server.position is None:
            continue
        big = sum(d.size_gib >= need.disk_gib for d in server.disks) >= need.disks
        ports = [now.far_end(server.name, server.nics[0 if p is FRONT else 1].name) for p in need.networks]
        free = (HoldKind.SERVER, server.name) not in now.holds and all(
            p and (HoldKind.PORT, f"{p[0]}/{p[1]}") not in now.holds for p in ports
        )
        if big and free and server.memory_gib >= need.memory_gib:
            yield server.name


def joined(now: InventorySnapshot, switches: set[str]) -> bool:
    graph = nx.Graph((c.a.device, c.b.device) for c in now.cables if now.device[c.b.device].kind is DeviceKind.SWITCH)
    graph.add_nodes_from(switches)
    return not switches or switches <= nx.node_connected_component(graph, min(switches))


def assignments(
    needs: tuple[ServerNeed, ...], now: InventorySnapshot, taken: frozenset[str] = frozenset()
) -> Iterator[list[tuple[str, ...]]]:
    """Every way to meet the needs, by trying all."""
    if not needs:
        yield []
        return
    for chosen in combinations(sorted(set(fitting(needs[0], now)) - taken), needs[0].count):
        for rest in assignments(needs[1:], now, taken | set(chosen)):
            yield [chosen, *rest]


def works(needs: tuple[ServerNeed, ...], now: InventorySnapshot, customer: str, way: list[tuple[str, ...]]) -> bool:
    switches: dict[object, set[str]] = {FRONT: set(), BACK: set()}
    for need, servers in zip(needs, way, strict=True):
        for server in servers:
            for purpose in need.networks:
                end = now.far_end(server, now.device[server].nics[0 if purpose is FRONT else 1].name)
                assert end is not None
                switches[purpose].add(end[0])
    for host in now.devices:
        if host.customer == customer:
            end = now.far_end(host.name, "eth1")
            assert end is not None
            switches[FRONT].add(end[0])
    return joined(now, switches[FRONT]) and joined(now, switches[BACK])


def installed(plan: Plan, now: InventorySnapshot) -> InventorySnapshot:
    """The hall after people did what the plan asks of them."""
    planned = {s.server: s for s in plan.servers}
    devices = []
    for device in now.devices:
        update: dict[str, object] = {}
        if device.name in plan.installs:
            server = planned[device.name]
            update = {"position": Position(rack=server.rack, unit=server.unit), "feeds": server.feeds}
        if device.name in (*plan.installs, *plan.power_on):
            update["powered"] = True
        devices.append(device.model_copy(update=update))
    return replace(now, devices=tuple(devices), cables=(*now.cables, *plan.cables))


def check_installs(plan: Plan, before: InventorySnapshot) -> None:
    """What people are asked to do can be done, and would give a hall that is whole."""
    after = installed(plan, before)
    site = next(s for s in after.sites if s.name == plan.request.site)
    Hall.model_validate(
        {
            "name": "after",
            "management": after.management,
            "sites": [site],
            "racks": after.racks,
            "devices": after.devices,
            "cables": after.cables,
            "customers": after.customers,
        }
    )
    racks = {r.name: r for r in before.racks}
    held = {(h.kind, h.key) for h in plan.holds}
    for server in plan.servers:
        was = before.device[server.server]
        assert (server.server in plan.installs) == (was.position is None)
        assert (server.server in plan.power_on) == (was.position is not None and not was.powered)
        if server.server in plan.installs:
            assert set(server.feeds) <= set(racks[server.rack].feeds) and server.feeds
            unit = (HoldKind.UNIT, f"north/{server.rack}/{server.unit}")
            assert unit in held and unit not in before.holds
            cabled = {p for c in plan.cables for p in (str(c.a), str(c.b)) if p.startswith(f"{server.server}/")}
            assert len(cabled) == len(was.nics), "all NICs of a new server are cabled"
    for cable in plan.cables:
        port = (HoldKind.PORT, str(cable.a))
        assert port in held and port not in before.holds
        assert before.initial[cable.a.device, cable.a.port].mode is PortMode.CLOSED
        assert cable.b.device in {s.server for s in plan.servers}


def check_plan(plan: Plan, needs: tuple[ServerNeed, ...], before: InventorySnapshot) -> None:
    names = [s.server for s in plan.servers]
    assert len(names) == len(set(names)) == sum(n.count for n in needs), "a server is used once"
    holds = [(h.kind, h.key) for h in plan.holds]
    assert len(holds) == len(set(holds))
    assert not set(holds) & before.holds.keys(), "nothing that is held is planned"
    way, rest = [], list(names)
    for need in needs:
        way.append(tuple(rest[: need.count]))
        rest = rest[need.count :]
        assert set(way[-1]) <= set(fitting(need, before))
    assert works(needs, before, plan.request.customer, way)
    ports = [(p.switch, p.change.port) for p in plan.ports]
    spare = {str(c.a) for c in plan.cables}
    assert {f"{s}/{p}" for s, p in ports} | spare == {k for kind, k in holds if kind is HoldKind.PORT}
    check_addresses(plan, before)
    check_paths(plan, before)


def check_addresses(plan: Plan, before: InventorySnapshot) -> None:
    """Every NIC has an address in its network, and no host, server or endpoint has the same."""
    taken = {d.address.ip for d in before.devices if d.address} | {plan.endpoint.address.ip}
    held = {h.key for h in plan.holds if h.kind is HoldKind.ADDRESS}
    for nic in (n for s in plan.servers for n in s.nics):
        network = plan.network(nic.network)
        assert nic.address and network and nic.address.network == network.prefix
        assert nic.address.ip not in taken and f"north/{nic.address.ip}" in held
        taken.add(nic.address.ip)


def check_paths(plan: Plan, now: InventorySnapshot) -> None:
    """Through the trunks that carry it, each network joins all its servers and hosts, and runs in no circle."""
    for network in plan.networks:
        carried = nx.Graph()
        for trunk in plan.trunks:
            if trunk.change.vlan == network.vlan:
                end = now.far_end(trunk.switch, trunk.change.port)
                assert end is not None
                carried.add_edge(trunk.switch, end[0])
        ends = {n.switch for s in plan.servers for n in s.nics if n.network is network.purpose}
        if network.purpose is FRONT:
            ends |= set(now.host_switches(plan.request.customer, plan.request.site))
        carried.add_nodes_from(ends)
        assert not carried or (nx.is_connected(carried) and nx.is_forest(carried))


def assert_no_circle(customer: str, live: dict[str, Plan], now: InventorySnapshot) -> None:
    """A customer's instances share the customer's VLAN: the trunks that carry it, taken together, are a tree."""
    carried = nx.Graph()
    for plan in live.values():
        front = plan.network(FRONT)
        for trunk in plan.trunks:
            end = now.far_end(trunk.switch, trunk.change.port)
            if plan.request.customer == customer and front and end and trunk.change.vlan == front.vlan:
                carried.add_edge(trunk.switch, end[0])
    assert not carried or nx.is_forest(carried)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hall=halls(), steps=st.lists(STEP, min_size=1, max_size=5))
def test_promises_hold_over_requests_and_releases(
    hall: InventorySnapshot, steps: list[tuple[str, tuple[ServerNeed, ...]] | int]
) -> None:
    now = hall
    live: dict[str, Plan] = {}
    for number, step in enumerate(steps):
        if isinstance(step, int):
            if step < len(live):
                name = list(live)[step]
                plan = live.pop(name)
                now = now.released(name)
                assert not {(h.kind, h.key) for h in plan.holds} & now.holds.keys()
            continue
        customer, needs = step
        wanted = request(f"{customer}-{number}", customer)
        possible = any(works(needs, now, customer, way) for way in assignments(needs, now))
        try:
            plan = plan_instance(wanted, needs, now)
        except CannotPlace as refusal:
            assert not possible, f"refused what can be placed: {refusal}"
            continue
        asked_of_hands = bool(plan.installs or plan.cables)
        assert possible != asked_of_hands, "people install only when what is installed does not suffice"
        check_installs(plan, now)
        if not asked_of_hands:
            check_plan(plan, needs, now)
        check_plan(plan, needs, installed(plan, now))
        after = now.holding(plan.instance, plan.holds)
        assert after.released(plan.instance).holds == now.holds, "undo restores"
        live[plan.instance] = plan
        now = installed(plan, after)
        assert_no_circle(customer, live, now)
        held = [(h.kind, h.key) for p in live.values() for h in p.holds]
        assert len(held) == len(set(held)) == len(now.holds), "nothing is shared between instances"
    for name in live:
        now = now.released(name)
    assert now.holds == hall.holds


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hall=halls(), needs=NEEDS, seed=st.integers(0, 2**16))
def test_same_input_same_hash_in_any_order_of_rows(
    hall: InventorySnapshot, needs: tuple[ServerNeed, ...], seed: int
) -> None:
    rows = random.Random(seed)

    def shuffled(things: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rows.sample(things, len(things)))

    other = replace(
        hall,
        devices=shuffled(hall.devices),
        cables=shuffled(hall.cables),
        racks=shuffled(hall.racks),
        customers=shuffled(hall.customers),
    )

    def outcome(snapshot: InventorySnapshot) -> str:
        try:
            return plan_instance(request(), needs, snapshot).hash
        except CannotPlace as refusal:
            return str(refusal)

    assert outcome(hall) == outcome(other) == outcome(hall)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hall=halls(), need=NEED)
def test_servers_of_one_need_are_in_as_many_racks_as_possible(hall: InventorySnapshot, need: ServerNeed) -> None:
    def racks(names: tuple[str, ...]) -> int:
        return len({p.rack for n in names if (p := hall.device[n].position)})

    ways = [way[0] for way in assignments((need,), hall) if works((need,), hall, "acme", way)]
    if ways:
        plan = plan_instance(request(), (need,), hall)
        assert racks(tuple(s.server for s in plan.servers)) == max(map(racks, ways))
