"""The promises of a change, on random halls and random sizes before and after."""

from __future__ import annotations

import random
from dataclasses import replace

import networkx as nx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.errors import CannotPlace
from freehold.models.change import Change
from freehold.models.plan import HoldKind, Plan, PlannedServer
from freehold.planning.change import DOWN, UP, is_already, plan_change
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import ServerNeed
from tests.halls import BACK, FRONT, request
from tests.planning.test_promises import check_addresses, halls, installed

ROLES = {"web": (FRONT, BACK), "storage": (BACK,), "all": (FRONT, BACK)}


@st.composite
def sizes(draw: st.DrawFn) -> tuple[ServerNeed, ...]:
    """A tier of up to two kinds of servers."""
    return tuple(
        ServerNeed(
            roles=(role,),
            count=draw(st.integers(1, 3)),
            networks=ROLES[role],
            disks=draw(st.integers(0, 1)) if role == "storage" else 0,
            disk_gib=draw(st.sampled_from([0, 10, 20])) if role == "storage" else 0,
        )
        for role in draw(st.sampled_from([("all",), ("storage",), ("web", "storage")]))
    )


def keys(plan: Plan) -> set[tuple[HoldKind, str]]:
    return {(h.kind, h.key) for h in plan.holds}


def known(server: PlannedServer) -> PlannedServer:
    """All but whether it is on, which a later look may see otherwise."""
    return server.model_copy(update={"powered": True})


def check_change(change: Change, needs: tuple[ServerNeed, ...], now: InventorySnapshot) -> None:
    before, after = change.before, change.after
    assert (after.endpoint, after.networks[: len(before.networks)]) == (before.endpoint, before.networks)
    assert [s.roles for s in after.servers] == [n.roles for n in needs for _ in range(n.count)]
    old, new = {s.server: s for s in before.servers}, {s.server: s for s in after.servers}
    joining, leaving = ({s.server for s in part.servers} for part in (change.joining, change.leaving))
    assert not joining & old.keys() and not leaving & new.keys() and set(after.leaves) == leaving
    for name in old.keys() & new.keys():
        assert known(old[name]) == known(new[name]), "what stays keeps its roles, addresses and ports"
    ports = {(p.switch, p.change.port): p for p in before.ports}
    assert all(ports.get((p.switch, p.change.port), p) == p for p in after.ports)
    mine = {thing for thing, who in now.holds.items() if who == before.instance}
    assert mine == keys(before)
    assert not keys(change.after) & now.holds.keys() - mine, "nothing that others hold is planned"
    addresses = [n.address for s in (old | new).values() for n in s.nics]
    assert len(addresses) == len(set(addresses)), "old and new can live side by side"
    check_roads(change, now)


def check_roads(change: Change, now: InventorySnapshot) -> None:
    """While both plans are there, each network joins all of its servers, old and new, and runs in no circle."""
    for network in change.after.networks:
        carried = nx.Graph()
        for trunk in (*change.before.trunks, *change.after.trunks):
            end = now.far_end(trunk.switch, trunk.change.port)
            if trunk.change.vlan == network.vlan and end:
                carried.add_edge(trunk.switch, end[0])
        servers = (*change.before.servers, *change.after.servers)
        carried.add_nodes_from(n.switch for s in servers for n in s.nics if n.network is network.purpose)
        assert not carried or (nx.is_connected(carried) and nx.is_forest(carried))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(hall=halls(), first=sizes(), steps=st.lists(sizes(), min_size=1, max_size=3), others=sizes(), back=st.booleans())
def test_promises_hold_over_changes(
    hall: InventorySnapshot,
    first: tuple[ServerNeed, ...],
    steps: list[tuple[ServerNeed, ...]],
    others: tuple[ServerNeed, ...],
    back: bool,
) -> None:
    """An instance changes several times, beside another one that comes in between."""
    try:
        plan = plan_instance(request(), first, hall)
    except CannotPlace:
        return
    now = installed(plan, hall).holding(plan.instance, plan.holds)
    for needs in steps:
        try:
            change = Change(before=plan, after=plan_change(plan, request(), needs, now, UP))
        except CannotPlace:
            continue
        check_change(change, needs, now)
        during = installed(change.after, now).holding("acme-1", change.after.holds)
        check_addresses(change.after, during)
        try:
            other = plan_instance(request("globex-1", "globex"), others, during)
            assert not keys(other) & (keys(change.before) | keys(change.after))
        except CannotPlace:
            pass
        if back:
            assert during.released("acme-1").holding("acme-1", change.before.holds).holds == now.holds
            continue
        freed = keys(change.before) - keys(change.after)
        now = during.released("acme-1").holding("acme-1", change.after.holds)
        assert not freed & now.holds.keys() and set(now.holds) == keys(change.after)
        plan = change.after


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hall=halls(), before=sizes(), after=sizes(), seed=st.integers(0, 2**16))
def test_same_change_same_hash_in_any_order_of_rows(
    hall: InventorySnapshot, before: tuple[ServerNeed, ...], after: tuple[ServerNeed, ...], seed: int
) -> None:
    try:
        plan = plan_instance(request(), before, hall)
    except CannotPlace:
        return
    now = installed(plan, hall).holding("acme-1", plan.holds)
    rows = random.Random(seed)
    other = replace(
        now,
        devices=tuple(rows.sample(now.devices, len(now.devices))),
        cables=tuple(rows.sample(now.cables, len(now.cables))),
        racks=tuple(rows.sample(now.racks, len(now.racks))),
    )

    def outcome(snapshot: InventorySnapshot) -> str:
        try:
            return plan_change(plan, request(), after, snapshot, DOWN).hash
        except CannotPlace as refusal:
            return str(refusal)

    assert outcome(now) == outcome(other) == outcome(now)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(hall=halls(), size=sizes())
def test_asking_for_what_is_there_changes_nothing(hall: InventorySnapshot, size: tuple[ServerNeed, ...]) -> None:
    try:
        plan = plan_instance(request(), size, hall)
    except CannotPlace:
        return
    now = installed(plan, hall).holding("acme-1", plan.holds)
    assert is_already(plan, request(), size, now)
    change = Change(before=plan, after=plan_change(plan, request(), size, now, UP))
    for part in (change.joining, change.leaving):
        assert not (part.servers or part.ports or part.trunks)
    assert not change.after.needs_hands
