"""Real machines, real LLDP: every way to plug a cable wrongly is found, named, and cured by what the finding says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from freehold.cables import check
from freehold.cli.main import app
from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.lab import Lab, PowerAction
from freehold.lab.commands import run
from freehold.lab.network import panel_end
from freehold.lab.testing import small_lab, ssh
from freehold.models.cabling import CableFinding, CablesInput, CablingReport, Verdict
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.secrets import FileSecrets

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

ON = ["leaf1", "leaf2", "srv-1", "srv-2", "srv-3"]
Verdicts = dict[str, str]


@pytest.fixture(scope="module")
def hall() -> Iterator[Lab]:
    """Two leaves and three servers, of which two are in the first rack."""
    with small_lab("cab", "198.18.88.0/24", ON) as lab:
        for leaf in ("leaf1", "leaf2"):  # what earlier tests plugged is forgotten soon
            code, said = ssh(lab, leaf, "sudo -n ovs-vsctl set bridge br0 other_config:mac-aging-time=15")
            assert code == 0, said
        yield lab


class Hands:
    """Somebody who plugs, and a colleague who looks."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.secrets = FileSecrets(folder / "secrets.json", key=None)
        self.inventory = Inventory(f"sqlite:///{folder}/freehold.db")
        hall = lab.hall
        powered = tuple(d.model_copy(update={"powered": d.name in ON}) for d in hall.devices)
        self.inventory.import_bundle(lab.handover, self.secrets)
        keys: dict[str, str] = {}
        self.inventory.import_hall(hall.model_copy(update={"devices": powered}), keys)
        self.devices = RealDevices(self.secrets)

    def pull(self, *labels: str) -> list[Cable]:
        return [self.lab.unplug(label=label) for label in labels]

    def put(self, label: str, a: str, b: str) -> None:
        self.lab.plug(a, b, label)

    def look(self) -> CablingReport:
        return check(self.inventory, self.devices, CablesInput(site="north"))

    def finds(self, expected: Verdicts) -> list[CableFinding]:
        """Wait until exactly these are wrong; LLDP takes seconds to see a change."""
        found: list[CableFinding] = []
        begin = time.monotonic()
        while time.monotonic() - begin < 25:
            found = [f for f in self.look().findings if f.verdict is not Verdict.OK]
            if {f.cable.label: str(f.verdict) for f in found} == expected:
                return found
        raise AssertionError(f"not {expected} but: {' '.join(f.words for f in found)}")

    def cure(self, findings: list[CableFinding]) -> None:
        """Do what the findings say, and nothing else, with the cables as they are really plugged."""
        moves = dict.fromkeys(move for f in findings for move in f.moves)
        in_hand: dict[str, tuple[Cable | None, PortRef | None]] = {}
        for finding in findings:
            if finding.verdict is Verdict.UNEXPECTED:
                self.lab.unplug(finding.cable.a)
        for move in moves:
            if move.from_port is None:
                continue
            cable = self.lab.unplug(move.from_port)
            in_hand[move.cable] = (cable, cable.b if cable.a == move.from_port else cable.a)
        loose: dict[str, list[PortRef]] = {}
        for move in moves:
            _, other = in_hand.get(move.cable, (None, None))
            loose.setdefault(move.cable, [other] if other else []).append(move.to_port)
        for a, b in loose.values():
            self.lab.plug(a, b)
        self.finds({})


@pytest.fixture
def hands(hall: Lab, tmp_path: Path) -> Iterator[Hands]:
    """The hall cabled as planned, also after the test."""
    made = Hands(hall, tmp_path)
    made.finds({})
    yield made
    for cable in set(hall.cables()) - set(hall.hall.cables):
        hall.unplug(label=cable.label)
    for cable in set(hall.hall.cables) - set(hall.cables()):
        hall.plug(cable.a, cable.b)
    made.inventory.close()


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))


def swap(hands: Hands) -> Verdicts:
    hands.pull("N-101", "N-105")
    hands.put("N-101", "leaf1/swp3", "srv-1/eth1")
    hands.put("N-105", "leaf1/swp1", "srv-3/eth1")
    return {"N-101": "swapped with", "N-105": "swapped with"}


def exchanged_cards(hands: Hands) -> Verdicts:
    hands.pull("N-101", "N-102")
    hands.put("N-101", "leaf1/swp1", "srv-1/eth2")
    hands.put("N-102", "leaf1/swp2", "srv-1/eth1")
    return {"N-101": "swapped with", "N-102": "swapped with"}


def rotation(hands: Hands) -> Verdicts:
    hands.pull("N-101", "N-103", "N-105")
    hands.put("N-101", "leaf2/swp1", "srv-1/eth1")
    hands.put("N-103", "leaf1/swp3", "srv-2/eth1")
    hands.put("N-105", "leaf1/swp1", "srv-3/eth1")
    return dict.fromkeys(("N-101", "N-103", "N-105"), "swapped with")


def wrong_port(hands: Hands) -> Verdicts:
    hands.pull("N-101")
    hands.put("N-101", "leaf1/swp15", "srv-1/eth1")
    return {"N-101": "wrong port"}


def forgotten(hands: Hands) -> Verdicts:
    hands.pull("N-106")
    return {"N-106": "missing"}


def wrong_server(hands: Hands) -> Verdicts:
    hands.pull("N-101", "N-105")
    hands.put("N-101", "leaf1/swp1", "srv-3/eth1")
    return {"N-101": "missing", "N-105": "wrong port"}


def other_switch(hands: Hands) -> Verdicts:
    hands.pull("N-101")
    hands.put("N-101", "leaf2/swp15", "srv-1/eth1")
    return {"N-101": "wrong device"}


def strange_cable(hands: Hands) -> Verdicts:
    hands.put("Z-1", "leaf1/swp16", "leaf2/swp16")
    return {"unknown at leaf1/swp16": "unexpected"}


MISTAKES = (
    swap,
    exchanged_cards,
    rotation,
    wrong_port,
    forgotten,
    wrong_server,
    other_switch,
    strange_cable,
)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_is_named_and_cured_by_what_the_finding_says(hands: Hands, mistake: Callable[[Hands], Verdicts]) -> None:
    hands.cure(hands.finds(mistake(hands)))
    assert {(c.a, c.b) for c in hands.lab.cables()} == {(c.a, c.b) for c in hands.lab.hall.cables}


def test_lldp_off_on_a_server_is_made_up_for_by_the_mac_table(hands: Hands) -> None:
    try:
        ssh(hands.lab, "srv-1", "systemctl stop lldpd")
        time.sleep(3)  # until the switch forgets what it saw of it
        report = hands.look()
        assert [line.partition(":")[0] for line in report.unanswered] == ["srv-1"]
        assert all(f.verdict in (Verdict.OK, Verdict.UNKNOWN) for f in report.findings)
        for nic, address in (("eth1", "198.18.70.1"), ("eth2", "198.18.71.1")):  # frames, into closed ports
            ping = f"timeout 60 ping {address[:-1]}9 >/dev/null 2>&1 </dev/null &"
            ssh(hands.lab, "srv-1", f"ip addr add {address}/24 dev {nic}; {ping}")
        hands.finds({})
        hands.pull("N-101")
        hands.put("N-101", "leaf1/swp15", "srv-1/eth1")
        (finding,) = hands.finds({"N-101": "wrong port"})
        assert "known by its MAC address only" in finding.words
    finally:
        ssh(hands.lab, "srv-1", "systemctl start lldpd; ip addr flush dev eth1; ip addr flush dev eth2")


def test_two_neighbours_on_one_port(hands: Hands) -> None:
    """A hub between: what one of three ends sends reaches the other two."""
    lab, panel = hands.lab, hands.lab.names.panel
    leaf, one, two = (panel_end(lab.hall, *end) for end in (("leaf1", "swp1"), ("srv-1", "eth1"), ("srv-3", "eth1")))
    hands.pull("N-105")
    try:
        run("ip", "-n", panel, "link", "set", two, "up")
        run("tc", "-n", panel, "qdisc", "add", "dev", two, "clsact")
        for source, first, second in ((leaf, one, two), (one, leaf, two), (two, leaf, one)):
            run("tc", "-n", panel, "filter", "del", "dev", source, "ingress")
            match = ("protocol", "all", "u32", "match", "u32", "0", "0")
            mirror = ("action", "mirred", "egress", "mirror", "dev", first)
            redirect = ("action", "mirred", "egress", "redirect", "dev", second)
            run("tc", "-n", panel, "filter", "add", "dev", source, "ingress", *match, *mirror, *redirect)
        findings = hands.finds({"N-101": "duplicate neighbour", "N-105": "duplicate neighbour"})
        assert "leaf1/swp1 sees srv-1/eth1 and srv-3/eth1" in findings[0].words
        assert "plug N-101 straight from leaf1/swp1 to srv-1/eth1" in findings[0].words
    finally:
        run("tc", "-n", panel, "qdisc", "del", "dev", two, "clsact", check=False)
        run("ip", "-n", panel, "link", "set", two, "down")
        hands.pull("N-101")
        hands.put("N-101", "leaf1/swp1", "srv-1/eth1")


@pytest.mark.usefixtures("own_home")
def test_a_dead_switch_does_not_block_the_command(hands: Hands) -> None:
    command = ["cables", "check", "--site", "north"]
    right = CliRunner().invoke(app, command)
    assert right.exit_code == 0, right.output
    hands.lab.power("leaf2", PowerAction.CUT)
    try:
        time.sleep(3)  # until the servers see that the carrier is gone
        dead = CliRunner().invoke(app, [*command, "--json"])
        assert dead.exit_code == 1
        report = json.loads(dead.stdout)
        assert [line.partition(":")[0] for line in report["unanswered"]] == ["leaf2"]
        verdicts = {f["cable"]["label"]: f["verdict"] for f in report["findings"]}
        assert verdicts["N-101"] == "ok"
        assert verdicts["N-103"] == "cannot be seen", "its server sees no carrier"
    finally:
        hands.lab.power("leaf2", PowerAction.ON)
