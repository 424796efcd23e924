"""A compact instance on a real machine: brought about, used, attacked, cut off, taken back.

The tests tell one story and run in the order of the file.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from freehold import authority
from freehold.errors import CommandRejected
from freehold.lab import PowerAction
from freehold.models.server import ServerSnapshot
from freehold.services.object_storage.parts import NICENESS
from freehold.stack.prometheus import rule_files
from tests.services.object_storage.conftest import CUSTOMER_HOST, SERVER, STRANGER_HOST, Bench

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STAGES_WITHIN_S = 25
"""On two quiet cores; a busy machine is given three times as long before the test fails."""

_SHELL = """
import json, subprocess, sys
done = subprocess.run(json.load(sys.stdin)["command"], shell=True, capture_output=True, text=True)
print(json.dumps({"code": done.returncode, "said": (done.stdout + done.stderr)[-20000:]}))
"""


def shell(bench: Bench, host: str, command: str) -> tuple[int, str]:
    with bench.session(host) as session:
        answer = session.run(_SHELL, {"command": command}, 60)
    return answer["code"], answer["said"]


@pytest.fixture(scope="module")
def before(bench: Bench) -> ServerSnapshot:
    with bench.session(SERVER) as server:
        return server.snapshot()


def test_stages_bring_the_server_up(bench: Bench, before: ServerSnapshot, record_property: Any) -> None:
    assert before.listeners
    seconds: dict[str, float] = {}
    for stage in bench.service.stages(bench.plan):
        with bench.session(SERVER) as server:
            begin = time.monotonic()
            assert server.apply(stage.intents[0]).changed
            seconds[stage.name] = round(time.monotonic() - begin, 1)
    record_property("seconds", json.dumps(seconds))
    assert sum(seconds.values()) < 3 * STAGES_WITHIN_S, seconds


def test_repeating_changes_nothing(bench: Bench) -> None:
    for stage in bench.service.stages(bench.plan):
        with bench.session(SERVER) as server:
            result = server.apply(stage.intents[0])
        assert not result.changed, f"{stage.name}: {result.diff}"


def test_the_customer_is_served(bench: Bench) -> None:
    seen = bench.observe(bench.customer_probe())
    assert seen["ok"], seen
    assert seen["open_ports"] == [443]
    assert seen["tls"].startswith("TLSv1.3")
    assert bench.secrets.get("instances/acme-1/s3-key") not in json.dumps(seen)


@pytest.mark.parametrize("unit", ["freehold-replication", "freehold-latency"])
def test_what_no_customer_waits_for_stands_back(bench: Bench, unit: str) -> None:
    pid = f"$(systemctl show --property MainPID --value {unit}.service)"
    code, niceness = shell(bench, SERVER, f"ps --no-headers --format ni --pid {pid}")
    assert (code, niceness.split()) == (0, [str(NICENESS)])
    code, group = shell(bench, SERVER, f"cat /proc/{pid}/autogroup")
    if code == 0:  # such a kernel puts whole sessions behind one another, whatever the niceness of a process
        assert group.split()[1:] == ["nice", str(NICENESS)]


def test_a_wrong_key_is_noticed_by_the_probe(bench: Bench) -> None:
    probe = bench.customer_probe()
    seen = bench.observe(probe.model_copy(update={"given": {**probe.given, "secret_access_key": "guessed"}}))
    assert not seen["ok"]
    assert "create bucket" in seen["error"]
    assert "403" in seen["error"] or "SignatureDoesNotMatch" in seen["error"]


def test_the_stranger_reaches_nothing(bench: Bench) -> None:
    seen = bench.observe(bench.stranger_probe())
    assert seen["ok"], seen
    for how in ("from_own_address", "from_inside_address"):
        assert seen[how]["answers"] == []
        assert seen[how]["tried"]["ports of the endpoint"] == 65535
    _, addresses = shell(bench, STRANGER_HOST, "ip -4 address show")
    assert bench.stranger_probe().given["temporary"] not in addresses


def test_a_killed_probe_leaves_no_address(bench: Bench) -> None:
    """The kernel ends the life of the borrowed address, here made shorter."""
    probe = bench.stranger_probe()
    script = probe.script
    for old, new in (
        ("_ADDRESS_LIFE_S = 60", "_ADDRESS_LIFE_S = 3"),
        ('seen["from_inside_address"] = attempt(given)', "import os; os.kill(os.getpid(), 9)"),
    ):
        assert script.count(old) == 1
        script = script.replace(old, new)
    with bench.session(STRANGER_HOST) as host, pytest.raises(CommandRejected):
        host.run(script, probe.given, 60)
    time.sleep(4)
    _, addresses = shell(bench, STRANGER_HOST, "ip -4 address show")
    assert probe.given["temporary"] not in addresses
    assert bench.address(STRANGER_HOST) in addresses


def test_a_host_that_reaches_the_endpoint_fails_the_strangers_probe(bench: Bench) -> None:
    """The same program, run where the endpoint does answer, must say so."""
    seen = bench.observe(bench.stranger_probe(CUSTOMER_HOST))
    assert not seen["ok"]
    found = seen["from_own_address"]
    endpoint = bench.plan.endpoint.address.ip
    assert (found["ping"], found["s3"], found["answers"]) == (True, True, [f"{endpoint}:443"])


def test_the_customer_cannot_get_behind_the_endpoint(bench: Bench) -> None:
    """Neither through the endpoint's address as a gateway, nor by asking the wire for the server's other addresses."""
    back, endpoint = bench.stranger_probe().given["servers"][0]["address"], bench.plan.endpoint.address.ip
    management = bench.lab.hall.device(SERVER).management.address
    for target, port in ((back, 6201), (management, 22)):
        for way in (f"via {endpoint}", "dev eth1"):
            command = (
                f"set -e; ip route replace {target}/32 {way}; trap 'ip route delete {target}/32' EXIT; "
                f"if timeout 4 nc -z -w 3 {target} {port}; then echo answered; else echo silent; fi"
            )
            code, said = shell(bench, CUSTOMER_HOST, command)
            assert (code, said.splitlines()[-1]) == (0, "silent"), f"{target}:{port} {way}: {said}"


def test_a_second_open_port_fails_the_customers_probe(bench: Bench) -> None:
    code, said = shell(bench, SERVER, "nft insert rule inet freehold input tcp dport 22 accept")
    assert code == 0, said
    try:
        seen = bench.observe(bench.customer_probe())
    finally:
        code, said = shell(bench, SERVER, "systemctl reload freehold-firewall.service")
    assert code == 0, said
    assert not seen["ok"]
    assert seen["open_ports"] == [22, 443]


def test_figures_are_there_to_be_scraped(bench: Bench) -> None:
    texts = {}
    for target in bench.service.targets(bench.plan):
        with urllib.request.urlopen(f"http://{target.address}{target.path}", timeout=10) as answer:
            texts[target.labels["job"]] = answer.read().decode()
    assert 'haproxy_server_status{proxy="proxies",server="srv-1",state="UP"} 1' in texts["endpoint"]
    assert "freehold_account_bytes " in texts["server"]
    assert "freehold_account_capacity_bytes 1.073741824e+09" in texts["server"]
    assert 'node_filesystem_size_bytes{device="/dev/vdb"' in texts["server"]
    told = {sample.name for text in texts.values() for family in parse(text) for sample in family.samples}
    rules = bench.service.rules() + rule_files()["instances.yml"]
    assert set(re.findall(r"\b(?:node|haproxy|freehold)_[A-Za-z0-9_]+", rules)) <= told, "rules use what there is"
    waited = [
        s for family in parse(texts["server"]) for s in family.samples if s.name.endswith("request_seconds_count")
    ]
    assert sum(sample.value for sample in waited) > 5, "the customer's requests are in the histogram"


def test_secrets_are_in_no_process_list_and_no_log(bench: Bench) -> None:
    for name in ("s3-key", "hash-prefix", "hash-suffix"):
        secret = bench.secrets.get(f"instances/acme-1/{name}")
        given = {"secret": secret}
        script = """
import json, subprocess, sys
secret = json.load(sys.stdin)["secret"]
told = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True).stdout
told += subprocess.run(["journalctl", "--no-pager"], capture_output=True, text=True).stdout
print(json.dumps({"read": len(told), "found": secret in told}))
"""
        with bench.session(SERVER) as server:
            seen = server.run(script, given, 60)
        assert seen["read"] > 10_000
        assert seen["found"] is False, name


def test_a_new_key_reloads_the_proxy_and_nothing_else(bench: Bench) -> None:
    """The tests after this one use the new key."""
    old, new = bench.secrets.get("instances/acme-1/s3-key"), authority.password()
    bench.secrets.put("instances/acme-1/s3-key", new)
    with bench.session(SERVER) as server:
        result = server.apply(bench.service.stages(bench.plan)[-1].intents[0])
    units = [line for line in result.diff.splitlines() if line.startswith(("~ unit", "+ unit"))]
    assert units == ["~ unit swift-proxy.service: reload"]
    assert old not in result.diff
    assert new not in result.diff


def test_a_killed_database_comes_back(bench: Bench) -> None:
    code, said = shell(bench, SERVER, "kill -9 $(systemctl show -P MainPID mariadb.service) && sleep 1")
    assert code == 0, said
    assert _served_within(bench, 30)


def test_a_power_cut_is_survived_without_help(bench: Bench) -> None:
    bench.lab.power(SERVER, PowerAction.RESET)
    assert _served_within(bench, 60)
    code, failed = shell(bench, SERVER, "systemctl --failed --no-legend --plain")
    assert (code, failed) == (0, "")
    with bench.session(SERVER) as server:
        result = server.apply(bench.service.stages(bench.plan)[-1].intents[0])
    assert not result.changed, result.diff


def test_taking_it_back_leaves_the_server_as_before(bench: Bench, before: ServerSnapshot) -> None:
    """Also when something that a timer starts has failed, which systemd remembers beyond the unit's file."""
    shell(bench, SERVER, "systemctl stop swift-account; systemctl start freehold-usage")
    assert "freehold-usage" in shell(bench, SERVER, "systemctl --failed --no-legend --plain")[1]
    with bench.session(SERVER) as server:
        server.remove(bench.service.stages(bench.plan)[-1].intents[0])
        assert server.erase("vdb").clean
        after = server.snapshot()
    for field in ServerSnapshot.model_fields:
        assert getattr(after, field) == getattr(before, field), field


def _served_within(bench: Bench, seconds: float) -> bool:
    """The whole round trip, tried again until it succeeds or the time is over."""
    end = time.monotonic() + seconds
    while not (seen := bench.observe(bench.customer_probe()))["ok"]:
        assert time.monotonic() < end, seen
        time.sleep(1)
    return True
