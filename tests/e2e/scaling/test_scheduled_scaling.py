"""An instance in the lab grows and shrinks as its customer uses it, by schedule alone. The tests tell one story."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from typing import Any

import pytest

from freehold.models.instance import EvidenceKind
from tests.e2e.datacentre import APPROVER, HOSTS, DataCentre, eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(600)]

INSTANCE = "acme-5"
SCHEDULE = "evaluate-scaling"
SOON_S = 240
"""Longer than the account's totals, the windows below and an evaluation take together."""
RULES: dict[str, Any] = {
    # Of 1 GiB: more than 61 MiB is much, less than 20 MiB is little.
    "stored": {"down_at": 0.02, "target_at": 0.04, "up_at": 0.06, "full_at": 0.95, "tolerance": 0.005},
    # Machines of the lab tell the CPU of the computer that carries them all.
    "cpu": {"down_at": 0.96, "target_at": 0.975, "up_at": 0.99, "full_at": 1.0, "tolerance": 0.01},
    "symptoms": {"latency_s": 60, "error_share": 0.5},
    "up": {"window_s": 20, "cool_down_s": 0},
    "down": {"window_s": 40, "cool_down_s": 0},
    "data": {"step_s": 5, "peak_step_s": 10, "history_s": 300, "least_coverage": 0.5, "most_age_s": 300},
    "forecast": {"enabled": False},
}
CUSTOMER = """
import json, sys, tempfile, boto3
given = json.load(sys.stdin)
with tempfile.NamedTemporaryFile("w", suffix=".pem") as authority:
    authority.write(given["ca_certificate"]); authority.flush()
    s3 = boto3.client("s3", endpoint_url=given["endpoint_url"], region_name=given["region"], verify=authority.name,
                      aws_access_key_id=given["access_key_id"], aws_secret_access_key=given["secret_access_key"])
    if sys.argv[1] == "fill":
        s3.create_bucket(Bucket="films")
        for number in range(12):
            s3.put_object(Bucket="films", Key=str(number), Body=bytes([number]) * (8 << 20))
    else:
        for each in s3.list_objects_v2(Bucket="films")["Contents"]:
            s3.delete_object(Bucket="films", Key=each["Key"])
        s3.delete_bucket(Bucket="films")
print("done")
"""


def customer(centre: DataCentre, what: str) -> None:
    given = json.dumps(centre.json("instance", "credentials", INSTANCE))
    command = f"python3 -c {shlex.quote(CUSTOMER)} {what}"
    assert centre.shell(HOSTS["acme"], command, stdin=given).endswith("done")
    # Totals reach the account within minutes; here they need not be waited for.
    for server in centre.inventory.instance(INSTANCE).plan.servers:
        centre.shell(server.server, "systemctl start freehold-passes.service freehold-usage.service")


def until_waiting(centre: DataCentre, run: str) -> Any:
    """What the run waits for, as the inbox has it. A look there is a command, which takes time from the lab."""
    centre.until(run, lambda view: view.waiting is not None, SOON_S, every_s=2)
    return eventually(lambda: _in_inbox(centre, run), every_s=3)["waiting"]


def _in_inbox(centre: DataCentre, run: str) -> dict[str, Any] | None:
    return next((each for each in centre.json("inbox") if each["run"] == run), None)


def capacity_gib(centre: DataCentre) -> int:
    return centre.inventory.instance(INSTANCE).plan.request.capacity_gib


@pytest.fixture(scope="module")
def instance(centre: DataCentre) -> Iterator[None]:
    (centre.settings.home / "scaling.yaml").write_text(json.dumps({"rules": [RULES]}))
    assert centre.provision(INSTANCE)["waiting"]["kind"] == "approval"
    centre.approve(f"provision-{INSTANCE}")
    assert centre.json("instance", "watch", INSTANCE)["outcome"] == "active"
    yield
    centre.run("schedule", "pause", SCHEDULE, "--why", "the test is over")


def test_usage_rises_and_the_schedule_recommends(centre: DataCentre, instance: None) -> None:
    centre.run("instance", "scaling", INSTANCE, "--mode", "recommend", "--most-capacity-gib", "2")
    customer(centre, "fill")
    run = f"recommend-scaling-{INSTANCE}"
    found = until_waiting(centre, run)
    assert found["whom"] == "operators"
    assert "ScaleUp to capacity_gib 2 is recommended" in found["reason"]
    shown = centre.run("inbox").stdout
    assert f"freehold --as YOUR-NAME accept {run}" in shown
    (kept,) = {e.claim for e in centre.inventory.evidence(INSTANCE, EvidenceKind.SCALING)}
    assert kept in found["reason"]
    assert centre.inventory.lease(INSTANCE) is None
    centre.json("dismiss", run, "--comment", "the schedule may start it")


def test_it_grows_after_an_approval(centre: DataCentre, instance: None) -> None:
    assert centre.json("instance", "scaling", INSTANCE, "--mode", "approve")["most_capacity_gib"] == 2
    run = f"scale-up-{INSTANCE}"
    assert until_waiting(centre, run)["kind"] == "approval"
    centre.approve(run)
    assert centre.json("instance", "watch", INSTANCE)["outcome"] == "active"
    assert capacity_gib(centre) == 2
    (server,) = centre.inventory.instance(INSTANCE).plan.servers
    told = centre.shell(server.server, "grep ^CAPACITY_BYTES /usr/local/lib/freehold/usage")
    assert told == f"CAPACITY_BYTES = {2 << 30}", "its own metrics say so, too"


def test_then_it_stays_as_it_is(centre: DataCentre, instance: None) -> None:
    """Between the thresholds nothing happens, however often it is looked at."""
    before = len(centre.inventory.evidence(INSTANCE, EvidenceKind.SCALING))
    seen = set()
    end = time.monotonic() + 50
    while time.monotonic() < end:
        (schedule,) = [s for s in centre.json("schedule", "list") if s["schedule"] == SCHEDULE]
        seen.add(schedule["last_run"])
        time.sleep(10)
    assert len(seen) >= 3
    assert len(centre.inventory.evidence(INSTANCE, EvidenceKind.SCALING)) == before
    assert centre.json("inbox") == []


def test_usage_falls_and_it_shrinks(centre: DataCentre, instance: None) -> None:
    customer(centre, "empty")
    run = f"scale-down-{INSTANCE}"
    assert until_waiting(centre, run)["kind"] == "approval"
    assert "cannot approve" not in centre.run("approve", run, who=APPROVER).stdout
    assert centre.json("instance", "watch", INSTANCE)["outcome"] == "active"
    assert capacity_gib(centre) == 1


def test_the_schedule_is_paused_and_started_by_hand(centre: DataCentre, instance: None) -> None:
    centre.run("schedule", "pause", SCHEDULE, "--why", "maintenance")
    (schedule,) = [s for s in centre.json("schedule", "list") if s["schedule"] == SCHEDULE]
    assert (schedule["paused"], schedule["next"]) == (True, None)
    assert "maintenance" in schedule["note"]
    centre.run("schedule", "trigger", SCHEDULE)

    def ran() -> bool:
        (now,) = [s for s in centre.json("schedule", "list") if s["schedule"] == SCHEDULE]
        return bool(now["last_run"] != schedule["last_run"])

    eventually(ran)
    centre.run("schedule", "resume", SCHEDULE)
    assert "nothing" in centre.refusal("schedule", "pause", "nothing")


def test_it_ends_without_a_trace(centre: DataCentre, instance: None) -> None:
    assert centre.decommission(INSTANCE)["outcome"] == "gone"
    assert centre.json("inbox") == []
