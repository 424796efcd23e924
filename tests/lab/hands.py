"""Somebody who plugs in the lab, and a colleague who looks and does what findings say."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path

from freehold.cables import check
from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.lab import Lab
from freehold.lab.testing import ssh
from freehold.models.cabling import CableFinding, CablesInput, CablingReport, Verdict
from freehold.models.hall import Cable
from freehold.models.network import PortRef
from freehold.secrets import FileSecrets

Verdicts = dict[str, str]


def forget_soon(lab: Lab, *switches: str) -> None:
    """What earlier tests plugged is not remembered for minutes."""
    for switch in switches:
        code, said = ssh(lab, switch, "sudo -n ovs-vsctl set bridge br0 other_config:mac-aging-time=15")
        assert code == 0, said


class Hands:
    def __init__(self, lab: Lab, folder: Path, on: Iterable[str]) -> None:
        self.lab = lab
        self.secrets = FileSecrets(folder / "secrets.json", key=None)
        self.inventory = Inventory(f"sqlite:///{folder}/freehold.db")
        hall, running = lab.hall, set(on)
        powered = tuple(d.model_copy(update={"powered": d.name in running}) for d in hall.devices)
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

    def finds(self, expected: Verdicts, silent: Collection[str] | None = None) -> list[CableFinding]:
        """Wait until exactly these are wrong, and exactly these devices silent; LLDP takes seconds to see a change."""
        found: list[CableFinding] = []
        begin = time.monotonic()
        while time.monotonic() - begin < 25:
            report = self.look()
            found = [f for f in report.findings if f.verdict is not Verdict.OK]
            mute = {line.partition(":")[0] for line in report.unanswered}
            if {f.cable.label: str(f.verdict) for f in found} == expected and mute == set(
                mute if silent is None else silent
            ):
                return found
        raise AssertionError(f"not {expected} but: {' '.join(f.words for f in found)} No answer: {report.unanswered}")

    def follow(self, findings: Iterable[CableFinding]) -> None:
        """Do what the findings say, and nothing else, with the cables as they are really plugged."""
        findings = list(findings)
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

    def cure(self, findings: list[CableFinding]) -> None:
        self.follow(findings)
        self.finds({})

    def as_planned(self) -> bool:
        return {(c.a, c.b) for c in self.lab.cables()} == {(c.a, c.b) for c in self.lab.hall.cables}

    def tidy(self) -> None:
        """The hall cabled as planned, whatever the test left."""
        for cable in set(self.lab.cables()) - set(self.lab.hall.cables):
            self.lab.unplug(label=cable.label)
        for cable in set(self.lab.hall.cables) - set(self.lab.cables()):
            self.lab.plug(cable.a, cable.b)
