"""The lab's technician at work on a real checklist: whatever goes wrong is named, asked for again, and corrected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from freehold.devices.simulated import SimulatedDevices
from freehold.errors import NotFound
from freehold.lab.technician import Mistake, Technician
from freehold.models.hall import Cable
from freehold.models.installation import Reissue
from freehold.models.instance import EvidenceKind
from freehold.models.procedure import Outcome
from tests.workflows.rig import running_rig, view
from tests.workflows.test_install_hardware import installing, storeroom_hall


class SimulatedInReach:
    """The simulated hall as a pair of hands reaches it."""

    def __init__(self, devices: SimulatedDevices) -> None:
        self._devices, self.hall = devices, devices.hall

    def cables(self) -> Sequence[Cable]:
        return self._devices.cables()

    def plug(self, a: str, b: str, label: str) -> None:
        self._devices.plug(a, b, label)

    def unplug(self, end: str) -> Cable:
        for cable in self._devices.cables():
            if end in (str(cable.a), str(cable.b)):
                self._devices.unplug(end)
                return cable
        raise NotFound(f"nothing is plugged at {end}")

    def switch_on(self, device: str) -> None:
        self._devices.power(device)

    def switch_off(self, device: str) -> None:
        self._devices.power(device, on=False)

    def is_on(self, device: str) -> bool:
        return self._devices.on(device)


async def to_the_end(run: WorkflowHandle[Any, Outcome], technician: Technician) -> None:
    """The technician answers until the run has ended."""
    async with asyncio.timeout(60):
        while not (seen := await view(run)).outcome:
            if seen.checklist and seen.checklist.open() and seen.waiting:
                await run.execute_update("confirm_items", technician.work(seen.checklist, "tom"))
            await asyncio.sleep(0.05)


async def test_what_is_broken_is_reported_and_done_otherwise(client: Client, tmp_path: Path) -> None:
    async with running_rig(client, tmp_path, storeroom_hall("srv-10", "srv-11")) as rig:
        parent, child = await installing(rig)
        technician = Technician(SimulatedInReach(rig.devices), broken=["leaf1/swp2", "srv-10"])
        await to_the_end(child, technician)
        assert (await rig.approved(parent)).outcome == "active"
        assert [s.server for s in rig.inventory.instance("acme-1").plan.servers] == ["srv-11"]
        assert "leaf1/swp2" not in {str(c.a) for c in rig.devices.cables()}


@pytest.mark.parametrize(
    ("mistakes", "reissued"),
    [
        ([], 0),
        ([Mistake.SWAP, Mistake.FORGET], 3),
        ([Mistake.ROTATE], 3),
        ([Mistake.WRONG_PORT], 1),
        ([Mistake.WRONG_SERVER], 1),
        ([Mistake.CONFIRM_WITHOUT_DOING], 4),
        ([Mistake.UNPLUG_NEIGHBOUR], 1),
        ([Mistake.SWAP, Mistake.UNPLUG_NEIGHBOUR], 3),
    ],
    ids=lambda given: "+".join(given) if isinstance(given, list) else "",
)
async def test_every_mistake_is_found_and_corrected(
    client: Client, tmp_path: Path, mistakes: list[Mistake], reissued: int
) -> None:
    async with running_rig(client, tmp_path, storeroom_hall("srv-10", "srv-11")) as rig:
        parent, child = await installing(rig)
        technician = Technician(SimulatedInReach(rig.devices), mistakes)
        await to_the_end(child, technician)
        assert (await parent.result()).outcome == "active"
        (evidence,) = rig.inventory.evidence("acme-1", EvidenceKind.CABLING)
        again = [Reissue.model_validate(r) for r in evidence.observed["reissued"]]
        assert len(again) == reissued, "exactly the wrong items were asked for again"
        if Mistake.CONFIRM_WITHOUT_DOING not in mistakes:
            assert sorted(r.miswire for r in again if r.miswire) == sorted(technician.made)
        plugged = {(str(c.a), str(c.b)) for c in rig.devices.cables()}
        assert {(str(c.a), str(c.b)) for c in rig.inventory.hall().cables} == plugged
