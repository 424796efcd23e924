"""Desired state of a compact server, as text. `FREEHOLD_UPDATE_GOLDEN=1 pytest` writes it anew; read the diff."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from ipaddress import ip_interface
from itertools import pairwise
from pathlib import Path

import pytest

from freehold.devices.servers.differences import check_intent
from freehold.errors import BadInput
from freehold.models.plan import Plan
from freehold.models.server import SECRET_TOKEN, File, ServerIntent
from freehold.services.base import Service

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def whole(storage: Service, plan: Plan) -> ServerIntent:
    return storage.stages(plan)[-1].intents[0]


def texts(intent: ServerIntent) -> dict[str, File]:
    return {file.path: file for file in intent.files if not file.base64}


def test_files_are_as_they_were_read_and_agreed(whole: ServerIntent) -> None:
    rendered = {f"{path[1:]}": file.content for path, file in texts(whole).items()}
    if os.environ.get("FREEHOLD_UPDATE_GOLDEN"):
        for name, content in rendered.items():
            (GOLDEN / name).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / name).write_text(content)
    kept = {str(p.relative_to(GOLDEN)): p.read_text() for p in GOLDEN.rglob("*") if p.is_file()}
    assert rendered == kept


def test_stages_are_named_for_operators_and_grow(storage: Service, plan: Plan) -> None:
    stages = storage.stages(plan)
    names = ["prepare servers", "install object storage", "open endpoint", "start monitoring"]
    assert [stage.name for stage in stages] == names
    for before, after in pairwise(stages):
        for field in ("packages", "filesystems", "directories", "files", "setups", "units", "purge"):
            old, new = getattr(before.intents[0], field), getattr(after.intents[0], field)
            assert set(old) <= set(new), f"{after.name} lost {field}"


def test_a_plan_can_carry_the_whole_as_text(whole: ServerIntent) -> None:
    """Plans travel through histories: what people would read of the change stays small."""
    assert sum(len(file.content) for file in texts(whole).values()) < 25_000


def test_the_same_plan_gives_the_same_stages(storage: Service, plan: Plan) -> None:
    assert storage.stages(plan) == storage.stages(plan)


def test_nothing_is_wanted_twice_in_two_ways(whole: ServerIntent) -> None:
    for things in (
        [file.path for file in whole.files],
        [unit.name for unit in whole.units],
        [directory.path for directory in whole.directories],
        [setup.name for setup in whole.setups],
    ):
        assert len(things) == len(set(things))


def test_secrets_are_tokens_that_are_asked_for_and_files_that_few_read(
    storage: Service, plan: Plan, whole: ServerIntent
) -> None:
    check_intent(whole)
    needed = {need.name for need in storage.secrets(plan)}
    assert {name for file in whole.files for name in file.secrets} == needed
    assert all(name.startswith("instances/acme-1/") for name in needed)
    for file in whole.files:
        if file.secrets:
            assert file.mode & 0o007 == 0, file.path
    credentials = storage.credentials(plan)
    assert SECRET_TOKEN.fullmatch(credentials["secret_access_key"])
    assert SECRET_TOKEN.fullmatch(credentials["ca_certificate"])


def test_probes_carry_no_secret(storage: Service, plan: Plan) -> None:
    for probe in (
        storage.customer_probe(plan, "acme-host", "198.18.64.200"),
        storage.stranger_probe(plan, "beta-host", "198.18.65.200"),
    ):
        compile(probe.script, probe.name, "exec")
        assert "@@secret:" not in probe.script
    assert storage.customer_probe(plan, "acme-host", "").given["secret_access_key"].startswith("@@secret:")
    assert not any("@@secret:" in str(value) for value in storage.stranger_probe(plan, "b", "").given.values())


def test_a_stranger_borrows_no_address_that_is_taken(storage: Service, plan: Plan) -> None:
    given = storage.stranger_probe(plan, "beta-host", "198.18.65.200").given
    assert given["temporary"] == "198.18.64.254/24"
    last = plan.endpoint.model_copy(update={"address": ip_interface("198.18.64.254/24")})
    given = storage.stranger_probe(plan.model_copy(update={"endpoint": last}), "beta-host", "198.18.65.200").given
    assert (given["address"], given["temporary"]) == ("198.18.64.254", "198.18.64.253/24")


def test_everything_a_unit_watches_is_written(whole: ServerIntent) -> None:
    written = {file.path for file in whole.files}
    for unit in whole.units:
        assert {*unit.restart_on, *unit.reload_on} <= written, unit.name


def test_every_file_says_who_writes_it(whole: ServerIntent) -> None:
    for path, file in texts(whole).items():
        if file.content.startswith("@@secret:") or path.endswith((".sql", "/endpoint-preference")):
            continue
        assert "Written by Freehold" in file.content.split("\n", 2)[0] + file.content.split("\n", 2)[1], path


def test_configuration_parses_and_pipelines_are_complete(whole: ServerIntent) -> None:
    for path, file in texts(whole).items():
        if not re.fullmatch(r"/etc/swift/freehold/\w+-server.conf", path):
            continue
        parsed = configparser.RawConfigParser(strict=True)
        parsed.read_string(file.content)
        *filters, app = parsed["pipeline:main"]["pipeline"].split()
        assert parsed.has_section(f"app:{app}"), path
        for name in filters:
            assert parsed.has_section(f"filter:{name}"), f"{path}: {name}"


def test_only_the_endpoint_listens_where_the_customer_is(plan: Plan, whole: ServerIntent) -> None:
    endpoint = str(plan.endpoint.address.ip)
    mentions = {path for path, file in texts(whole).items() if endpoint in file.content}
    assert mentions == {
        "/etc/freehold/firewall.nft",
        "/etc/freehold/network/lo",
        "/etc/haproxy/haproxy.cfg",
        "/etc/keepalived/keepalived.conf",
    }


def test_a_firewall_guards_before_any_address_is_there(storage: Service, plan: Plan) -> None:
    names = [unit.name for unit in storage.stages(plan)[0].intents[0].units]
    assert names[0] == "freehold-firewall.service"
    assert "freehold-network@eth1.service" not in names, "the endpoint opens in its own stage"


def test_targets_are_on_the_management_network(storage: Service, plan: Plan) -> None:
    targets = storage.targets(plan)
    assert [(t.address, t.labels["job"]) for t in targets] == [
        ("198.18.0.21:9100", "server"),
        ("198.18.0.21:8405", "endpoint"),
    ]
    for target in targets:
        assert target.labels | {"job": ""} == {"instance": "acme-1", "customer": "acme", "server": "srv-1", "job": ""}


def test_a_plan_without_a_back_network_is_refused_in_words(storage: Service, plan: Plan) -> None:
    with pytest.raises(BadInput, match="acme-1: the plan has no back network"):
        storage.stages(plan.model_copy(update={"networks": plan.networks[:1]}))


def test_importing_the_services_imports_neither_swift_nor_eventlet() -> None:
    """Workflow code and the command line import the package; only who asks for this service pays for its libraries."""
    code = (
        "import sys, freehold.services; "
        "sys.exit(' '.join(name for name in ('swift', 'eventlet') if name in sys.modules) or None)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=60, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
