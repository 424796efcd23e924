"""Whole runs against a service that is told what to do wrong."""

from __future__ import annotations

import time
from typing import Any

import pytest

from freehold.lab.client.program.main import Run
from freehold.lab.client.program.tally import QUIET, WRONGS
from freehold.lab.client.program.traffic import Load
from tests.lab.client.s3_server import SLOW_S, Fault, Given

ALL_WELL = dict.fromkeys(("failed", *WRONGS, "unchecked"), 0)

LOAD = Load(
    requests_per_s=30, workers=3, keys=8, object_bytes=2000, part_bytes=4000, parts_every_s=0.2, slow_s=0.5,
    slow_upload_bytes=4000, slow_download_bytes=6000, at_most_s=60, check_at_most_s=20, seed=1,
)  # fmt: skip


def judged(
    server: Given, fault: Fault | None = None, *, seconds: float = 2, only: str = "", times: int = 1_000_000
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


def test_a_run_against_a_good_service_is_clean(server: Given) -> None:
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
def test_a_run_against_a_bad_service_says_what_is_bad(server: Given, fault: Fault, counted: str) -> None:
    result = judged(server, fault, only="/0/")
    assert result["fired"] > 0
    assert result[counted] > 0
    assert result["phases"][1][counted] == 0, "nothing was wrong in the quiet phase"
    # What was never kept is not listed either; metadata of the version before are stale when they are all that is read,
    # and so is what comes back while it is being written again.
    also = {Fault.LOSE: {"listings_wrong"}, Fault.MIX: {"stale"}, Fault.RESURRECT: {"stale"}}.get(fault, set())
    assert {name for name in WRONGS if result[name]} - also == {counted}


def test_what_cannot_be_read_at_the_end_is_not_taken_for_good(server: Given) -> None:
    result = judged(server, Fault.UNAVAILABLE, seconds=0.5, only="without_retries/1/")
    assert result["unchecked"] > 0
    assert result["failed_without_retries"] > 0
    assert result["lost"] == 0


def test_a_slow_phase_shows_in_its_latencies(server: Given) -> None:
    result = judged(server, Fault.SLOW, times=30)
    quiet, trouble = result["phases"][1:3]
    assert quiet["p99_ratio"] == 1
    assert trouble["p99_ms"] >= SLOW_S * 1000
    assert trouble["p99_ratio"] == pytest.approx(trouble["p99_ms"] / quiet["p99_ms"], rel=0.01)
    assert result["p99_ratio"] == trouble["p99_ratio"] > 1
    assert {name: result[name] for name in ALL_WELL} == ALL_WELL


def test_a_request_without_an_answer_at_the_end_has_failed(server: Given) -> None:
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


def test_what_a_killed_run_left_is_removed_by_a_later_one(server: Given) -> None:
    store, _ = server
    store.buckets["freehold-count-1000000000-abcd"] = {}
    store.buckets["somebody-elses"] = {}
    run = Run(server[1], LOAD, patience_s=10)
    run.start()
    run.abandon()
    assert set(store.buckets) == {"somebody-elses", run.bucket}
    assert run.remove()
