"""Promises of planning anew: nothing that is out of use stays in the plan, and everything else stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import CannotPlace
from freehold.models.hall import Position
from freehold.models.plan import HoldKind, Plan
from freehold.planning.provision import plan_instance
from freehold.planning.replan import replan, unusable
from freehold.planning.snapshot import InventorySnapshot
from tests.halls import COMPACT, DISTRIBUTED, HallBuilder, request, small_hall


def broken(now: InventorySnapshot, *things: str) -> InventorySnapshot:
    """The hall with these servers and ports out of use."""
    return replace(
        now,
        devices=tuple(
            d.model_copy(
                update={
                    "out_of_use": "dead" if d.name in things else d.out_of_use,
                    "ports": tuple(
                        p.model_copy(update={"out_of_use": "bent pins"}) if f"{d.name}/{p.name}" in things else p
                        for p in d.ports
                    ),
                }
            )
            for d in now.devices
        ),
    )


def storeroom(spares: int, mounted: int = 0, ports: int = 64) -> HallBuilder:
    hall = small_hall(servers=0)
    for leaf in (d for d in hall.devices if d["kind"] == "switch"):
        leaf["ports"] = leaf["ports"][:ports]  # type: ignore[index]
    for number in range(mounted):
        leaf = f"leaf{number % 2 + 1}"
        hall.server(f"m{number}", f"r{number % 2 + 1}", (leaf, leaf), unit=number + 20, powered=False)
    for number in range(spares):
        hall.server(f"s{number}", None, nics=3, powered=False)
    return hall


def planned(hall: HallBuilder, needs: tuple[object, ...] = COMPACT) -> tuple[Plan, InventorySnapshot]:
    now = InventorySnapshot.of(hall.build())
    plan = plan_instance(request(), needs, now)  # type: ignore[arg-type]
    return plan, now.holding(plan.instance, plan.holds)


def test_a_broken_port_is_replaced_by_the_next_free_one() -> None:
    plan, now = planned(storeroom(1))
    port = str(plan.cables[0].a)
    after = replan(plan, COMPACT, broken(now, port))
    old, by_nic = plan.cables[0], {c.b: c for c in after.cables}
    new = by_nic.pop(old.b)
    assert str(new.a) != port and new.a.device == old.a.device and set(by_nic.values()) == set(plan.cables[1:])
    assert after.servers[0].nics[0].cable == new and after.servers[0].nics[1:] == plan.servers[0].nics[1:]
    assert {p.change.port for p in after.ports} == {n.switch_port for n in after.servers[0].nics}
    gone = {(h.kind, h.key) for h in plan.holds} - {(h.kind, h.key) for h in after.holds}
    assert gone == {(HoldKind.PORT, port)}
    assert after.hash != plan.hash


def test_a_switch_without_a_free_port_leaves_the_work_to_another() -> None:
    plan, now = planned(storeroom(1, ports=5))  # a trunk, a host, and three for the server
    assert {c.a.device for c in plan.cables} == {"leaf1"}
    after = replan(plan, COMPACT, broken(now, str(plan.cables[0].a)))
    assert sorted(c.a.device for c in after.cables) == ["leaf1", "leaf1", "leaf2"]
    assert {t.switch for t in after.trunks} == {"leaf1", "leaf2"}, "its network passes the trunk now"


def test_no_free_port_is_said_with_the_way_out() -> None:
    plan, now = planned(storeroom(1, ports=5))
    free = [f"leaf2/swp{n}" for n in range(1, 6)]
    with pytest.raises(CannotPlace, match=r"has one free.*say `freehold inventory in-use"):
        replan(plan, COMPACT, broken(now, str(plan.cables[0].a), *free))


def test_a_dead_server_is_replaced_and_its_address_stays() -> None:
    plan, now = planned(storeroom(2))
    after = replan(plan, COMPACT, broken(now, plan.servers[0].server))
    (old,), (new,) = plan.servers, after.servers
    assert (old.server, new.server, after.installs) == ("s0", "s1", ("s1",))
    assert [n.address for n in new.nics] == [n.address for n in old.nics]
    assert (after.networks, after.endpoint) == (plan.networks, plan.endpoint)
    assert (new.rack, new.unit) == (old.rack, old.unit), "the place is free again"


def test_what_stands_already_is_in_nobodys_way() -> None:
    """The dead server was mounted and plugged before anybody saw that it is dead."""
    plan, now = planned(storeroom(2))
    (old,) = plan.servers
    standing = now.device[old.server].model_copy(
        update={"position": Position(rack=old.rack, unit=old.unit), "feeds": old.feeds}
    )
    now = replace(
        now,
        devices=tuple(standing if d.name == old.server else d for d in now.devices),
        cables=(*now.cables, *plan.cables),
    )
    after = replan(plan, COMPACT, broken(now, old.server))
    assert (after.servers[0].rack, after.servers[0].unit) != (old.rack, old.unit)
    assert not {c.a for c in after.cables} & {c.a for c in plan.cables}


def test_a_server_that_is_mounted_comes_before_one_from_the_storeroom() -> None:
    plan, now = planned(storeroom(1, mounted=2))
    assert plan.servers[0].server.startswith("m")
    after = replan(plan, COMPACT, broken(now, plan.servers[0].server))
    (new,) = after.servers
    assert new.server.startswith("m") and (after.installs, after.power_on) == ((), (new.server,))


def test_no_other_server_is_said_with_the_way_out() -> None:
    plan, now = planned(storeroom(1))
    with pytest.raises(CannotPlace, match=r"in the place of s0, which is out of use \(dead\).*in-use s0"):
        replan(plan, COMPACT, broken(now, "s0"))


def test_no_plan_takes_what_is_out_of_use() -> None:
    now = InventorySnapshot.of(storeroom(2).build())
    first = plan_instance(request(), COMPACT, now)
    port = str(first.cables[0].a)
    plan = plan_instance(request(), COMPACT, broken(now, first.servers[0].server, port))
    assert plan.servers[0].server != first.servers[0].server and port not in {str(c.a) for c in plan.cables}
    with pytest.raises(CannotPlace, match="out of use"):
        plan_instance(request(), COMPACT, broken(InventorySnapshot.of(small_hall(1).build()), "r1-s1", "r2-s1"))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_rest_stays(data: st.DataObject) -> None:
    hall = storeroom(data.draw(st.integers(5, 8)), data.draw(st.integers(0, 3)))
    plan, now = planned(hall, DISTRIBUTED)
    now = now.holding("globex-1", ())
    things = [s.server for s in plan.servers] + [str(c.a) for c in plan.cables]
    bad = data.draw(st.lists(st.sampled_from(things), min_size=1, max_size=3, unique=True))
    then = broken(now, *bad)
    try:
        after = replan(plan, DISTRIBUTED, then)
    except CannotPlace:
        assert len(now.device) - 4 - len([b for b in bad if "/" not in b]) < len(plan.servers)
        return
    assert not unusable(after, then) and not set(_things(after)) & set(bad)
    assert replan(after, DISTRIBUTED, then) == after, "doing it twice changes nothing"
    for old, new in zip(plan.servers, after.servers, strict=True):
        assert (old.roles, [n.address for n in old.nics]) == (new.roles, [n.address for n in new.nics])
        if old.server not in bad:
            assert old.model_copy(update={"nics": ()}) == new.model_copy(update={"nics": ()})
            kept = [(o, n) for o, n in zip(old.nics, new.nics, strict=True) if str(o.cable.a) not in bad]
            assert all(o == n for o, n in kept)
    assert (after.request, after.networks, after.endpoint) == (plan.request, plan.networks, plan.endpoint)
    ends = [str(end) for c in after.cables for end in (c.a, c.b)]
    assert len(ends) == len(set(ends)), "no port twice"
    held = {(h.kind, h.key) for h in after.holds}
    assert {(HoldKind.SERVER, s.server) for s in after.servers} <= held
    assert {(HoldKind.PORT, str(c.a)) for c in after.cables} <= held


def _things(plan: Plan) -> Mapping[str, None]:
    return dict.fromkeys([*(s.server for s in plan.servers), *(str(c.a) for c in plan.cables)])
