"""`InstallHardware` alone, on real machines: a server is taken from the storeroom, plugged wrongly, and put right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.lab import Lab
from freehold.lab.hands import LabInReach
from freehold.lab.technician import Mistake, Technician
from freehold.lab.testing import small_lab
from freehold.models.installation import InstallRequest, Reissue
from freehold.models.instance import EvidenceKind
from freehold.models.plan import NetworkPurpose
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.request import InstanceRequest
from freehold.planning.provision import plan_instance
from freehold.secrets import FileSecrets
from freehold.services.base import ServerNeed
from freehold.settings import load_settings
from tests.conftest import TemporalServer
from tests.lab.waiting import neighbours, until
from workers.wiring import Parts, make_worker

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

NEED = ServerNeed(roles=("all",), count=1, networks=(NetworkPurpose.FRONT, NetworkPurpose.BACK), disks=1)


@pytest.fixture(scope="module")
def bare() -> Iterator[Lab]:
    """Two leaves and nothing mounted."""
    with small_lab("tinst", "198.18.96.0/24", ["leaf1", "leaf2", "acme-host"], off=["srv-10"]) as lab:
        # What is beside the work is noted as it is when the work begins.
        until(lambda: set(neighbours(lab, "leaf1").values()) >= {"leaf2/swp24", "acme-host/eth1"}, 30)
        yield lab


async def test_a_rotation_of_real_cables_is_named_and_cured(
    bare: Lab, temporal: TemporalServer, tmp_path: Path
) -> None:
    secrets = FileSecrets(tmp_path / "secrets.json", key=None)
    inventory = Inventory(f"sqlite:///{tmp_path}/freehold.db")
    inventory.import_bundle(bare.handover, secrets)
    request = InstanceRequest(instance="acme-1", customer="acme", site="north", requested_by="olivia")
    plan = plan_instance(request, (NEED,), inventory.snapshot())
    assert plan.installs == ("srv-10",)
    inventory.reserve(plan)
    settings = load_settings(home=tmp_path, task_queue=f"lab-{tmp_path.name}")
    parts = Parts(settings=settings, inventory=inventory, secrets=secrets, devices=RealDevices(secrets))
    technician = Technician(LabInReach(bare), [Mistake.ROTATE, Mistake.UNPLUG_NEIGHBOUR])
    client = await temporal.client()
    async with make_worker(client, parts):
        run = await client.start_workflow(
            "InstallHardware",
            InstallRequest(instance="acme-1", requested_by="olivia"),
            id=f"install-{tmp_path.name}",
            task_queue=settings.task_queue,
            result_type=Outcome,
        )
        while True:
            seen = await run.query("progress", result_type=ProcedureView)
            if seen.outcome:
                break
            if seen.waiting and seen.checklist and seen.checklist.open():
                said = await asyncio.to_thread(technician.work, seen.checklist, "tom")
                await run.execute_update("confirm_items", said)
            await asyncio.sleep(0.2)
        assert (await run.result()).outcome == "installed"
    (evidence,) = inventory.evidence("acme-1", EvidenceKind.CABLING)
    again = [Reissue.model_validate(r) for r in evidence.observed["reissued"]]
    assert sorted(r.miswire for r in again) == sorted(technician.made) and len(again) == 4
    plugged = {(c.a, c.b) for c in bare.cables()}
    assert plugged == {(c.a, c.b) for c in (*plan.cables, *bare.hall.cables)}, "the neighbour's, too"
    assert inventory.hall().device("srv-10").powered
    inventory.close()
