"""A server comes from the storeroom over a port that is broken, and goes back again: on real machines and cables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle

from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.lab import Lab
from freehold.lab.hands import LabInReach
from freehold.lab.technician import Mistake, Technician
from freehold.lab.testing import small_lab
from freehold.models.installation import InstallRequest
from freehold.models.instance import EvidenceKind
from freehold.models.procedure import Outcome
from freehold.models.request import DecommissionRequest, InstanceRequest
from freehold.planning.provision import plan_instance
from freehold.secrets import FileSecrets
from freehold.services import load_all, service
from freehold.settings import load_settings
from tests.conftest import TemporalServer
from tests.workflows.rig import end_all, until_waiting, view
from tests.workflows.test_technician import to_the_end
from workers.wiring import Parts, make_worker

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SPARE = "srv-10"


@pytest.fixture
def bare() -> Iterator[Lab]:
    """Two leaves and nothing mounted."""
    with small_lab("hdrem", "198.18.97.0/24", ["leaf1", "leaf2", "acme-host"], off=[SPARE]) as lab:
        yield lab


async def test_there_and_back(bare: Lab, temporal: TemporalServer, tmp_path: Path) -> None:
    secrets = FileSecrets(tmp_path / "secrets.json", key=None)
    inventory = Inventory(f"sqlite:///{tmp_path}/freehold.db")
    inventory.import_bundle(bare.handover, secrets)
    load_all()
    request = InstanceRequest(instance="acme-1", customer="acme", site="north", requested_by="olivia")
    plan = plan_instance(request, service(request.service).needs(request), inventory.snapshot())
    inventory.reserve(plan)
    settings = load_settings(home=tmp_path, task_queue=f"lab-{tmp_path.name}")
    parts = Parts(settings=settings, inventory=inventory, secrets=secrets, devices=RealDevices(secrets))
    client = await temporal.client()
    try:
        async with make_worker(client, parts):
            await _install_over_a_broken_port(bare, client, parts, broken=str(plan.cables[0].a))
            await _send_back(bare, client, parts)
    finally:
        await end_all(client, settings.task_queue)
        inventory.close()


async def _started(
    client: Client, parts: Parts, kind: str, workflow_id: str, given: Any
) -> WorkflowHandle[Any, Outcome]:
    queue = parts.settings.task_queue
    return await client.start_workflow(kind, given, id=workflow_id, task_queue=queue, result_type=Outcome)


async def _install_over_a_broken_port(bare: Lab, client: Client, parts: Parts, broken: str) -> None:
    given = InstallRequest(instance="acme-1", requested_by="olivia")
    run = await _started(client, parts, "InstallHardware", "install-acme-1", given)
    await to_the_end(run, Technician(LabInReach(bare), broken=[broken]))
    ended = await run.result()
    assert ended.outcome == "installed" and f"instead of {broken}" in ended.reason
    plan = parts.inventory.instance("acme-1").plan
    plugged = {(c.a, c.b) for c in bare.cables()}
    assert broken not in {str(a) for a, _ in plugged}
    assert plugged == {(c.a, c.b) for c in (*plan.cables, *bare.hall.cables)}


async def _send_back(bare: Lab, client: Client, parts: Parts) -> None:
    given = DecommissionRequest(instance="acme-1", requested_by="olivia", return_to_storeroom=True)
    end = await _started(client, parts, "DecommissionInstance", "decommission-acme-1", given)
    await until_waiting(end)
    await end.execute_update("approve", {"operator": "amir"})
    run: WorkflowHandle[Any, Outcome] = client.get_workflow_handle("remove-acme-1", result_type=Outcome)
    async with asyncio.timeout(120):
        while "return to storeroom" not in [s.name for s in (await view(end)).steps if s.started_at]:
            await asyncio.sleep(0.5)
    technician = Technician(LabInReach(bare), [Mistake.FORGET])
    await until_waiting(run, "checklist")
    await to_the_end(run, technician)
    assert (await end.result()).outcome == "gone"
    (evidence,) = [e for e in parts.inventory.evidence("acme-1", EvidenceKind.CABLING) if "storeroom" in e.claim]
    assert [f"{r['item'].partition(':')[2]}: {r['verdict']}" for r in evidence.observed["reissued"]] == technician.made
    assert {(c.a, c.b) for c in bare.cables()} == {(c.a, c.b) for c in bare.hall.cables}
    assert not bare.machine(SPARE).running()
    spare = parts.inventory.hall().device(SPARE)
    assert (spare.position, spare.powered) == (None, False) and not parts.inventory.holds()
