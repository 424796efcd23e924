"""Two customers, two servers, from the first look to the last trace. The tests run in the order of the file.

What an operator does goes through the `freehold` command; faults come from the hall and from the kernel.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import stat
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from activities.servers import compare, whole_intent
from freehold.devices.real import RealDevices
from freehold.models.network import SwitchState
from freehold.models.plan import Plan
from freehold.models.server import ServerSnapshot
from freehold.stack.client import connect
from tests.e2e.datacentre import (
    HOSTS,
    REQUESTER,
    SERVERS,
    DataCentre,
    ended,
)
from tests.e2e.eavesdropper import Eavesdropper, files_with, histories, secret_words
from tests.sweep.states import differences, without_data

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(400)]

CLEAR_DISK = "wipefs --quiet --all /dev/vdb"
LOGS = "/run/all-logs"
CUSTOMER_PROGRAM = Path(__file__).with_name("customer.py").read_text()


@dataclass
class Story:
    """What earlier tests saw and later ones compare with."""

    fresh_servers: dict[str, ServerSnapshot] = field(default_factory=dict)
    fresh_switches: dict[str, SwitchState] = field(default_factory=dict)
    words: dict[str, set[str]] = field(default_factory=dict)
    plan: Plan | None = None
    uninterrupted: ServerSnapshot | None = None
    switches_in_use: dict[str, SwitchState] = field(default_factory=dict)
    before_abort: tuple[str, ServerSnapshot | None, dict[str, SwitchState]] = ("", None, {})
    winner: str = ""

    @property
    def first_plan(self) -> Plan:
        """Of acme-1 before anything was touched."""
        assert self.plan is not None
        return self.plan

    @property
    def server(self) -> str:
        return self.first_plan.servers[0].server

    @property
    def leaf(self) -> str:
        return self.first_plan.servers[0].nics[0].switch

    def overhear(self, centre: DataCentre) -> None:
        """Remember the secrets as they are now, to search for them when they are gone."""
        for name, words in secret_words(centre.secrets).items():
            self.words.setdefault(name, set()).update(words)


@pytest.fixture(scope="module")
def story(centre: DataCentre) -> Story:
    for name in SERVERS:  # what only runs at boot is no part of the picture
        centre.shell(name, "systemctl is-system-running --wait", code=None)
    return Story(
        fresh_servers={name: centre.server(name) for name in SERVERS},
        fresh_switches=centre.switches(),
    )


def test_a_dry_run_shows_exact_commands_and_changes_nothing(centre: DataCentre, story: Story) -> None:
    before = centre.inventory.fingerprint()
    planned = centre.provision("acme-1", "--dry-run")
    assert planned["outcome"] == "planned"
    story.plan = plan = Plan.model_validate(planned["plan"])
    changes = {change.device: change for change in plan.diffs}
    assert set(changes) == {story.server, *plan.switches()}
    for port in plan.ports:
        commands = "\n".join(changes[port.switch].commands)
        assert f"set port {port.change.port} tag={port.change.config.vlan}" in commands
        assert "+ " in changes[port.switch].diff
    assert "/etc/haproxy/haproxy.cfg" in changes[story.server].diff
    shown = centre.run("instance", "provision", "acme-1", "--customer", "acme", "--site", "north", "--dry-run").stdout
    assert all(f"$ {command}" in shown for change in plan.diffs for command in change.commands)
    assert centre.inventory.fingerprint() == before
    assert centre.json("inventory", "holds") == []
    assert centre.switches() == story.fresh_switches
    assert compare(story.fresh_servers[story.server], centre.server(story.server)) == []


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("instance show nobody", "nobody"),
        ("instance provision acme-9 --customer acme --site nowhere", "nowhere"),
        ("instance provision ACME_9 --customer acme --site north", "ACME_9"),
        ("approve provision-nobody", "provision-nobody"),
    ],
)
def test_a_mistake_is_answered_by_one_sentence(centre: DataCentre, command: str, names: str) -> None:
    assert names in centre.refusal(*command.split())


def test_a_mistake_is_told_to_programs_too(centre: DataCentre) -> None:
    told = centre.json("instance", "show", "nobody", code=1)
    assert told["error"]["type"] == "NotFound"
    assert "nobody" in told["error"]["message"]


def test_two_customers_at_the_same_time(centre: DataCentre, story: Story, eavesdropper: Eavesdropper) -> None:
    first = centre.provision("acme-1", "--no-watch")
    others = [
        centre.start("instance", "provision", *words.split(), "--customer", words[:4], "--site", "north", "--json")
        for words in ("beta-1", "acme-1")
    ]
    beta, again = (json.loads(ended(other).stdout) for other in others)
    assert beta["waiting"]["kind"] == again["waiting"]["kind"] == "approval"
    assert again["plan_hash"] == centre.until("provision-acme-1", lambda view: bool(view.waiting)).plan_hash
    assert first["procedure"] == again["procedure"]

    assert {waits["run"] for waits in centre.json("inbox")} == {"provision-acme-1", "provision-beta-1"}
    assert "cannot approve" in centre.refusal("approve", "provision-acme-1", who=REQUESTER.upper())
    assert "acme-2" not in json.dumps(centre.json("inventory", "holds"))
    none_left = centre.refusal("instance", "provision", "acme-2", "--customer", "acme", "--site", "north")
    assert "north" in none_left
    assert "free" in none_left

    watching = [centre.start("instance", "watch", name, "--json") for name in ("acme-1", "beta-1")]
    for run in ("provision-acme-1", "provision-beta-1"):
        centre.approve(run)
    for watch in watching:
        assert json.loads(ended(watch).stdout)["outcome"] == "active"
    story.overhear(centre)
    found = centre.json("instance", "list")
    assert {i["name"]: i["state"] for i in found} == {"acme-1": "active", "beta-1": "active"}
    story.uninterrupted = without_data(centre.server(story.server))
    story.switches_in_use = centre.switches()
    assert as_asked(Plan.model_validate(centre.json("instance", "show", "acme-1")["plan"]), story) == story.first_plan


def test_the_same_request_again_finds_it_fulfilled(centre: DataCentre, story: Story) -> None:
    before = centre.inventory.fingerprint()
    again = centre.provision("acme-1", "--wait")
    assert (again["outcome"], again["endpoint"]) == ("active", story.first_plan.endpoint.url)
    assert centre.inventory.fingerprint() == before
    assert without_data(centre.server(story.server)) == story.uninterrupted


def test_keys_and_certificates_work_for_their_customer_only(centre: DataCentre, tmp_path: Path) -> None:
    given: dict[str, dict[str, str]] = {}
    for customer in HOSTS:
        file = tmp_path / f"{customer}.yaml"
        centre.run("instance", "credentials", f"{customer}-1", "--output", str(file))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        given[customer] = yaml.safe_load(file.read_text())
    for customer, stranger in (("acme", "beta"), ("beta", "acme")):
        own, other = given[customer], given[stranger]
        address = other["endpoint_url"].removeprefix("https://")
        answers = use(
            centre,
            customer,
            {
                "own": own,
                "with the other's keys": other | {"endpoint_url": own["endpoint_url"]},
                "with the other's secret": own | {"secret_access_key": other["secret_access_key"]},
                "taken for the other": own | {"expect_name": address},
                "itself": own | {"expect_name": own["endpoint_url"].removeprefix("https://")},
                "the other's": other,
            },
        )
        assert answers["own"] == "served"
        assert answers["with the other's keys"].startswith("refused: "), answers
        assert answers["with the other's secret"] == "refused: SignatureDoesNotMatch"
        assert "CERTIFICATE_VERIFY_FAILED" in answers["taken for the other"]
        assert answers["itself"].startswith("served")
        assert answers["the other's"].startswith("failed: ConnectTimeoutError"), answers


def test_evidence_is_kept_of_both_sides(centre: DataCentre) -> None:
    for customer, stranger in (("acme", "beta"), ("beta", "acme")):
        found = {e["kind"]: e for e in centre.json("evidence", f"{customer}-1")}
        assert found["approval"]["observed"]
        assert (found["service"]["holds"], found["isolation"]["holds"]) == (True, True)
        assert HOSTS[stranger] in found["isolation"]["id"]


def test_decommission_returns_everything(centre: DataCentre, story: Story) -> None:
    """With the connection to the switch cut after it took the change and before it answered."""
    asked = centre.json("instance", "decommission", "acme-1")
    assert asked["waiting"]["kind"] == "approval"
    assert "cannot approve" in centre.refusal("approve", "decommission-acme-1")
    assert without_data(centre.server(story.server)) == story.uninterrupted
    with centre.changing(story.leaf):
        centre.approve("decommission-acme-1")
        centre.wait_for_change(story.leaf)
        centre.cut_ssh(story.leaf)
    assert centre.json("instance", "watch", "acme-1", "--decommission")["outcome"] == "gone"

    for disk in story.first_plan.servers[0].disks:
        (erased,) = [e for e in centre.json("evidence", "acme-1", "--kind", "erase") if e["id"].endswith(disk)]
        assert erased["holds"]
        assert erased["observed"]["sampled_bytes"] > 0
        assert centre.shell(story.server, f"wipefs --noheadings /dev/{disk}") == ""
    for port in story.first_plan.ports:
        row = centre.shell(port.switch, f"ovs-vsctl --columns=tag,protected,trunks list port {port.change.port}")
        if port.change.config.vlan:
            assert "4094" in row
            assert "true" in row
    assert compare(story.fresh_servers[story.server], centre.server(story.server)) == []
    assert {hold["instance"] for hold in centre.json("inventory", "holds")} == {"beta-1"}
    assert "gone" in centre.refusal("instance", "credentials", "acme-1")
    assert "acme-1" not in {i["name"] for i in centre.json("instance", "list")}
    assert not [name for name in centre.secrets.names() if "acme-1" in name]
    planned = centre.provision("acme-1", "--dry-run")
    assert Plan.model_validate(planned["plan"]) == story.first_plan


def test_of_two_requests_for_the_last_server_one_is_refused(centre: DataCentre, story: Story) -> None:
    """The other one finds somebody's data on the disk, and says so before anything is touched."""
    story.before_abort = centre.inventory.fingerprint(), centre.server(story.server), centre.switches()
    lay_foreign_data(centre, story)
    racers = [
        centre.start("instance", "provision", name, "--customer", "acme", "--site", "north", "--json")
        for name in ("acme-2", "acme-3")
    ]
    told = [racer.communicate(timeout=100)[0] for racer in racers]
    assert sorted(racer.returncode for racer in racers) == [0, 1], told
    lost, won = sorted((json.loads(answer) for answer in told), key=len)
    assert "free" in lost["error"]["message"]
    story.winner = won["instance"]
    names_the_disk(centre.parked(f"provision-{story.winner}", "plan"), story)
    assert foreign_data(centre, story) == "keep me"


def test_abort_leaves_all_as_it_was(centre: DataCentre, story: Story) -> None:
    """The disk is cleared, but now another program holds it: the step fails for good, after the switches changed."""
    run = f"provision-{story.winner}"
    centre.shell(story.server, CLEAR_DISK)
    centre.json("retry", run)
    with centre.holding_disk(story.server, "vdb"):
        centre.until(run, lambda view: view.waiting is not None and view.waiting.kind == "approval")
        centre.approve(run)
        assert "vdb" in centre.parked(run, "prepare servers")
        assert centre.switches() != story.before_abort[2]
    centre.json("abort", run)
    assert centre.json("instance", "watch", story.winner)["outcome"] == "aborted"
    assert (centre.inventory.fingerprint(), centre.server(story.server), centre.switches()) == story.before_abort
    assert centre.json("evidence", story.winner, "--kind", "undo")[0]["holds"]


def test_wrong_cables_are_named(centre: DataCentre, story: Story) -> None:
    """The run that begins here goes through the next tests, and whatever can go wrong does."""
    front, back = story.first_plan.servers[0].nics
    swap(centre, story)
    asked = centre.provision("acme-1")
    assert asked["waiting"]["kind"] == "approval"
    lay_foreign_data(centre, story)
    centre.approve("provision-acme-1")
    why = centre.parked("provision-acme-1", "check cables")
    assert "are swapped" in why
    for nic, there in ((front, back), (back, front)):
        assert f"{nic.cable.label} is in {there.switch}/{there.switch_port}" in why
        assert f"{nic.cable.label} into {nic.switch}/{nic.switch_port}" in why
    (waits,) = centre.json("inbox")
    assert waits["waiting"]["reason"] == why
    swap(centre, story)


def test_the_worker_is_killed_in_the_middle_of_a_switch_change(centre: DataCentre, story: Story) -> None:
    centre.until_cabled("acme-1")  # a switch that stands still does not tell which addresses it learned
    with centre.changing(story.leaf):
        centre.json("retry", "provision-acme-1")
        centre.wait_for_change(story.leaf)
        centre.kill("workers")
    names_the_disk(centre.parked("provision-acme-1", "prepare servers"), story)
    assert foreign_data(centre, story) == "keep me"


def test_connection_worker_and_temporal_are_killed_while_a_server_is_installed(
    centre: DataCentre, story: Story
) -> None:
    centre.shell(story.server, CLEAR_DISK)
    centre.json("retry", "provision-acme-1")
    centre.until_running("provision-acme-1", "install object storage")
    time.sleep(2)
    centre.cut_ssh(story.server)
    centre.wait_for_session(story.server)
    time.sleep(1)
    centre.kill("workers")
    centre.kill("temporal")
    assert centre.json("instance", "watch", "acme-1")["outcome"] == "active"
    story.overhear(centre)


def test_it_ends_as_if_nothing_had_happened(centre: DataCentre, story: Story) -> None:
    assert story.uninterrupted is not None
    plan = Plan.model_validate(centre.json("instance", "show", "acme-1")["plan"])
    intent = whole_intent(plan, story.server)
    now, then = without_data(centre.server(story.server)), story.uninterrupted
    secret = {str(file.path) for file in intent.files if "@@secret:" in str(file.content)}
    differ = {path for path in now.files.keys() | then.files.keys() if now.files.get(path) != then.files.get(path)}
    assert differ <= secret, differ - secret
    assert now.model_copy(update={"files": {}}) == then.model_copy(update={"files": {}})
    assert centre.switches() == story.switches_in_use
    with RealDevices(centre.secrets).server(centre.inventory.access(story.server)) as session:
        assert session.preview(intent).diff == ""
    held = [hold for hold in centre.json("inventory", "holds") if hold["instance"] == "acme-1"]
    assert sorted((h["kind"], h["key"]) for h in held) == sorted((h.kind, h.key) for h in story.first_plan.holds)


def test_the_kills_did_hit(centre: DataCentre, story: Story) -> None:
    """Without this the tests above could pass by chance: nothing was at work when it was cut or killed."""
    assert attempts(centre, "provision-acme-1")["apply_stage"] >= 3
    assert attempts(centre, f"switch-{story.leaf}")["apply_changes"] >= 2


def test_secrets_are_nowhere(centre: DataCentre, story: Story, eavesdropper: Eavesdropper) -> None:
    words = {word for found in story.words.values() for word in found}
    assert {name.rsplit("/", 1)[-1] for name in story.words} >= {"s3-key", "ssh-key"}, story.words.keys()
    assert eavesdropper.hears("ovs-vsctl"), "it does not hear what stands in a command line"
    heard = [name for name, found in story.words.items() if any(map(eavesdropper.hears, found))]
    assert heard == []
    home = centre.settings.home
    store = [centre.settings.secrets_file, centre.settings.secrets_file.with_suffix(".key")]
    assert files_with(["provision-acme-1"], home, store), "it does not find what is written"
    assert files_with(words, home, store) == []
    for run, history in histories(centre.settings).items():
        assert [name for name, found in story.words.items() if any(w.encode() in history for w in found)] == [], run
    for device in (*SERVERS, *HOSTS.values()):
        look = f"journalctl --no-pager >{LOGS}; grep -rlFf - {LOGS} /var/log; rm {LOGS}"
        assert LOGS in centre.shell(device, look, stdin="systemd", code=None), device
        assert centre.shell(device, look, stdin="\n".join(words), code=None) == "", device


def test_nothing_is_left(centre: DataCentre, story: Story) -> None:
    for customer in HOSTS:
        assert centre.decommission(f"{customer}-1")["outcome"] == "gone"
    assert centre.json("inventory", "holds") == []
    assert centre.switches() == story.fresh_switches
    assert differences(story.fresh_servers, {name: centre.server(name) for name in SERVERS}) == ()
    centre.inventory.close()
    assert centre.json("down")["stopped"]
    centre.run("lab", "down", "--name", centre.name)
    assert traces(centre) == []


def use(centre: DataCentre, customer: str, tasks: dict[str, dict[str, str]]) -> dict[str, str]:
    """What a program of the customer's gets, run on the customer's host. The credentials pass no command line."""
    said = centre.shell(HOSTS[customer], f"python3 -c {shlex.quote(CUSTOMER_PROGRAM)}", stdin=json.dumps(tasks))
    answers: dict[str, str] = json.loads(said)
    return answers


def as_asked(plan: Plan, story: Story) -> Plan:
    """The plan as a dry run of the same request shows it, which keeps no fingerprints of servers."""
    then = {change.device: change.before for change in story.first_plan.diffs}
    diffs = tuple(change.model_copy(update={"before": then[change.device]}) for change in plan.diffs)
    return plan.model_copy(update={"request": story.first_plan.request, "diffs": diffs})


def lay_foreign_data(centre: DataCentre, story: Story) -> None:
    make = "mkdir /run/foreign; echo keep me >/run/foreign/letter; mkfs.ext4 -q -L foreign -d /run/foreign /dev/vdb"
    centre.shell(story.server, f"set -e; {make}; rm -r /run/foreign")


def names_the_disk(why: str, story: Story) -> None:
    assert story.server in why
    assert "vdb" in why
    assert "ext4" in why


def foreign_data(centre: DataCentre, story: Story) -> str:
    return centre.shell(story.server, "debugfs -R 'cat /letter' /dev/vdb 2>/dev/null")


def swap(centre: DataCentre, story: Story) -> None:
    """Two cables of a server change places at the server's end: wrong the first time, right the second."""
    nics = story.first_plan.servers[0].nics
    switch_ports = [f"{nic.switch}/{nic.switch_port}" for nic in nics]
    pulled = [centre.lab.unplug(port) for port in switch_ports]
    for cable, other in zip(pulled, reversed(pulled), strict=True):
        ends = {cable.a.device: cable.a, cable.b.device: cable.b}, {other.a.device: other.a, other.b.device: other.b}
        at_switch = next(ref for device, ref in ends[0].items() if device != story.server)
        a, b = str(at_switch), str(ends[1][story.server])
        centre.run("lab", "cable", "--name", centre.name, a, b)


def attempts(centre: DataCentre, run: str) -> dict[str, int]:
    """How often a run's activities were tried at most, by type."""

    async def read() -> dict[str, int]:
        handle = (await connect(centre.settings, "test")).get_workflow_handle(run)
        events = (await handle.fetch_history()).events
        names = {e.event_id: e.activity_task_scheduled_event_attributes.activity_type.name for e in events}
        most: dict[str, int] = {}
        for started in (e.activity_task_started_event_attributes for e in events):
            name = names.get(started.scheduled_event_id, "")
            most[name] = max(started.attempt, most.get(name, 0))
        return most

    return asyncio.run(read())


def traces(centre: DataCentre) -> list[str]:
    """What is still there of lab and stack, in the words of the kernel's own tools."""

    def says(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    home, prefix = str(centre.settings.home), f"fh-{centre.name}"
    network = centre.management.rsplit(".", maxsplit=1)[0]
    looks = {
        "namespace": says("ip", "netns", "list"),
        "interface": says("ip", "-oneline", "link"),
        "route": says("ip", "route"),
        "mount": Path("/proc/self/mounts").read_text(),
        "loop device": says("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"),
        "control group": says("find", "/sys/fs/cgroup", "-type", "d"),
    }
    marks = (
        f"{prefix}-",
        f"{prefix}.",
        f"{prefix}:",
        f"{prefix} ",
        f"/{centre.name}/",
        f"freehold-{centre.name}",
        f"{network}.",
    )
    found = [
        f"{what} {line}"
        for what, text in looks.items()
        for line in text.splitlines()
        if any(mark in f"{line} " for mark in marks)
    ]
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            ours = home in process.environ().values() or any(home in w or f"{prefix}-" in w for w in words)
        except psutil.Error:
            continue
        if ours and "guard" not in words and process.status() != psutil.STATUS_ZOMBIE:
            found.append(f"process {process.pid} {' '.join(words)}")
    return found
