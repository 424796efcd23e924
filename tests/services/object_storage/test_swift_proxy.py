"""What customers see while replicas differ: our corrections, on Swift's own code."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventlet import Timeout
from swift.common import utils
from swift.common.error_limiter import ErrorLimiter
from swift.common.exceptions import ConnectionTimeout
from swift.common.ring import Ring
from swift.common.swob import Request
from swift.common.utils import Timestamp
from swift.proxy.controllers import base

from freehold.services.object_storage import swift_proxy
from freehold.services.object_storage.rings import Generation, RingDevice, ring_of

NO_ANSWER = ConnectionTimeout()  # one with seconds would go off in whatever test runs then
AskedFirst = Callable[[str, bool], set[str]]
Find = Callable[[Any], bool]
Answer = tuple[int, float]
"""Status, and time of the object or of its deletion."""


class Source:
    def __init__(self, at: float) -> None:
        self.timestamp = Timestamp(at)

    def close(self) -> None:
        pass


def statuses(find: Find, answers: list[Answer], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is left for the customer's answer when no replica can serve, after these came in this order."""
    handler = base.GetOrHeadHandler.__new__(base.GetOrHeadHandler)
    handler.server_type = "Object"
    handler.node_iter, handler.concurrency, handler.newest = list(answers), 1, True
    handler.latest_404_timestamp, handler.logger, handler.used_nodes = Timestamp.zero(), None, []

    class Pile:
        inflight = 1

        def __init__(self, _: int) -> None:
            pass

        def spawn(self, *_: object) -> None:
            status, at = handler.node_iter[len(handler.statuses)]
            for kept, value in zip(
                (handler.statuses, handler.reasons, handler.bodies, handler.source_headers),
                (status, "", None, []), strict=True,
            ):  # fmt: skip
                kept.append(value)
            if status == 404:
                handler.latest_404_timestamp = max(handler.latest_404_timestamp, Timestamp(at))
            else:
                handler.sources.append(Source(at))

        def waitfirst(self, _: object) -> bool:
            return False

        def __iter__(self) -> object:
            return iter(())

    class Policies:
        concurrency_timeout = 1

    monkeypatch.setattr(base, "GreenAsyncPile", Pile)
    handler.app = type("App", (), {"get_policy_options": lambda *_: Policies})()
    handler.policy = None
    handler.logger = type("Logger", (), {"thread_locals": None})()
    assert find(handler) is False
    return [int(status) for status in handler.statuses]


DELETED = [(200, 1.0), (404, 2.0)]


def test_an_older_replica_does_not_count_against_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    assert statuses(swift_proxy.find_source, DELETED, monkeypatch) == [404]


def test_swift_itself_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, Swift has learned it, and our proxy is no longer needed."""
    assert statuses(base.GetOrHeadHandler._find_source, DELETED, monkeypatch) == [200, 404]


class App:
    request_node_count = staticmethod(lambda replicas: 2 * replicas)

    @staticmethod
    def sort_nodes(nodes: list[Any], policy: Any = None) -> list[Any]:
        return sorted(nodes, key=lambda node: node["ip"] != "10.0.0.4")  # the newcomer first


@pytest.fixture
def rings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ring, Ring]:
    """Of listings, over three servers, and after a fourth came. Nobody has failed yet."""
    monkeypatch.setattr(utils, "HASH_PATH_SUFFIX", b"of the instance")
    monkeypatch.setattr(swift_proxy, "_failed", {})
    monkeypatch.setattr(swift_proxy, "_silent", {})
    old = tuple(RingDevice(f"10.0.0.{n}", 6201, "d1", zone=n) for n in (1, 2, 3))
    new = (*old, RingDevice("10.0.0.4", 6201, "d1", zone=4))
    generations = (Generation(2, old), Generation(2, new))
    now, before = tmp_path / "now", tmp_path / "before"
    for folder, ring in ((now, ring_of("a", generations, 6)), (before, ring_of("a", generations[:1], 6))):
        folder.mkdir()
        (folder / "container.ring.gz").write_bytes(ring.ring)
    return Ring(str(before), ring_name="container"), Ring(str(now), ring_name="container")


@pytest.fixture
def asked_first(rings: tuple[Ring, Ring]) -> AskedFirst:
    """The addresses that are asked first for something of this kind: of three servers, or after a fourth came."""
    three, four = rings
    begin = swift_proxy.node_iter({"container": three})

    def asked(kind: str, grown: bool) -> set[str]:
        ring, first = four if grown else three, set()
        for partition in range(64):
            nodes = base.NodeIter.__new__(base.NodeIter)
            begin(nodes, kind, App, ring, partition, None, Request.blank("/"))
            first.add(nodes.primary_nodes[0]["ip"])
            every = ring.get_part_nodes(partition)
            answering = [n for n in every if n["ip"] not in swift_proxy._silent]
            assert {n["id"] for n in nodes.primary_nodes} == {n["id"] for n in answering or every}
        return first

    return asked


@pytest.mark.parametrize("kind", ["container", "Container"])
def test_listings_come_first_from_servers_that_had_them_before(kind: str, asked_first: AskedFirst) -> None:
    """After a rebalance some server is to have a listing that it does not have yet."""
    assert asked_first(kind, True) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


@pytest.mark.parametrize("count", [ErrorLimiter.increment, ErrorLimiter.limit])
def test_listings_come_last_from_a_server_that_failed(
    count: Callable[..., Any], asked_first: AskedFirst, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the others' next pass it knows nothing of what was written while it was away, or had no room."""
    now = 1000.0
    monkeypatch.setattr(swift_proxy, "time", SimpleNamespace(monotonic=lambda: now))
    note = swift_proxy.failing(count)
    note(ErrorLimiter(60, 10), {"ip": "10.0.0.2", "port": 6201, "device": "d1"})
    assert asked_first("container", False) == {"10.0.0.1", "10.0.0.3"}
    now += swift_proxy.AWAY_S
    assert asked_first("container", False) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_who_was_silent_for_long_is_asked_behind_a_newcomer(
    asked_first: AskedFirst, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newcomer has its copy by then; who failed once, because much was to do, has more than the newcomer."""
    now = 1000.0
    monkeypatch.setattr(swift_proxy, "time", SimpleNamespace(monotonic=lambda: now))
    note = swift_proxy.failing(ErrorLimiter.increment)
    failed = (ErrorLimiter(60, 10), {"ip": "10.0.0.2", "port": 6201, "device": "d1"})
    note(*failed)
    assert "10.0.0.4" not in asked_first("container", True)
    now += swift_proxy.PAUSE_S
    note(*failed)
    assert "10.0.0.4" not in asked_first("container", True), "it answered in between"
    now += swift_proxy.LONG_S
    note(*failed)
    assert asked_first("container", True) == {"10.0.0.1", "10.0.0.3", "10.0.0.4"}


class Silence:
    """Waits in vain for a connection, as a proxy does, and plays what asks for it afterwards."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asks: list[tuple[str, int]] = []
        self.answers: list[OSError | None] = []
        watch = SimpleNamespace(spawn_n=lambda _, *where: self.asks.append(where), sleep=lambda _: None)
        monkeypatch.setattr(swift_proxy, "eventlet", watch)
        monkeypatch.setattr(swift_proxy, "socket", SimpleNamespace(create_connection=self._connect))

    def _connect(self, where: tuple[str, int], timeout: float) -> Source:
        if error := self.answers.pop(0):
            raise error
        return Source(0)

    def meets(self, ip: str, error: BaseException) -> None:
        note = swift_proxy.failing(ErrorLimiter.increment)
        try:
            raise error
        except (Exception, Timeout):
            note(ErrorLimiter(60, 10), {"ip": ip, "port": 6201, "device": "d1"})

    def ends(self, *answers: OSError | None) -> None:
        self.answers = list(answers)
        swift_proxy.await_answer(*self.asks.pop())
        assert not self.answers


@pytest.mark.parametrize("kind", ["object", "container"])
@pytest.mark.parametrize("answer", [None, ConnectionRefusedError()], ids=["accepts", "refuses"])
def test_a_silent_server_is_asked_for_nothing_until_it_answers(
    kind: str, answer: OSError | None, asked_first: AskedFirst, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence = Silence(monkeypatch)
    others = {"10.0.0.1", "10.0.0.3"}
    silence.meets("10.0.0.2", ConnectionRefusedError())
    assert not silence.asks, "it cost nobody time"
    for error in (NO_ANSWER, OSError(errno.EHOSTUNREACH, "No route to host")):
        silence.meets("10.0.0.2", error)
        assert asked_first(kind, False) == others
    assert silence.asks == [("10.0.0.2", 6201)], "one question at a time"
    silence.ends(TimeoutError(), OSError("no route"), answer)
    assert asked_first("object", False) == {*others, "10.0.0.2"}
    assert asked_first("container", False) == others, "it may have missed something"


def test_a_server_that_stays_silent_is_found_out_anew(monkeypatch: pytest.MonkeyPatch, asked_first: AskedFirst) -> None:
    """No program asks for ever: a customer waits once more."""
    silence = Silence(monkeypatch)
    silence.meets("10.0.0.2", NO_ANSWER)
    silence.ends(*[TimeoutError()] * (swift_proxy.AWAY_S // swift_proxy.PROBE_S))
    assert "10.0.0.2" in asked_first("object", False)


def test_when_all_are_silent_all_are_asked(monkeypatch: pytest.MonkeyPatch, asked_first: AskedFirst) -> None:
    """It was rather we who could not hear."""
    silence = Silence(monkeypatch)
    for n in (1, 2, 3):
        silence.meets(f"10.0.0.{n}", NO_ANSWER)
    assert asked_first("object", False) == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


def test_who_had_a_listing_before_is_told_what_is_written_while_one_of_its_servers_is_away(
    rings: tuple[Ring, Ring], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth server may have no copy yet, the other no power: then only who had it before knows it.

    Object servers would wait for a silent one at each write.
    """
    silence = Silence(monkeypatch)
    before, now = rings

    def told(partition: int) -> set[str]:
        info = {"partition": partition, "nodes": now.get_part_nodes(partition)}
        monkeypatch.setattr(swift_proxy, "_container_info", lambda *_: info)
        nodes = swift_proxy.container_info(before)(None, "account", "container", None)["nodes"]
        assert len({node["ip"] for node in nodes}) == len(nodes)
        return {node["ip"] for node in nodes}

    had, has = ([{n["ip"] for n in ring.get_part_nodes(p)} for p in range(64)] for ring in rings)
    assert [told(p) for p in range(64)] == has
    swift_proxy.note_failure("10.0.0.2")
    assert [told(p) for p in range(64)] == [h | b if "10.0.0.2" in h else h for b, h in zip(had, has, strict=True)]
    assert {"10.0.0.2", "10.0.0.4"} in has
    clock = SimpleNamespace(monotonic=lambda: 1000.0)
    monkeypatch.setattr(swift_proxy, "time", clock)
    silence.meets("10.0.0.2", NO_ANSWER)
    assert any("10.0.0.2" in told(p) for p in range(64)), "others may still hear it"
    clock.monotonic = lambda: 1000.0 + swift_proxy.SURE_S
    assert all("10.0.0.2" not in told(p) for p in range(64))
    assert all(told(p) for p in range(64))


@pytest.mark.parametrize(("kind", "newest"), [("Container", False), ("Account", False), ("Object", True)])
def test_only_objects_are_asked_for_the_newest(kind: str, newest: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of listings the newest is not known: what Swift compares is when the bucket was made."""
    seen = []
    monkeypatch.setattr(swift_proxy, "_find_source", lambda handler: seen.append(handler.newest) or True)
    handler = type("Handler", (), {"server_type": kind, "newest": True})()
    swift_proxy.find_source(handler)
    assert seen == [newest]
