"""A provider in small: the lab's hall as data, an inventory, secrets, and devices that exist only as data."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from freehold.authority import ensure_authority
from freehold.devices.simulated import SimulatedDevices
from freehold.inventory import Inventory, load_hall
from freehold.models.hall import Hall
from freehold.models.procedure import Outcome, ProcedureView
from freehold.models.request import ConsolidateRequest, DecommissionRequest, InstanceRequest, ScaleRequest
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from workers.wiring import Parts, make_worker

ROOT = Path(__file__).parents[2]
SWITCHES = ("leaf1", "leaf2", "leaf3")


@dataclass
class Rig:
    client: Client
    parts: Parts
    devices: SimulatedDevices
    hall: Hall

    @property
    def inventory(self) -> Inventory:
        return self.parts.inventory

    async def provision(self, name: str = "acme-1", **fields: Any) -> WorkflowHandle[Any, Outcome]:
        return await self.start("ProvisionInstance", f"provision-{name}", request(name, **fields))

    async def decommission(self, name: str = "acme-1", **fields: Any) -> WorkflowHandle[Any, Outcome]:
        given = DecommissionRequest(instance=name, requested_by="olivia", **fields)
        return await self.start("DecommissionInstance", f"decommission-{name}", given)

    async def scale_up(self, name: str = "acme-1", **fields: Any) -> WorkflowHandle[Any, Outcome]:
        given = ScaleRequest(instance=name, requested_by="olivia", **fields)
        return await self.start("ScaleUp", f"scale-up-{name}", given)

    async def scale_down(self, name: str = "acme-1", **fields: Any) -> WorkflowHandle[Any, Outcome]:
        given = ScaleRequest(instance=name, requested_by="olivia", **fields)
        return await self.start("ScaleDown", f"scale-down-{name}", given)

    async def consolidate(self, *servers: str, name: str = "acme-1", **fields: Any) -> WorkflowHandle[Any, Outcome]:
        given = ConsolidateRequest(instance=name, servers=servers, requested_by="olivia", **fields)
        return await self.start("ConsolidateData", f"consolidate-{name}", given)

    async def start(self, kind: str, workflow_id: str, given: Any) -> WorkflowHandle[Any, Outcome]:
        return await self.client.start_workflow(
            kind,
            given,
            id=workflow_id,
            task_queue=self.parts.settings.task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=Outcome,
        )

    async def approved(
        self, handle: WorkflowHandle[Any, Outcome], operator: str = "amir", within_s: float = 60
    ) -> Outcome:
        await until_waiting(handle, within_s=within_s)
        await handle.execute_update("approve", {"operator": operator})
        return await handle.result()

    async def parked(self, handle: WorkflowHandle[Any, Outcome], operator: str = "amir") -> ProcedureView:
        """Approved, it fails at a step and asks for people."""
        await until_waiting(handle)
        await handle.execute_update("approve", {"operator": operator})
        return await until_waiting(handle, "retry")

    def everything(self) -> tuple[str, dict[str, Any], tuple[str, ...]]:
        """Inventory, devices and names of secrets, to compare before and after."""
        return self.inventory.fingerprint(), self.devices.everything(), self.parts.secrets.names("instances/")


def request(name: str = "acme-1", **fields: Any) -> InstanceRequest:
    customer, _, _ = name.partition("-")
    given = {"instance": name, "customer": customer, "site": "north", "requested_by": "olivia"}
    return InstanceRequest.model_validate({**given, **fields})


async def view(handle: WorkflowHandle[Any, Any]) -> ProcedureView:
    """Asked again when the worker that is asked dies, or when none has asked the server for work yet."""
    while True:
        try:
            result: ProcedureView = await handle.query("progress", result_type=ProcedureView)
        except RPCError as error:
            if error.status not in (RPCStatusCode.CANCELLED, RPCStatusCode.FAILED_PRECONDITION):
                raise
        else:
            return result
        await asyncio.sleep(0.2)


async def until_waiting(
    handle: WorkflowHandle[Any, Any], kind: str = "approval", within_s: float = 60
) -> ProcedureView:
    """The view as soon as the run waits for this kind of answer."""
    async with asyncio.timeout(within_s):
        while True:
            seen = await view(handle)
            if seen.waiting is not None and seen.waiting.kind == kind:
                return seen
            assert not seen.outcome, f"it ended as {seen.outcome} instead of waiting for {kind}"
            await asyncio.sleep(0.2)


def make_parts(home: Path, hall: Hall, settings: Settings) -> Parts:
    """The same parts again for the same home, as a restarted worker finds them."""
    home.mkdir(parents=True, exist_ok=True)
    secrets = FileSecrets(home / "secrets.json", key=None)
    ensure_authority(secrets)
    inventory = Inventory(f"sqlite:///{home}/freehold.db")
    devices = SimulatedDevices(hall, home / "devices.db")
    return Parts(
        settings=settings, inventory=inventory, secrets=secrets, devices=devices, cable_settle_s=0, server_answers_s=0
    )


def make_hall() -> Hall:
    """The lab's hall with every mounted server switched on."""
    hall = load_hall(ROOT / "halls" / "lab.yaml")
    on = tuple(d.model_copy(update={"powered": True}) if d.position else d for d in hall.devices)
    return hall.model_copy(update={"devices": on})


def keep_rule(home: Path, approval: dict[str, Any], receivers: dict[str, Any]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    (home / "policies.yaml").write_text(json.dumps({"receivers": receivers, "rules": [approval]}))


@asynccontextmanager
async def running_rig(
    client: Client,
    home: Path,
    hall: Hall | None = None,
    *,
    worker: dict[str, Any] | None = None,
    approval: dict[str, Any] | None = None,
    receivers: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A rig with a worker in this process; its switch sessions end with it. `approval` is the one rule of approvals."""
    hall = hall or make_hall()
    if approval is not None:
        keep_rule(home, approval, receivers or {})
    parts = make_parts(home, hall, load_settings(**{"home": home, "task_queue": f"rig-{home.name}", **settings}))
    parts.inventory.import_hall(hall, {d.name: "ssh-ed25519 AAAA" for d in hall.devices})
    assert isinstance(parts.devices, SimulatedDevices)
    rig = Rig(client, parts, parts.devices, hall)
    made: Worker = make_worker(client, parts, **(worker or {}))
    # Many tests share few processors: a workflow may wait for one longer than the SDK needs to call it a deadlock.
    made._workflow_worker._deadlock_timeout_seconds = 20
    try:
        async with made:
            yield rig
    finally:
        await end_all(client, parts.settings.task_queue)
        parts.inventory.close()


@asynccontextmanager
async def killed_rig(client: Client, home: Path, temporal_port: int) -> AsyncIterator[Rig]:
    """A rig whose worker, in a process of its own, dies by SIGKILL once in every activity; `killed` tells in which."""
    settings = load_settings(home=home, task_queue=f"rig-{home.parent.name}", temporal_port=temporal_port)
    hall = make_hall()
    parts = make_parts(home, hall, settings)
    parts.inventory.import_hall(hall, {d.name: "ssh-ed25519 AAAA" for d in hall.devices})
    assert isinstance(parts.devices, SimulatedDevices)
    rig = Rig(client, parts, parts.devices, hall)
    worker = await asyncio.create_subprocess_exec(
        *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "tests.workflows.killed_worker", str(home)),
        cwd=ROOT,
        env={**os.environ, **settings.environment()},
    )
    try:
        yield rig
    finally:
        assert worker.returncode is None, "a worker ended otherwise than by its own kill"
        worker.kill()
        await worker.wait()
        await end_all(client, settings.task_queue)


def killed(home: Path) -> set[str]:
    """The activities in which the worker of a killed rig has died."""
    return {path.name for path in (home / "killed").iterdir()}


async def end_all(client: Client, task_queue: str) -> None:
    """End what still runs, so that the next test's switch sessions are its own."""
    async for run in client.list_workflows(f"ExecutionStatus = 'Running' AND TaskQueue = '{task_queue}'"):
        try:
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate("the test is over")
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:  # it has ended, and the list does not know yet
                raise
