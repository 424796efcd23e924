"""Whatever the service does wrong is counted, and as what it is; what it does right is not."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import boto3
import pytest

from freehold.lab.client.program.customer import Customer, Failed, connect
from freehold.lab.client.program.tally import WITH_RETRIES, WITHOUT_RETRIES, WRONGS, Tally
from freehold.lab.client.program.truth import LATE_ARRIVAL_S, Key, Truth
from tests.lab.client.s3_server import Fault, Given, Store

ALL_WELL = dict.fromkeys(("failed", *WRONGS, "unchecked"), 0)


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


def desk(server: Given, kind: str = WITHOUT_RETRIES) -> Desk:
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


def test_a_service_that_behaves_is_found_to(server: Given) -> None:
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
def test_each_wrong_read_is_counted_as_what_it_is(server: Given, fault: Fault, key: int, counted: str) -> None:
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
def test_metadata_alone_are_judged_too(server: Given, fault: Fault, key: int, counted: str) -> None:
    at = desk(server)
    at.store.misbehave(fault)
    at.customer.head(at.keys[key])
    assert at.counted() == {counted: 1}


def test_a_write_that_is_acknowledged_and_not_kept_is_lost(server: Given) -> None:
    at = desk(server)
    at.store.misbehave(Fault.LOSE)
    at.customer.put(at.keys[4], at.body())
    assert at.store.behave() == 1
    assert not at.customer.get(at.keys[4])
    assert at.counted() == {"lost": 1}


def test_a_write_that_is_acknowledged_with_another_sum_is_corrupted(server: Given) -> None:
    at = desk(server)
    at.store.misbehave(Fault.WRONG_TAG)
    at.customer.put(at.keys[4], at.body())
    assert at.counted() == {"corrupted": 1}


@pytest.mark.parametrize("fault", [Fault.LIST_MISSING, Fault.LIST_EXTRA, Fault.LIST_STALE])
@pytest.mark.parametrize("page", [1000, 2])
def test_each_wrong_entry_of_a_listing_is_counted(server: Given, fault: Fault, page: int) -> None:
    at = desk(server)
    at.store.misbehave(fault, times=1)
    at.customer.list("k/", at.keys, page)
    assert at.store.behave() == 1
    assert at.counted() == {"listings_wrong": 1}


def test_a_listed_key_that_nobody_wrote_is_counted(server: Given) -> None:
    at = desk(server)
    at.customer.list("k/", at.keys[:3])
    assert at.counted() == {"listings_wrong": 1}


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROP_REQUEST, Fault.DROP_ANSWER])
def test_retries_hide_a_short_fault_and_their_absence_shows_it(server: Given, fault: Fault) -> None:
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
def test_after_a_write_of_unknown_outcome_both_versions_are_right(server: Given, fault: Fault, present: str) -> None:
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


def test_a_deletion_of_unknown_outcome_may_have_happened_or_not(server: Given) -> None:
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
