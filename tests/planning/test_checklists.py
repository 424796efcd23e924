"""Promises of checklists: everything once, in the order of the walk; and exactly what is wrong is asked for again."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import DeviceUnreachable
from freehold.models.cabling import CableFinding, Sight, Verdict
from freehold.models.checklist import ConfirmItems, Item, ItemKind, ItemState, Place
from freehold.models.hall import Device, DeviceKind, Hall, Management, Position
from freehold.models.network import PortRef
from freehold.models.plan import Plan, PlannedServer
from freehold.planning import hands
from freehold.planning.checklists import installation
from freehold.planning.provision import plan_instance
from freehold.planning.removal import removal, still_plugged
from freehold.planning.snapshot import InventorySnapshot, natural
from tests.halls import COMPACT, request, small_hall

AT = datetime(2026, 1, 1, tzinfo=UTC)
WALK = [ItemKind.RACK, ItemKind.FEED, ItemKind.CABLE, ItemKind.POWER_ON]


@st.composite
def plans(draw: st.DrawFn) -> tuple[Plan, dict[str, Place]]:
    """Some servers mounted (on or off), the rest from the storeroom, with two to four NICs."""
    hall = small_hall(servers=0)
    for number in range(draw(st.integers(0, 2))):
        leaf = draw(st.sampled_from(["1", "2"]))
        hall.server(f"m{number}", f"r{leaf}", (f"leaf{leaf}",) * 2, unit=number + 5, powered=draw(st.booleans()))
    for number in range(draw(st.integers(1, 4))):
        hall.server(f"s{number}", None, nics=draw(st.integers(2, 4)), powered=False)
    built = hall.build()
    servers = sum(d.kind == "server" for d in built.devices)
    needs = (COMPACT[0].model_copy(update={"count": draw(st.integers(1, servers))}),)
    places = {d.name: Place(rack=d.position.rack, unit=d.position.unit) for d in built.devices if d.position}
    return plan_instance(request(), needs, InventorySnapshot.of(built)), places


@settings(max_examples=80, deadline=None)
@given(made=plans())
def test_everything_once_in_the_order_of_the_walk(made: tuple[Plan, dict[str, Place]]) -> None:
    plan, places = made
    items = installation(plan, places)
    ids = [i.id for i in items]
    assert len(ids) == len(set(ids)), "each item once"
    assert ids == [i.id for i in installation(plan, {})], "ids and order do not depend on what is known of places"
    about = {kind: [i for i in items if i.kind is kind] for kind in WALK}
    assert {i.device for i in about[ItemKind.RACK]} == set(plan.installs) == {i.device for i in about[ItemKind.FEED]}
    assert {i.device for i in about[ItemKind.POWER_ON]} == {*plan.installs, *plan.power_on}
    assert {i.cable for i in about[ItemKind.CABLE]} == set(plan.cables)
    racks = [rack for rack, _ in groupby(items, key=lambda i: i.place and i.place.rack)]
    assert racks == sorted(set(racks), key=lambda r: natural(str(r))), "nobody walks back to a rack"
    for device in plan.installs:
        kinds = [WALK.index(i.kind) for i in items if i.device == device]
        assert kinds == sorted(kinds), "a server is racked, fed, cabled and only then switched on"
    for _, group in groupby(about[ItemKind.CABLE], key=lambda i: i.place and i.place.rack):
        units = [i.place.unit for i in group if i.place]
        assert units == sorted(units), "bottom up"
    for item in about[ItemKind.CABLE]:
        assert item.cable and str(item.cable.a) in item.instruction and str(item.cable.b) in item.instruction
        assert all(item.cable_places), "both ends have a place"


@settings(max_examples=40, deadline=None)
@given(made=plans())
def test_removal_takes_back_what_was_installed(made: tuple[Plan, dict[str, Place]]) -> None:
    plan, places = made
    servers = {s.server: s for s in plan.servers}
    where = {**places, **{n: Place(rack=s.rack, unit=s.unit) for n, s in servers.items()}}
    standing = [_standing(s) for s in servers.values()]
    cables = list({c.label: c for c in (*(n.cable for s in servers.values() for n in s.nics), *plan.cables)}.values())
    items = removal(standing, cables, where)
    assert len({i.id for i in items}) == len(items) == len(cables) + 2 * len(servers)
    first = [i.kind for i in items[: len(cables)]]
    assert set(first) == {ItemKind.UNCABLE}, "cables first, while both ends can be seen"
    for device in servers:
        mine = [i.kind for i in items if i.device == device and i.kind is not ItemKind.UNCABLE]
        assert mine == [ItemKind.POWER_OFF, ItemKind.UNRACK]
    racks = [rack for rack, _ in groupby(items[len(cables) :], key=lambda i: i.place and i.place.rack)]
    assert racks == sorted(set(racks), key=lambda r: natural(str(r))), "nobody walks back to a rack"


def _standing(server: PlannedServer) -> Device:
    return Device(
        name=server.server,
        kind=DeviceKind.SERVER,
        serial=server.serial,
        site="north",
        position=Position(rack=server.rack, unit=server.unit),
        management=Management(address=IPv4Address("198.18.0.9")),
    )


def test_a_cable_is_gone_when_no_end_that_answers_sees_anybody() -> None:
    cable = plan_instance(request(), COMPACT, InventorySnapshot.of(_one_spare())).cables[0]

    def sight(end: PortRef, *neighbours: PortRef, answered: bool = True) -> Sight:
        return Sight(port=end, neighbours=neighbours, answered=answered)

    assert still_plugged([cable], [sight(cable.a), sight(cable.b)]) == ()
    assert still_plugged([cable], [sight(cable.a), sight(cable.b, answered=False)]) == ()
    for sights in ([sight(cable.a, cable.b), sight(cable.b)], [sight(cable.a), sight(cable.b, cable.a)]):
        (found,) = still_plugged([cable], sights)
        assert found.verdict is Verdict.UNEXPECTED and f"Pull it out of {cable.a} and {cable.b}" in found.words
    with pytest.raises(DeviceUnreachable, match=cable.label):
        still_plugged([cable], [sight(cable.a, answered=False), sight(cable.b)])


def finding(item: Item, verdict: Verdict) -> CableFinding:
    assert item.cable is not None
    return CableFinding(cable=item.cable, verdict=verdict, words=f"{item.cable.label} is {verdict}")


@settings(max_examples=150, deadline=None)
@given(made=plans(), data=st.data())
def test_exactly_the_wrong_items_are_asked_for_again(made: tuple[Plan, dict[str, Place]], data: st.DataObject) -> None:
    plan, places = made
    items = {i.id: i for i in installation(plan, places)}
    powered = [i.id for i in items.values() if i.kind is not ItemKind.CABLE]
    items, _ = hands.confirm(items, ConfirmItems(operator="tom", done=tuple(powered)), AT)
    items = hands.verified(items, powered)
    issued = dict.fromkeys(items, 1)
    for _ in range(data.draw(st.integers(1, 4))):
        waiting = [i.id for i in items.values() if i.state is ItemState.OPEN]
        done = data.draw(st.lists(st.sampled_from(waiting), unique=True)) if waiting else []
        before = items
        items, fresh = hands.confirm(items, ConfirmItems(operator="tom", done=tuple(done)), AT)
        assert set(fresh) == set(done)
        again, none = hands.confirm(items, ConfirmItems(operator="tina", done=tuple(done)), AT)
        assert (again, none) == (items, ()), "saying it twice changes nothing, not even who did it"
        asked = hands.to_judge(items)
        assert {i.id for i in asked} == {i.id for i in items.values() if i.kind is ItemKind.CABLE} - {
            i.id for i in items.values() if i.state is ItemState.OPEN
        }
        unsettled = [i for i in asked if i.state is ItemState.CONFIRMED]
        wrong = data.draw(st.lists(st.sampled_from(unsettled), unique=True)) if unsettled else []
        seen = [finding(i, Verdict.MISSING if i in wrong else Verdict.OK) for i in asked]
        items, reissued = hands.judged(items, asked, seen)
        assert {r.item for r in reissued} == {i.id for i in wrong}
        for item in wrong:
            issued[item.id] += 1
        assert {n: i.issue for n, i in items.items()} == issued
        for name, item in items.items():
            if before[name].state is ItemState.VERIFIED:
                assert item.state is ItemState.VERIFIED, "what is right is never asked twice"
    items, _ = hands.confirm(items, ConfirmItems(operator="tom", done=("all",)), AT)
    asked = hands.to_judge(items)
    items, _ = hands.judged(items, asked, [finding(i, Verdict.OK) for i in asked])
    assert {i.state for i in items.values()} <= {ItemState.VERIFIED}


def test_a_cable_that_should_not_be_there_becomes_an_item() -> None:
    plan = plan_instance(request(), COMPACT, InventorySnapshot.of(_one_spare()))
    items = {i.id: i for i in installation(plan, {})}
    stray = plan.cables[0].model_copy(update={"label": "stray"})
    words = "A cable leads where none should be. Pull it."
    found = CableFinding(cable=stray, verdict=Verdict.UNEXPECTED, words=words)
    after, (reissue,) = hands.judged(items, (), [found])
    assert reissue.item == "cable:stray" and after["cable:stray"].finding == words
    assert after["cable:stray"].state is ItemState.OPEN and after["cable:stray"].issue == 2


def _one_spare() -> Hall:
    hall = small_hall(servers=0)
    hall.server("spare", None)
    return hall.build()
