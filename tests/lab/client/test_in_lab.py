"""The counting client on a customer's host, against an instance on a real machine.

The tests tell one story and run in the order of the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from freehold.errors import CommandRejected, DeviceUnreachable
from freehold.inventory import Inventory
from freehold.lab.client import QUIET, ClientResult, CountingClient, Load
from freehold.secrets import FileSecrets
from freehold.settings import load_settings
from tests.lab.waiting import until
from tests.services.object_storage.conftest import CUSTOMER_HOST, SERVER, Bench, storage_bench

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

SYSTEMCTL = """
import json, subprocess, sys
print(json.dumps({"code": subprocess.call(["systemctl", *json.load(sys.stdin)["words"]])}))
"""
LOAD = Load(slow_s=8, parts_every_s=5, at_most_s=120)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    with storage_bench("ccount", "198.18.104.0/25", tmp_path_factory.mktemp("ccount")) as bench:
        for stage in bench.service.stages(bench.plan):
            with bench.session(SERVER) as server:
                server.apply(stage.intents[0])
        yield bench


def client(bench: Bench, load: Load = LOAD, **changed: str) -> CountingClient:
    credentials = {**bench.service.credentials(bench.plan), **changed}
    return CountingClient(bench.access(CUSTOMER_HOST), bench.secrets, credentials, load)


def on_host(bench: Bench, script: str, **given: Any) -> dict[str, Any]:
    with bench.session(CUSTOMER_HOST) as host:
        return host.run(f"import json, sys, subprocess\ngiven = json.load(sys.stdin)\n{script}", given, 30)


def counting_clients(bench: Bench) -> int:
    """How many counting clients run on the host."""
    script = """
found = subprocess.run(["pgrep", "-fc", "coun[t]ing"], capture_output=True, text=True).stdout
print(json.dumps({"count": int(found)}))
"""
    count = on_host(bench, script)["count"]
    assert isinstance(count, int)
    return count


def test_a_quiet_run_has_nothing_of_everything(bench: Bench, record_property: Any) -> None:
    with client(bench) as counting:
        until(lambda: counting.progress().requests > 30, 20)
        counting.phase(QUIET)
        time.sleep(12)
        counting.phase("still quiet")
        time.sleep(10)
        before = counting.progress()
        assert before.phase == "still quiet"
        assert 5 < before.rps <= 20, "16 quick requests a second are asked for"
        until(lambda: counting.progress().requests > before.requests, 5)
        result = counting.stop()
    record_property("result", result.model_dump_json())
    assert result.clean, result.findings
    assert result.removed
    assert [phase.name for phase in result.phases] == ["warm-up", QUIET, "still quiet", "check"]
    still = result.phases[2]
    assert result.p99_ratio == still.p99_ratio
    assert still.p99_ratio
    assert 0 < still.client_cpu < still.cpu <= 1
    done = {name for phase in result.phases for name in phase.operations}
    assert {
        "put",
        "get",
        "head",
        "list",
        "copy",
        "delete",
        "complete_upload",
        "get_parts",
        "slow_get",
        "slow_put",
    } <= done
    assert bench.secrets.get("instances/acme-1/s3-key") not in result.model_dump_json()


def test_no_secret_shows_on_the_host_while_it_runs(bench: Bench) -> None:
    script = """
told = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
told += subprocess.run(["journalctl", "--no-pager"], capture_output=True, text=True).stdout
told += subprocess.run("cat /tmp/*.pem", shell=True, capture_output=True, text=True).stdout
print(json.dumps({"read": "counting" in told and "BEGIN CERTIFICATE" in told, "found": given["secret"] in told}))
"""
    with client(bench):
        seen = on_host(bench, script, secret=bench.secrets.get("instances/acme-1/s3-key"))
    assert seen == {"read": True, "found": False}


def test_a_service_that_stops_is_counted_by_kind_and_phase(bench: Bench) -> None:
    """Retries bridge a second without a proxy or not; without them each request of that time fails."""
    with client(bench) as counting:
        counting.phase(QUIET)
        time.sleep(4)
        counting.phase("away", judged=False)
        for verb in ("stop", "start"):
            with bench.session(SERVER) as server:
                done = server.run(SYSTEMCTL, {"words": [verb, "haproxy.service"]})
            assert done["code"] == 0
            time.sleep(1)
        counting.phase("back")
        time.sleep(4)
        result = counting.stop()
    phases = {phase.name: phase for phase in result.phases}
    assert phases[QUIET].failed == 0
    assert phases["away"].failed_without_retries > 0
    assert not result.clean
    assert (result.lost, result.stale, result.corrupted, result.resurrected, result.unchecked) == (0, 0, 0, 0, 0)
    assert result.failed == result.failed_with_retries + result.failed_without_retries
    assert any("without retries failed" in line for line in result.findings)


def test_a_run_ends_by_itself(bench: Bench) -> None:
    with client(bench, LOAD.model_copy(update={"at_most_s": 4})) as counting:
        time.sleep(6)
        result = counting.stop()
    assert result.clean, result.findings


def test_a_run_whose_caller_is_gone_ends_and_leaves_nothing(bench: Bench) -> None:
    with client(bench):
        assert counting_clients(bench) > 0
    until(lambda: counting_clients(bench) == 0, 60)
    with client(bench) as counting:
        result = counting.stop()
    assert result.removed


def test_a_program_that_was_killed_is_an_error_and_no_verdict(bench: Bench) -> None:
    kill = "subprocess.run(['pkill', '-9', '-f', 'coun[t]ing']); print(json.dumps({}))"
    with client(bench) as counting:
        on_host(bench, kill)
        with pytest.raises(DeviceUnreachable, match="ended"):
            counting.stop()
        with pytest.raises(DeviceUnreachable, match="ended"):
            counting.progress()


def test_a_wrong_key_is_an_error_that_does_not_show_it(bench: Bench) -> None:
    with (
        pytest.raises(CommandRejected, match="SignatureDoesNotMatch") as caught,
        client(bench, secret_access_key="guessed-wrongly"),
    ):
        pass
    assert "guessed-wrongly" not in json.dumps(str(caught.value))


def test_an_authority_that_is_not_ours_is_refused(bench: Bench) -> None:
    other = on_host(
        bench,
        """
done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
    "-subj", "/CN=somebody", "-days", "1", "-keyout", "/dev/null"], capture_output=True, text=True)
print(json.dumps({"certificate": done.stdout}))
""",
    )["certificate"]
    with pytest.raises(CommandRejected, match="SSL"), client(bench, ca_certificate=other):
        pass


SOMEBODY_ELSE = """
import boto3, os, tempfile
file = tempfile.NamedTemporaryFile("w", suffix=".pem")
file.write(given["ca_certificate"])
file.flush()
s3 = boto3.client("s3", endpoint_url=given["endpoint_url"], region_name=given["region"], verify=file.name,
    aws_access_key_id=given["access_key_id"], aws_secret_access_key=given["secret_access_key"])
newest = max(bucket["Name"] for bucket in s3.list_buckets()["Buckets"])
s3.delete_object(Bucket=newest, Key="with_retries-slow/download")
s3.put_object(Bucket=newest, Key="without_retries-slow/download", Body=b"something else")
print(json.dumps({}))
"""


def test_what_happens_behind_its_back_is_found(bench: Bench) -> None:
    """An object is deleted and another one overwritten by somebody else who holds the key."""
    with client(bench) as counting:
        until(lambda: counting.progress().requests > 60, 30)
        credentials = dict(bench.service.credentials(bench.plan))
        on_host(bench, SOMEBODY_ELSE, **credentials)
        result = counting.stop()
    assert result.lost > 0
    assert result.corrupted > 0
    assert (result.stale, result.resurrected, result.unchecked) == (0, 0, 0)
    assert any("with_retries-slow/download shows nothing" in line for line in result.findings)


def test_an_operator_counts_by_a_command(bench: Bench, tmp_path: Path, record_property: Any) -> None:
    settings = load_settings(home=tmp_path)
    secrets, inventory = FileSecrets(settings.secrets_file), Inventory(settings.database_url)
    inventory.import_bundle(bench.lab.handover, secrets)
    inventory.place(bench.plan.request, lambda _: bench.plan)
    inventory.close()
    for name in bench.secrets.names():
        secrets.put(name, bench.secrets.get(name))
    command = [sys.executable, "-m", "freehold.cli.main", "--home", str(tmp_path), "count", "acme-1", "--seconds", "5"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert ClientResult.model_validate_json(done.stdout).clean
    table = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    record_property("table", table)
    assert "0 failed, 0 lost, 0 stale, 0 corrupted, 0 resurrected" in table
