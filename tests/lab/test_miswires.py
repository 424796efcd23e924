"""Real machines, real LLDP: every way to plug a cable wrongly is found, named, and cured by what the finding says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from freehold.cli.main import app
from freehold.lab import Lab, PowerAction
from freehold.lab.testing import small_lab, ssh
from freehold.models.cabling import Verdict
from tests.lab.hands import Hands, Verdicts, forget_soon
from tests.lab.patterns import hub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

ON = ["leaf1", "leaf2", "srv-1", "srv-2", "srv-3"]


@pytest.fixture(scope="module")
def hall() -> Iterator[Lab]:
    """Two leaves and three servers, of which two are in the first rack."""
    with small_lab("cab", "198.18.88.0/24", ON) as lab:
        forget_soon(lab, "leaf1", "leaf2")
        yield lab


@pytest.fixture
def hands(hall: Lab, tmp_path: Path) -> Iterator[Hands]:
    """The hall cabled as planned, also after the test."""
    made = Hands(hall, tmp_path, ON)
    made.finds({})
    yield made
    made.tidy()
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
    assert hands.as_planned()


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
    one, two = (c for c in hands.lab.hall.cables if c.label in ("N-101", "N-105"))
    hands.pull("N-105")
    with hub(hands, one, two):
        findings = hands.finds({"N-101": "duplicate neighbour", "N-105": "duplicate neighbour"})
        # Whichever of the ends heard both of the others first.
        ends = ("leaf1/swp1", "srv-1/eth1", "srv-3/eth1")
        seen = [f"{a} sees {b} and {c}" for a, b, c in permutations(ends)]
        assert any(words in findings[0].words for words in seen), findings[0].words
        assert "plug N-101 straight from leaf1/swp1 to srv-1/eth1" in findings[0].words


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
