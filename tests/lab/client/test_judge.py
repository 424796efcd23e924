"""Whatever the service does wrong is counted, and as what it is; what it does right is not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from freehold.lab.client.program.customer import Customer, Failed, connect
from freehold.lab.client.program.main import Run
from freehold.lab.client.program.tally import QUIET, WITH_RETRIES, WITHOUT_RETRIES, WRONGS, Tally
from freehold.lab.client.program.traffic import Load
from freehold.lab.client.program.truth import LATE_ARRIVAL_S, Key, Truth
from tests.lab.client.s3_server import SLOW_S, Fault, Store, s3_server

Server = tuple[Store, dict[str, str]]
ALL_WELL = dict.fromkeys(("failed", *WRONGS, "unchecked"), 0)


@pytest.fixture
def server() -> Iterator[Server]:
    with s3_server() as server:
        yield server


@dataclass
class Desk:
    """One client, whose every request is under control."""

    store: Store
    customer: Customer
    truth: Truth
    tally: Tally
    keys: list[Key]
    rng: random.Random

    def body(self) -> bytes:
        return self.rng.randbytes(self.rng.randint(1000, 9000))

    def counted(self) -> dict[str, int]:
        """All that is not as it should be, by what it is."""
        result = self.tally.result()
        assert bool(result["findings"]) == any(result[name] for name in ALL_WELL if name != "unchecked")
        return {name: result[name] for name in ALL_WELL if result[name]}


def desk(server: Server, kind: str = WITHOUT_RETRIES) -> Desk:
    store, given = server
    truth, tally = Truth(), Tally()
    tally.phase("test", judged=True)
    s3 = connect(boto3.session.Session(), given, kind)
    s3.create_bucket(Bucket="bucket")
    keys = [truth.key(f"k/{i}") for i in range(5)]
    desk = Desk(store, Customer(s3, kind, "bucket", truth, tally), truth, tally, keys, random.Random(1))
    for key in keys[:4]:
        desk.customer.put(key, desk.body())
    desk.customer.put(keys[0], desk.body())
    desk.customer.delete(keys[1])
    return desk


def test_a_service_that_behaves_is_found_to(server: Server) -> None:
    at = desk(server)
    overwritten, deleted, plain, _, new = at.keys
    at.customer.copy(plain, new)
    at.customer.upload_in_parts(plain, at.body() * 3, 8000)
    at.customer.slow_put(overwritten, at.body(), 0.2, time.sleep)
    for key in at.keys:
        assert at.customer.get(key)
        at.customer.head(key)
    at.customer.slow_get(plain, 20_000, 0.2, time.sleep)
    at.customer.list("k/", at.keys)
    at.customer.list("k/", at.keys, page=2)
    at.customer.delete(deleted)
    assert at.counted() == {}


@pytest.mark.parametrize(
    ("fault", "key", "counted"),
    [
        (Fault.FORGET, 0, "lost"),
        (Fault.STALE, 0, "stale"),
        (Fault.RESURRECT, 1, "resurrected"),
        (Fault.CORRUPT, 2, "corrupted"),
        (Fault.MIX, 0, "corrupted"),
        (Fault.CUT, 2, "failed"),
    ],
)
def test_each_wrong_read_is_counted_as_what_it_is(server: Server, fault: Fault, key: int, counted: str) -> None:
    at = desk(server)
    at.store.misbehave(fault, times=2, only=at.keys[key].name)
    for _ in range(3):
        try:
            at.customer.get(at.keys[key])
        except Failed:
            assert counted == "failed"
    assert at.store.behave() == 2
    assert at.counted() == {counted: 2}


@pytest.mark.parametrize(
    ("fault", "key", "counted"),
    [
        (Fault.FORGET, 0, "lost"),
        (Fault.STALE, 0, "stale"),
        (Fault.RESURRECT, 1, "resurrected"),
    ],
)
def test_metadata_alone_are_judged_too(server: Server, fault: Fault, key: int, counted: str) -> None:
    at = desk(server)
    at.store.misbehave(fault)
    at.customer.head(at.keys[key])
    assert at.counted() == {counted: 1}


def test_a_write_that_is_acknowledged_and_not_kept_is_lost(server: Server) -> None:
    at = desk(server)
    at.store.misbehave(Fault.LOSE)
    at.customer.put(at.keys[4], at.body())
    assert at.store.behave() == 1
    assert not at.customer.get(at.keys[4])
    assert at.counted() == {"lost": 1}


def test_a_write_that_is_acknowledged_with_another_sum_is_corrupted(server: Server) -> None:
    at = desk(server)
    at.store.misbehave(Fault.WRONG_TAG)
    at.customer.put(at.keys[4], at.body())
    assert at.counted() == {"corrupted": 1}


@pytest.mark.parametrize("fault", [Fault.LIST_MISSING, Fault.LIST_EXTRA, Fault.LIST_STALE])
@pytest.mark.parametrize("page", [1000, 2])
def test_each_wrong_entry_of_a_listing_is_counted(server: Server, fault: Fault, page: int) -> None:
    at = desk(server)
    at.store.misbehave(fault, times=1)
    at.customer.list("k/", at.keys, page)
    assert at.store.behave() == 1
    assert at.counted() == {"listings_wrong": 1}


def test_a_listed_key_that_nobody_wrote_is_counted(server: Server) -> None:
    at = desk(server)
    at.customer.list("k/", at.keys[:3])
    assert at.counted() == {"listings_wrong": 1}


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROP_REQUEST, Fault.DROP_ANSWER])
def test_retries_hide_a_short_fault_and_their_absence_shows_it(server: Server, fault: Fault) -> None:
    without, retrying = desk(server), desk(server, WITH_RETRIES)
    for at in (without, retrying):
        at.store.misbehave(fault, times=1)
        try:
            at.customer.put(at.keys[2], at.body())
        except Failed:
            assert at is without
        assert at.store.behave() == 1
    assert without.counted() == {"failed": 1}
    assert without.tally.result()["failed_without_retries"] == 1
    assert retrying.counted() == {}
    assert retrying.tally.result()["retried"] == 1


@pytest.mark.parametrize(("fault", "present"), [(Fault.DROP_REQUEST, "old"), (Fault.DROP_ANSWER, "new")])
def test_after_a_write_of_unknown_outcome_both_versions_are_right(server: Server, fault: Fault, present: str) -> None:
    at = desk(server)
    key = at.keys[2]
    old, new = at.body(), at.body()
    at.customer.put(key, old)
    at.store.misbehave(fault, times=1)
    with pytest.raises(Failed):
        at.customer.put(key, new)
    assert at.store.buckets["bucket"][key.name][-1].body == (old if present == "old" else new)
    assert at.customer.get(key)
    at.customer.list("k/", at.keys)
    assert at.counted() == {"failed": 1}
    at.store.misbehave(Fault.FORGET)
    assert not at.customer.get(key)
    assert at.counted() == {"failed": 1, "lost": 1}


def test_a_deletion_of_unknown_outcome_may_have_happened_or_not(server: Server) -> None:
    at = desk(server)
    for fault, key in ((Fault.DROP_REQUEST, at.keys[2]), (Fault.DROP_ANSWER, at.keys[3])):
        at.store.misbehave(fault, times=1)
        with pytest.raises(Failed):
            at.customer.delete(key)
        assert at.customer.get(key)
    assert at.counted() == {"failed": 2}


def test_a_key_rests_after_a_write_of_unknown_outcome() -> None:
    now = [0.0]
    truth = Truth(lambda: now[0])
    key = truth.key("k")
    write = truth.begin_write(key, "a")
    assert not truth.may_write(key)
    truth.end_write(write, known=False)
    now[0] = LATE_ARRIVAL_S - 1
    assert not truth.may_write(key)
    assert not truth.present(key)
    now[0] = LATE_ARRIVAL_S + 1
    assert truth.may_write(key)


def test_a_read_may_show_what_is_written_meanwhile_and_nothing_older() -> None:
    truth = Truth()
    key = truth.key("k")
    for digest in ("a", "b"):
        truth.end_write(truth.begin_write(key, digest), known=True)
    floor = truth.begin_read(key)
    write = truth.begin_write(key, "c")
    assert [truth.judge(key, floor, seen) for seen in ("b", "c", "a", None, "x")] == [
        None, None, "stale", "lost", "corrupted",
    ]  # fmt: skip
    truth.end_write(write, known=True)
    assert truth.judge(key, floor, "b") is None
    assert truth.judge(key, truth.begin_read(key), "b") == "stale"
    truth.end_write(truth.begin_write(key, None), known=True)
    assert truth.judge(key, truth.begin_read(key), "c") == "resurrected"
    assert truth.judge(key, truth.begin_read(key), None) is None


# -- whole runs

LOAD = Load(
    requests_per_s=30, workers=3, keys=8, object_bytes=2000, part_bytes=4000, parts_every_s=0.2, slow_s=0.5,
    slow_upload_bytes=4000, slow_download_bytes=6000, at_most_s=60, check_at_most_s=20, seed=1,
)  # fmt: skip


def judged(
    server: Server, fault: Fault | None = None, *, seconds: float = 2, only: str = "", times: int = 1_000_000
) -> dict[str, Any]:
    """A quiet second, then some with a fault, which stays on during the check at the end."""
    store, given = server
    run = Run(given, LOAD, patience_s=10)
    run.start()
    run.tally.phase(QUIET, judged=True)
    time.sleep(1)
    run.tally.phase("trouble", judged=True)
    if fault:
        store.misbehave(fault, times, only)
    time.sleep(seconds)
    result = run.finish() | {"fired": store.behave()}
    assert run.remove()
    assert store.buckets == {}
    assert store.uploads == {}
    return result


def test_a_run_against_a_good_service_is_clean(server: Server) -> None:
    result = judged(server)
    assert result["findings"] == []
    assert {name: result[name] for name in ALL_WELL} == ALL_WELL
    assert result["keys"] > 20
    assert [phase["name"] for phase in result["phases"]] == ["warm-up", QUIET, "trouble", "check"]
    assert result["requests"] == sum(phase["requests"] for phase in result["phases"])
    trouble = result["phases"][2]
    assert trouble["seconds"] == pytest.approx(2, abs=0.7)
    assert 0 < trouble["client_cpu"] <= trouble["cpu"] <= 1
    assert 30 < trouble["requests"] < 250, "60 quick requests a second are asked for, at most"
    assert {"put", "get", "head", "list", "copy", "delete", "upload_part", "slow_put", "slow_get"} <= {
        name for phase in result["phases"] for name in phase["operations"]
    }
    slow = [p["operations"]["slow_get"] for p in result["phases"] if "slow_get" in p["operations"]]
    assert max(each["max_ms"] for each in slow) > 400
    assert server[0].connections > 20, "one client of each kind opens a connection for every request"


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (Fault.LOSE, "lost"),
        (Fault.STALE, "stale"),
        (Fault.RESURRECT, "resurrected"),
        (Fault.CORRUPT, "corrupted"),
        (Fault.MIX, "corrupted"),
        (Fault.LIST_EXTRA, "listings_wrong"),
    ],
)
def test_a_run_against_a_bad_service_says_what_is_bad(server: Server, fault: Fault, counted: str) -> None:
    result = judged(server, fault, only="/0/")
    assert result["fired"] > 0
    assert result[counted] > 0
    assert result["phases"][1][counted] == 0, "nothing was wrong in the quiet phase"
    # What was never kept is not listed either; metadata of the version before are stale when they are all that is read.
    also = {Fault.LOSE: {"listings_wrong"}, Fault.MIX: {"stale"}}.get(fault, set())
    assert {name for name in WRONGS if result[name]} - also == {counted}


def test_what_cannot_be_read_at_the_end_is_not_taken_for_good(server: Server) -> None:
    result = judged(server, Fault.UNAVAILABLE, seconds=0.5, only="without_retries/1/")
    assert result["unchecked"] > 0
    assert result["failed_without_retries"] > 0
    assert result["lost"] == 0


def test_a_slow_phase_shows_in_its_latencies(server: Server) -> None:
    result = judged(server, Fault.SLOW, times=30)
    quiet, trouble = result["phases"][1:3]
    assert quiet["p99_ratio"] == 1
    assert trouble["p99_ms"] >= SLOW_S * 1000
    assert trouble["p99_ratio"] == pytest.approx(trouble["p99_ms"] / quiet["p99_ms"], rel=0.01)
    assert result["p99_ratio"] == trouble["p99_ratio"] > 1
    assert {name: result[name] for name in ALL_WELL} == ALL_WELL


def test_a_request_without_an_answer_at_the_end_has_failed(server: Server) -> None:
    store, given = server
    run = Run(given, LOAD, patience_s=0.1)
    run.start()
    time.sleep(0.5)
    store.misbehave(Fault.SLOW, times=5)
    time.sleep(0.3)
    result = run.finish()
    run.remove()
    assert any("no answer by the end of the run" in line for line in result["findings"])
    assert result["failed"] > 0


def test_what_a_killed_run_left_is_removed_by_a_later_one(server: Server) -> None:
    store, _ = server
    store.buckets["freehold-count-1000000000-abcd"] = {}
    store.buckets["somebody-elses"] = {}
    run = Run(server[1], LOAD, patience_s=10)
    run.start()
    run.abandon()
    assert set(store.buckets) == {"somebody-elses", run.bucket}
    assert run.remove()
