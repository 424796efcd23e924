"""The way from plan to plan: at every stop all data is whole, there and back, whatever was asked in between."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Interface
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.errors import BadInput
from freehold.lab.testing import HALL
from freehold.models.hall import load_hall
from freehold.models.plan import Plan
from freehold.models.request import ScaleRequest
from freehold.planning.change import plan_change
from freehold.planning.snapshot import InventorySnapshot
from freehold.services import service
from freehold.services.object_storage.blueprint import Role, blueprint
from freehold.services.object_storage.layout import Layout
from freehold.services.object_storage.rings import DRAINED
from freehold.services.object_storage.way import (
    DRAIN,
    JOIN,
    MEET,
    MOVE,
    PREPARE,
    SETTLE,
    SOFTWARE,
    Stop,
    path,
    way_back,
)
from tests.services.object_storage.conftest import make_plan

HALL_OF_NINE = load_hall(HALL)
STORAGE = service("object-storage")
BLUEPRINT = blueprint()

GROW: dict[str, Any] = {"tier": "distributed"}
SHRINK: dict[str, Any] = {"tier": "compact", "features": ()}

asked = st.sampled_from(
    (GROW, {"storage_servers": 4}, {"storage_servers": 3}, {"web_servers": 3}, {"features": ("versioning",)}, SHRINK)
)


def changed(plan: Plan, **asked: Any) -> Plan:
    request = ScaleRequest(instance=plan.instance, requested_by="eve", **asked).applied_to(plan.request)
    STORAGE.check_change(plan.request, request)
    snapshot = InventorySnapshot.of(HALL_OF_NINE).holding(plan.instance, plan.holds)
    return STORAGE.evolve(plan, plan_change(plan, request, STORAGE.needs(request), snapshot, "scale-up"))


def names(stops: tuple[Stop, ...]) -> list[str]:
    return [stop.name for stop in stops]


def changes(asked: list[dict[str, Any]]) -> Iterator[tuple[Plan, Plan]]:
    """Those of the wishes that are possible, one after the other."""
    plan = make_plan(HALL_OF_NINE)
    for wish in asked:
        try:
            after = changed(plan, **wish)
        except BadInput:
            continue
        yield plan, after
        plan = after


def whole(stops: tuple[Stop, ...], start: Layout) -> None:
    """No stop loses sight of data: of each partition at least one replica stays where it is."""
    last = start
    for stop in stops:
        for name, ring in stop.layout.rings.items():
            for before, after in zip(last.rings[name].primaries, ring.primaries, strict=True):
                assert len(set(after)) == len(after) == stop.layout.generations[-1].replicas
                assert set(before) & set(after), f"{stop.name}: a partition of {name} moves wholly at once"
        last = stop.layout


@settings(max_examples=20, deadline=None)
@given(st.lists(asked, min_size=1, max_size=5))
def test_data_stays_whole_there_and_back(wishes: list[dict[str, Any]]) -> None:
    for before, after in changes(wishes):
        start, there = Layout.of(before, BLUEPRINT), path(before, after, BLUEPRINT)
        whole(there, start)
        for reached in there:
            back = way_back(before, after, reached.name, BLUEPRINT)
            whole(back, reached.layout)
            if back:
                ended = back[-1].layout
                assert {s.server for s in ended.servers} == {s.server for s in before.servers}
                assert {d.key for d in ended.generations[-1].devices} == {d.key for d in start.generations[-1].devices}


class Electors:
    """Endpoint servers as they were configured last: whom each of them knows, and whether it may take the address."""

    def __init__(self, layout: Layout) -> None:
        self.knows: dict[str, set[str]] = {}
        self.may: set[str] = set()
        self.configure(layout, [s.server for s in layout.servers])

    def configure(self, layout: Layout, servers: list[str]) -> None:
        """All at the same time: nobody can count on what another one is told in this moment."""
        everybody = {s.server for s in layout.with_role(Role.ENDPOINT)}
        told = everybody & set(servers)
        for server in told - set(layout.resigned) - self.may:
            unaware = {other for other in self.may if server not in self.knows[other]}
            assert not unaware, f"{server} hears nothing of {unaware} and takes the address for lost"
        self.knows |= dict.fromkeys(told, everybody)
        self.may = (self.may - told) | (told - set(layout.resigned))

    def go(self, stops: tuple[Stop, ...]) -> None:
        for stop in stops:
            self.configure(stop.layout, list(stop.configure))


@settings(max_examples=20, deadline=None)
@given(st.lists(asked, min_size=1, max_size=5))
def test_nobody_takes_the_address_whom_its_holder_does_not_know(wishes: list[dict[str, Any]]) -> None:
    for before, after in changes(wishes):
        there = path(before, after, BLUEPRINT)
        Electors(Layout.of(before, BLUEPRINT)).go(there)
        for number, reached in enumerate(there):
            electors = Electors(Layout.of(before, BLUEPRINT))
            electors.go(there[: number + 1])
            electors.go(way_back(before, after, reached.name, BLUEPRINT))


@settings(max_examples=15, deadline=None)
@given(st.lists(asked, min_size=1, max_size=5))
def test_the_way_ends_where_the_plan_begins(wishes: list[dict[str, Any]]) -> None:
    """What the last stop brings about is what the instance's stages would bring about again: no drift by changing."""
    for before, after in changes(wishes):
        wanted = {intent.server: intent for intent in STORAGE.stages(after)[-1].intents}
        reached: dict[str, Any] = {}
        for waypoint in STORAGE.path(before, after):
            reached |= {intent.server: intent for intent in waypoint.intents}
        assert {name: reached[name] for name in wanted if name in reached} == {
            name: wanted[name] for name in wanted if name in reached
        }


def test_one_server_becomes_five() -> None:
    before = make_plan(HALL_OF_NINE)
    stops = path(before, changed(before, **GROW), BLUEPRINT)
    assert names(stops) == [PREPARE, JOIN, MOVE, DRAIN, SETTLE]
    joined = stops[1].layout.rings["object"]
    assert all(len({port for _, port, _ in where} & {6210}) == 1 and len(where) == 3 for where in joined.primaries)
    assert stops[2].closes == "srv-1"
    assert stops[3].empties == ("srv-1",)
    assert all(d.weight > DRAINED for d in stops[-1].layout.generations[-1].devices)


def test_a_change_of_technology_moves_everything_only_once() -> None:
    """Where the data were copied to they stay, when what held them leaves: nobody waits for a second move."""
    before = make_plan(HALL_OF_NINE)
    _, join, move, drain, settle = path(before, changed(before, **GROW), BLUEPRINT)
    for former, later in ((join, move), (move, drain), (drain, settle)):
        for name, ring in later.layout.rings.items():
            for was, is_ in zip(former.layout.rings[name].primaries, ring.primaries, strict=True):
                assert set(is_) <= set(was), f"{later.name}: a partition of {name} moves again"


def test_the_address_moves_only_when_it_must() -> None:
    before = changed(make_plan(HALL_OF_NINE), **GROW)
    holder = before.remembered["holder"]
    assert MOVE not in names(path(before, changed(before, web_servers=3), BLUEPRINT))
    assert changed(before, web_servers=3).remembered["holder"] == holder


def candidates(stop: Stop) -> dict[str, bool]:
    """Who may take the address at a stop, and whether it is preferred."""
    layout = stop.layout
    servers = [s.server for s in layout.with_role(Role.ENDPOINT) if s.server not in layout.resigned]
    return {server: server == layout.holder for server in servers}


@pytest.mark.parametrize("back", [False, True], ids=["there", "back"])
@pytest.mark.parametrize("asked", [GROW, SHRINK], ids=["grow", "shrink"])
def test_no_third_server_takes_the_address_while_it_moves(asked: dict[str, Any], back: bool) -> None:
    """However much later one of them is configured than another: customers' connections would break there."""
    before = make_plan(HALL_OF_NINE)
    if asked is SHRINK:
        before = changed(before, **GROW)
    stops = path(before, changed(before, **asked), BLUEPRINT)
    if back:
        stops = way_back(before, changed(before, **asked), MOVE, BLUEPRINT)
    at = names(stops).index(MOVE)
    now, wanted = candidates(stops[at - 1]), candidates(stops[at])
    two = {stops[at].closes, stops[at].layout.holder}
    assert stops[at].rolling and len({*stops[at].configure, *two}) == 3
    for server in stops[at].configure:
        now = {name: preferred for name, preferred in now.items() if name != server}
        now |= {server: wanted[server]} if server in wanted else {}
        assert {name for name, preferred in now.items() if preferred} <= two
        if server == stops[at].closes:
            assert set(now) == {stops[at].layout.holder}, "whoever is quicker takes what the old one gives up"
        assert any(now.values()), "else any of them takes it"


def replaced(before: Plan) -> Plan:
    """By a single other server."""
    other = next(s for s in changed(before, **GROW).servers if "storage" in s.roles)
    front, back = before.servers[0].nics
    new = before.servers[0].model_copy(
        update={
            "server": other.server,
            "nics": (
                front.model_copy(update={"address": IPv4Interface("198.18.64.90/24")}),
                back.model_copy(update={"address": other.nics[0].address}),
            ),
        }
    )
    return before.model_copy(update={"servers": (new,)})


def test_a_single_server_is_replaced_by_a_bigger_one() -> None:
    """There is only one replica: it must be on both before it is on the new one alone."""
    before = make_plan(HALL_OF_NINE)
    stops = path(before, replaced(before), BLUEPRINT)
    assert names(stops) == [PREPARE, JOIN, MOVE, DRAIN, SETTLE]
    assert all(len(set(where)) == 2 for where in stops[1].layout.rings["object"].primaries)


def test_one_storage_server_leaves_at_a_time() -> None:
    grown = changed(changed(make_plan(HALL_OF_NINE), **GROW), storage_servers=5)
    stops = path(grown, changed(grown, storage_servers=3), BLUEPRINT)
    assert [stop.name.partition(" ")[0] for stop in stops if stop.name.startswith(DRAIN)] == [DRAIN, DRAIN]


def test_more_room_on_the_same_server_is_told_to_it() -> None:
    """Its own metrics say what was ordered; a decision about its size is refused when they say something else."""
    before = make_plan(HALL_OF_NINE)
    after = changed(before, capacity_gib=2)
    assert after.servers == before.servers
    stops = path(before, after, BLUEPRINT)
    assert names(stops) == [PREPARE, SETTLE]
    assert stops[-1].configure == (before.servers[0].server,)
    back = way_back(before, after, SETTLE, BLUEPRINT)
    assert names(back)[-1] == SETTLE


def test_a_feature_goes_through_the_proxies_one_by_one() -> None:
    before = changed(make_plan(HALL_OF_NINE), **GROW)
    stops = path(before, changed(before, features=("versioning",)), BLUEPRINT)
    assert names(stops) == [PREPARE, SOFTWARE]
    assert stops[1].rolling
    webs = {s.server for s in before.servers if Role.WEB in s.roles}
    assert set(stops[1].configure) == webs


def test_more_workers_come_before_more_servers() -> None:
    """A rate that the servers carry with more programs changes nothing else, and in each proxy after the other."""
    before = make_plan(HALL_OF_NINE)
    after = changed(before, requests_per_s=100)
    assert [s.server for s in after.servers] == [s.server for s in before.servers]
    stops = path(before, after, BLUEPRINT)
    assert names(stops) == [PREPARE, SOFTWARE] and stops[1].rolling
    (waypoint,) = [w for w in STORAGE.path(before, after) if w.name == SOFTWARE]
    was = {f.path: f.content for f in STORAGE.stages(before)[-1].intents[0].files}
    new = {f.path: f.content for f in waypoint.intents[0].files if was[f.path] != f.content}
    assert set(new) == {"/etc/swift/freehold/proxy-server.conf", "/etc/memcached.conf"}
    assert "workers = 2" in new["/etc/swift/freehold/proxy-server.conf"] and "-m 128" in new["/etc/memcached.conf"]


def test_a_higher_rate_brings_web_servers_and_no_one_loses_a_replica() -> None:
    grown = changed(make_plan(HALL_OF_NINE), **GROW)
    after = changed(grown, requests_per_s=500)
    assert [sum(Role.WEB in s.roles for s in plan.servers) for plan in (grown, after)] == [2, 3]
    stops = path(grown, after, BLUEPRINT)
    assert names(stops) == [PREPARE, MEET, SOFTWARE, SETTLE]


def test_who_comes_back_is_emptied_first() -> None:
    """It may have missed writes and deletions while it was on its way out."""
    grown = changed(make_plan(HALL_OF_NINE), storage_servers=None, **GROW)
    more = changed(grown, storage_servers=4)
    less = changed(more, storage_servers=3)
    drained = next(s.name for s in path(more, less, BLUEPRINT) if s.name.startswith(DRAIN))
    back = way_back(more, less, drained, BLUEPRINT)
    assert names(back)[:3] == [PREPARE, "empty returning servers", JOIN]
    leaver = less.leaves[0]
    assert back[1].empties == (leaver,)
    own = back[1].layout.keys(back[1].layout.server(leaver))
    assert {d.weight for d in back[1].layout.generations[-1].devices if d.key in own} == {DRAINED}


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"tier": "huge"}, "tier 'huge' is not known; allowed: compact, distributed"),
        ({"storage_servers": 3}, "storage_servers 3 is outside tier 'compact'; allowed: 1"),
        ({"tier": "distributed", "web_servers": 1}, "web_servers 1 is outside tier 'distributed'; allowed: 2 to 16"),
        ({"features": ("versioning",)}, "feature 'versioning' is not possible in tier 'compact'"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wish: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("(", r"\(")):
        changed(make_plan(HALL_OF_NINE), **wish)
