"""The judge of waypoints: names all that is not where it belongs, and lets nobody go who still holds something."""

from __future__ import annotations

from typing import Any

import pytest

from activities.data import answers_of
from freehold.errors import ProofFailed
from freehold.services.base import Errand
from freehold.services.object_storage import errands
from freehold.services.object_storage.judging import CLOCKS_S, judge, writes_finished
from freehold.services.object_storage.way import DRAIN, JOIN, MOVE, PREPARE, SETTLE, Stop, path
from tests.services.object_storage.conftest import make_plan
from tests.services.object_storage.test_way import BLUEPRINT, GROW, HALL_OF_NINE, changed, replaced

OLD, NEW, LATER = "1700000000.00000", "1700000005.00000", "1700000100.00000"
BEGAN = 1700000050.0
HASHES = [f"{n:02x}" + "0" * 30 for n in range(0, 256, 3)]

BEFORE = make_plan(HALL_OF_NINE)
STOPS = {stop.name: stop for stop in path(BEFORE, changed(BEFORE, **GROW), BLUEPRINT)}
LEAVER = "srv-1"


def held(stop: Stop, name: str, **changed: Any) -> dict[str, Any]:
    """A server's answer when all is where the stop's rings want it."""
    layout = stop.everybody
    server = layout.server(name)
    keys = {key[2]: key for key in layout.keys(server)}
    ring = stop.layout.rings["object"]
    devices = {
        device: {
            "objects": {h: [NEW, "", 100] for h in HASHES if key in ring.devices_of(h)},
            "databases": {"account": [], "container": []},
            "pending": 0,
            "free": 10 << 30,
            "total": 20 << 30,
        }
        for device, key in keys.items()
    }
    return {"began": BEGAN, "failed": [], "devices": devices, "stopped": False, **changed}


def answers(stop: Stop) -> dict[str, dict[str, Any]]:
    outside = {m.server.server for m in stop.outside}
    return {
        s.server: held(stop, s.server, stopped=s.server in outside)
        for s in stop.everybody.servers
        if "storage" in s.roles
    }


@pytest.mark.parametrize("name", [JOIN, DRAIN, SETTLE])
def test_all_in_its_place_is_proven(name: str) -> None:
    found = judge(STOPS[name], answers(STOPS[name]))
    assert found.done, found.words
    assert found.left_objects == 0


@pytest.mark.parametrize(("open_connections", "done"), [(0, True), (2, False)])
def test_all_that_a_server_of_every_role_says_is_judged(open_connections: int, done: bool) -> None:
    """The one that leaves is proxy and storage, and is asked as both."""
    stop = path(BEFORE, replaced(BEFORE), BLUEPRINT)[-1]

    def run(errand: Errand) -> tuple[str, dict[str, Any]]:
        if "passes" in errand.given:
            return errand.server, {"began": BEGAN, "failed": []}
        if "devices" in errand.given:
            return errand.server, held(stop, errand.server, stopped=errand.given["stop"])
        return errand.server, {"announced": False, "open": open_connections}

    found = judge(stop, answers_of(errands.of(stop), run))
    assert found.done is done, found.words
    assert done or f"{LEAVER} has 2 open connections from the endpoint yet" in found.words


def test_nothing_is_exported_while_somebody_still_writes() -> None:
    ended = {"srv-1": {"serving": 0}, "srv-2": {"began": BEGAN, "failed": []}}
    assert writes_finished(ended).done
    serving = writes_finished({**ended, "srv-1": {"serving": 2}})
    assert not serving.done and "srv-1 still serves requests that began before, in 2 processes" in serving.words
    failed = writes_finished({**ended, "srv-2": {"failed": ["swift.obj.updater: killed"]}})
    assert not failed.done and "srv-2: swift.obj.updater: killed" in failed.words


@pytest.mark.parametrize("version", [None, [OLD, "", 100]])
def test_an_object_that_one_of_its_devices_lacks_is_found(version: list[Any] | None) -> None:
    stop = STOPS[JOIN]
    seen = answers(stop)
    server = next(s for s in seen if s != LEAVER)
    objects = seen[server]["devices"]["d1"]["objects"]
    hash_ = next(iter(objects))
    if version is None:
        del objects[hash_]
    else:
        objects[hash_] = version
    found = judge(stop, seen)
    assert not found.done
    assert found.left_objects == 1
    assert found.left_bytes == 100
    assert "1 of" in found.words


def test_what_was_written_while_the_round_ran_is_no_reproach() -> None:
    stop = STOPS[JOIN]
    seen = answers(stop)
    seen[LEAVER]["devices"]["d1"]["objects"]["ff" * 16] = [LATER, "", 5]
    seen[LEAVER]["devices"]["d1"]["objects"]["fe" * 16] = [f"{BEGAN - CLOCKS_S / 2:.5f}", "", 5]
    assert judge(stop, seen).done


def test_a_deletion_must_have_arrived_like_an_object() -> None:
    """A tombstone is as good as data: what it deletes must not come back."""
    stop = STOPS[JOIN]
    seen = answers(stop)
    deleted = HASHES[0]
    seen[LEAVER]["devices"]["d1"]["objects"][deleted] = ["1700000006.00000", "", 0]
    assert not judge(stop, seen).done


def test_a_late_update_of_a_listing_keeps_data_moving() -> None:
    """A server that is new to the listing would show it without, as soon as it is asked first."""
    stop = STOPS[JOIN]
    seen = answers(stop)
    seen["srv-4"]["devices"]["d1"]["pending"] = 1
    seen["srv-4"]["late"] = 1
    found = judge(stop, seen)
    assert not found.done
    assert found.words == "updates of listings have not arrived yet: 1"
    seen["srv-4"]["late"] = 0
    assert judge(stop, seen).done, "one that came behind the copy, or was refused for an hour, waits for nothing"


@pytest.mark.parametrize("what", ["object", "database", "late update", "file of nobody"])
def test_one_forgotten_thing_keeps_a_server_from_leaving(what: str) -> None:
    for name in (DRAIN, SETTLE):
        stop = STOPS[name]
        seen = answers(stop)
        device = seen[LEAVER]["devices"]["d1"]
        if what == "object":
            device["objects"][HASHES[0]] = [NEW, "", 100]
        elif what == "database":
            device["databases"]["container"] = ["ab" * 16]
        elif what == "late update":
            device["pending"] = 1
        else:
            device["strays"] = ["objects-1/0/abc"]
        found = judge(stop, seen)
        assert not found.done
        assert f"{LEAVER} still holds 1 thing" in found.words


def test_a_server_must_have_stopped_before_its_emptiness_counts() -> None:
    seen = answers(STOPS[SETTLE])
    seen[LEAVER]["stopped"] = False
    found = judge(STOPS[SETTLE], seen)
    assert not found.done
    assert f"{LEAVER} has not stopped yet" in found.words


def test_a_listing_that_one_server_lacks_is_found() -> None:
    stop = STOPS[JOIN]
    seen = answers(stop)
    seen[LEAVER]["devices"]["d1"]["databases"]["container"] = [HASHES[0]]
    assert not judge(stop, seen).done


def test_what_does_not_fit_is_refused_in_words() -> None:
    stop = STOPS[PREPARE]
    seen = answers(stop)
    seen[LEAVER]["devices"]["d1"]["objects"][HASHES[0]] = [NEW, "", 40 << 30]
    with pytest.raises(ProofFailed, match=r"2 replicas of 40\.00 GiB do not fit on .*room for 27\.00 GiB"):
        judge(stop, seen)


def test_a_full_disk_is_named_at_once_and_goes_on_after_the_cure() -> None:
    """No further round cures it. A full disk that lacks nothing is nobody's concern here."""
    stop = STOPS[JOIN]
    seen = answers(stop)
    server = next(s for s in seen if s != LEAVER)
    device = seen[server]["devices"]["d1"]
    device["free"] = 0
    assert judge(stop, seen).done
    there = device["objects"]
    device["objects"] = {}
    with pytest.raises(ProofFailed, match=rf"^{server} d1 is full; {len(there)} of {len(HASHES)} objects are not on"):
        judge(stop, seen)
    device["free"] = 10 << 30
    assert not judge(stop, seen).done
    device["objects"] = there
    assert judge(stop, seen).done


@pytest.mark.parametrize("name", [JOIN, DRAIN, SETTLE])
def test_a_missing_replica_is_waited_for_wherever_it_should_be(name: str) -> None:
    """A disk that lost what it had, e.g. one that was replaced: nobody goes on before it has all of it again."""
    stop = STOPS[name]
    for server in answers(stop):
        seen = answers(stop)
        there = seen[server]["devices"]["d1"]["objects"]
        if not there:
            continue
        seen[server]["devices"]["d1"]["objects"] = {}
        found = judge(stop, seen)
        assert not found.done and found.left_objects == len(there)
        assert f"{len(there)} of {len(HASHES)} objects are not on all of their devices yet" in found.words


def test_the_endpoint_has_moved_when_the_old_connections_have_ended() -> None:
    stop = STOPS[MOVE]
    new, old = stop.layout.holder, stop.closes
    here, gone = {"announced": True, "open": 5}, {"announced": False, "open": 0}
    assert judge(stop, {new: here, old: gone}).done
    for wrong in (
        {new: here, old: {**gone, "open": 2}},
        {new: here, old: {**gone, "announced": True}},
        {new: gone, old: gone},
    ):
        assert not judge(stop, wrong).done


def test_an_answer_that_says_nothing_proves_nothing() -> None:
    stop = STOPS[DRAIN]
    seen = answers(stop)
    seen[LEAVER] = {"ok": True}
    with pytest.raises(ValueError, match="devices"):
        judge(stop, seen)
