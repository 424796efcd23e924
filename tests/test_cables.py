"""Looking at cables over whatever reads the devices: scopes, dead devices, what is left out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from activities.cabling import CablingActivities
from freehold.cables import answer, check, of_plan, seen_beside
from freehold.devices.sights import named
from freehold.devices.simulated import SimulatedDevices, SimulatedServer, SimulatedSwitch
from freehold.errors import BadInput, CablingWrong, DeviceUnreachable
from freehold.inventory import Inventory, load_hall
from freehold.lab.testing import HALL
from freehold.models.access import Access
from freehold.models.cabling import CablesInput, CablingReport, Verdict
from freehold.models.hall import Cable, Hall
from freehold.models.installation import JudgeInput
from freehold.models.network import Neighbour, PortRef
from freehold.models.plan import Plan
from freehold.models.work import PlanRef
from freehold.planning.provision import plan_instance
from freehold.services import service
from tests.workflows.rig import make_hall
from tests.workflows.rig import request as ask


class Dying(SimulatedDevices):
    """Devices of which some do not answer, and the answer of the others waits for nobody."""

    def __init__(self, hall: Hall) -> None:
        super().__init__(hall)
        self.dead: set[str] = set()
        self.asked: list[str] = []
        self.together = threading.Barrier(2, timeout=10)
        self.meet: set[str] = set()

    def _ask(self, name: str) -> None:
        self.asked.append(name)
        if name in self.meet:
            self.together.wait()
        if name in self.dead:
            raise DeviceUnreachable(f"{name} does not answer")

    @contextmanager
    def switch(self, access: Access) -> Iterator[SimulatedSwitch]:
        self._ask(access.device)
        with super().switch(access) as switch:
            yield switch

    @contextmanager
    def server(self, access: Access) -> Iterator[SimulatedServer]:
        self._ask(access.device)
        with super().server(access) as server:
            yield server


class Bench:
    def __init__(self, folder: Path, hall: Hall) -> None:
        self.hall = hall
        self.inventory = Inventory(f"sqlite:///{folder}/freehold.db")
        self.inventory.import_hall(self.hall, {d.name: "ssh-ed25519 AAAA" for d in self.hall.devices})
        self.devices = Dying(self.hall)

    def plug(self, **moved: str) -> None:
        """Move switch ends: label (with _ for -) to port; an empty port pulls the cable."""
        new = {label.replace("_", "-"): port for label, port in moved.items()}
        cables = [
            c.model_copy(update={"a": PortRef.parse(new[c.label])}) if c.label in new else c
            for c in self.hall.cables
            if new.get(c.label, "-")
        ]
        self.devices.hall = self.hall.model_copy(update={"cables": tuple(cables)})

    def plug_more(self, *cables: Cable) -> None:
        self.devices.hall = self.hall.model_copy(update={"cables": (*self.hall.cables, *cables)})

    def check(self, **given: str) -> CablingReport:
        return check(self.inventory, self.devices, CablesInput(**given))

    def wrong(self, **given: str) -> dict[str, Verdict]:
        return {f.cable.label: f.verdict for f in self.check(**given).findings if f.verdict is not Verdict.OK}

    def provision(self) -> Plan:
        wanted = ask()
        plan = plan_instance(wanted, service(wanted.service).needs(wanted), self.inventory.snapshot())
        self.inventory.reserve(plan)
        return plan


@pytest.fixture
def hall() -> Hall:
    """Everything that is mounted runs."""
    return make_hall()


@pytest.fixture
def bench(hall: Hall, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, hall)
    yield made
    made.inventory.close()


@pytest.mark.parametrize("hall", [load_hall(HALL)], ids=["as delivered"])
def test_the_whole_hall_is_judged_each_device_read_once_and_what_is_off_is_left_out(bench: Bench) -> None:
    report = bench.check()
    assert {f.verdict for f in report.findings} == {Verdict.OK}
    assert sorted(bench.devices.asked) == ["leaf1", "leaf2", "srv-1", "srv-2"]
    off = {d.name for d in bench.hall.devices if not d.powered}
    judged = {f.cable.label for f in report.findings}
    for cable in bench.hall.cables:
        one_off = bool({cable.a.device, cable.b.device} & off)
        assert (cable.label in report.skipped) == one_off == (cable.label not in judged)


def test_miswires_are_found_and_named(bench: Bench) -> None:
    ports = {c.label: str(c.a) for c in bench.hall.cables}
    bench.plug(N_101=ports["N-102"], N_102=ports["N-101"], N_103="leaf1/swp20", N_104="")
    assert bench.wrong() == {
        "N-101": Verdict.SWAPPED,
        "N-102": Verdict.SWAPPED,
        "N-103": Verdict.WRONG_DEVICE,
        "N-104": Verdict.MISSING,
    }


def test_a_dead_switch_does_not_block_the_report(bench: Bench) -> None:
    bench.devices.dead = {"leaf1"}
    bench.devices.meet = {"leaf1", "leaf2"}  # passes only when both are asked at the same time
    report = bench.check()
    assert report.unanswered == ("leaf1: leaf1 does not answer",)
    verdicts = {f.cable.label: f.verdict for f in report.findings}
    assert verdicts["N-101"] is Verdict.OK, "its server sees it"
    assert Verdict.UNKNOWN in {f.verdict for f in report.findings}, "customers' hosts are not asked"


def test_scopes(bench: Bench) -> None:
    racks = {d.name: d.position.rack for d in bench.hall.devices if d.position}
    for cable in (f.cable for f in bench.check(rack="r1").findings):
        assert "r1" in {racks.get(cable.a.device), racks.get(cable.b.device)}
    assert {f.cable.label for f in bench.check(site="south").findings} == {"S-101", "S-102", "S-103", "S-104"}
    with pytest.raises(BadInput, match="site: 'east' is not known; it is one of north, south"):
        bench.check(site="east")
    with pytest.raises(BadInput, match="rack: 'r9' is not known; it is one of r1, r2"):
        bench.check(rack="r9")


def test_an_instance_sees_its_own_cables_and_who_is_in_their_way(bench: Bench) -> None:
    plan = bench.provision()
    own = {nic.cable.label for s in plan.servers for nic in s.nics}
    (server,) = plan.servers
    assert {f.cable.label for f in bench.check(instance="acme-1").findings} == own
    mine = server.nics[0].cable
    other = next(c for c in bench.hall.cables if c.a.device == mine.a.device and c.label not in own)
    swapped = {mine.label.replace("-", "_"): str(other.a), other.label.replace("-", "_"): str(mine.a)}
    bench.plug(**swapped)
    assert bench.wrong(instance="acme-1").keys() == {mine.label, other.label}
    strange = Cable(label="Z-1", a=PortRef.parse("leaf1/swp20"), b=PortRef.parse("leaf2/swp20"))
    bench.plug_more(strange)
    assert not bench.wrong(instance="acme-1")
    assert bench.wrong() == {"unknown at leaf1/swp20": Verdict.UNEXPECTED}


def test_activities_prove_judge_and_say_what_to_move(bench: Bench) -> None:
    plan = bench.provision()
    made = CablingActivities(bench.devices, bench.inventory, settle_s=0)
    (server,) = plan.servers
    first = server.nics[0].cable
    assert first.label in made.verify_cables(PlanRef(instance="acme-1")).diff
    bench.plug(**{first.label.replace("-", "_"): "leaf1/swp20"})
    with pytest.raises(CablingWrong, match=rf"{first.label} is in leaf1/swp20 instead of .*Move that end"):
        made.verify_cables(PlanRef(instance="acme-1"))
    (finding,) = made.judge_cables(JudgeInput(instance="acme-1", cables=(first.label,))).findings
    assert finding.verdict is Verdict.WRONG_PORT
    with pytest.raises(BadInput, match=r"cables: 'N-999' is no cable of acme-1"):
        made.judge_cables(JudgeInput(instance="acme-1", cables=("N-999",)))
    bench.devices.dead = {"leaf1", server.server}
    with pytest.raises(DeviceUnreachable, match="does not answer"):
        made.verify_cables(PlanRef(instance="acme-1"))


def test_learned_addresses_are_read_only_where_a_cable_is_not_seen(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bench.provision()
    read = []
    monkeypatch.setattr(SimulatedSwitch, "mac_table", lambda switch: read.append(switch) or ())
    assert not bench.wrong(instance="acme-1")
    assert not read
    bench.plug(**{plan.servers[0].nics[0].cable.label.replace("-", "_"): ""})
    assert bench.wrong(instance="acme-1")
    assert len(read) == 1


def test_a_neighbours_cable_that_is_pulled_during_the_work_is_found(bench: Bench) -> None:
    plan = bench.provision()
    own = [nic.cable for s in plan.servers for nic in s.nics]
    work = plan.model_copy(update={"cables": tuple(own)})
    dark, *near = (c for c in bench.hall.cables if c.a.device == own[0].a.device and c not in own and _of_server(c))
    bench.plug(**{dark.label.replace("-", "_"): ""})
    beside = seen_beside(bench.inventory, bench.devices, work)
    assert {c.label for c in near} <= set(beside)
    assert dark.label not in beside, "it was not plugged before the work"
    asked = of_plan(bench.inventory, plan, beside=beside)
    bench.devices.asked.clear()
    assert {f.verdict for f in answer(asked, bench.inventory, bench.devices).findings} == {Verdict.OK}
    assert near[0].b.device not in bench.devices.asked, "a neighbour's server is left alone while its cable is seen"
    bench.plug(**{c.label.replace("-", "_"): "" for c in (dark, near[0])})
    wrong = [f for f in answer(asked, bench.inventory, bench.devices).findings if f.verdict is not Verdict.OK]
    assert [(f.cable.label, f.verdict) for f in wrong] == [(near[0].label, Verdict.MISSING)]
    bench.devices.dead = {near[0].b.device}
    report = answer(asked, bench.inventory, bench.devices)
    assert {f.verdict for f in report.findings} == {Verdict.OK}, "it may as well have been switched off"


def _of_server(cable: Cable) -> bool:
    return cable.b.device.startswith("srv-")


def test_what_a_foreign_device_calls_itself_becomes_a_name() -> None:
    assert str(named(Neighbour(local_port="swp1", system_name="Bob's PC.local", port_id="52:54:00:aa"))) == (
        "bob-s-pc-local/x-52-54-00-aa"
    )
    assert str(named(Neighbour(local_port="swp1", chassis_id="52:54:00:11"))) == "x-52-54-00-11/x-unnamed"
    assert str(named(Neighbour(local_port="swp1", system_name="leaf1", port_id="Ethernet1/3"))) == "leaf1/Ethernet1/3"
