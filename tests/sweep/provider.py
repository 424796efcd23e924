"""A provider in a lab of its own: the stack that `freehold up` starts, with a worker that takes orders to fail."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from freehold.inventory import Inventory
from freehold.lab import Lab, fleet
from freehold.models.hall import Hall
from freehold.models.procedure import Outcome
from freehold.models.request import DecommissionRequest, InstanceRequest, ScaleRequest
from freehold.secrets import FileSecrets
from freehold.settings import Settings, load_settings
from freehold.stack import control
from freehold.stack.client import connect
from freehold.stack.ports import free_ports
from tests.workflows.rig import until_waiting

INSTANCE, CUSTOMER, SITE = "acme-1", "acme", "north"
WITHIN_S = 400


@dataclass
class Provider:
    """Asks for procedures in the name of one person, and approves them in another's."""

    settings: Settings
    lab: Lab
    inventory: Inventory
    secrets: FileSecrets
    client: Client

    def order(self, what: str, *activities: str) -> None:
        for name in activities:
            (self.settings.home / "orders" / name).write_text(what)

    def unused_orders(self) -> list[str]:
        return sorted(path.name for path in (self.settings.home / "orders").iterdir())

    def process(self, name: str) -> int:
        """A program of the stack."""
        found = next(p.pid for p in control.status(self.settings).programs if p.name == name)
        assert found is not None
        return found

    async def provision(self) -> WorkflowHandle[Any, Outcome]:
        request = InstanceRequest(instance=INSTANCE, customer=CUSTOMER, site=SITE, requested_by="olivia")
        return await self.start("ProvisionInstance", request)

    async def decommission(self) -> Outcome:
        request = DecommissionRequest(instance=INSTANCE, requested_by="olivia")
        return await self.approved(await self.start("DecommissionInstance", request))

    async def scale(self, kind: str, **wanted: Any) -> WorkflowHandle[Any, Outcome]:
        return await self.start(kind, ScaleRequest(instance=INSTANCE, requested_by="olivia", **wanted))

    async def start(self, kind: str, given: Any) -> WorkflowHandle[Any, Outcome]:
        queue, name = self.settings.task_queue, f"{kind}-{INSTANCE}"
        return await self.client.start_workflow(kind, given, id=name, task_queue=queue, result_type=Outcome)

    async def approved(self, handle: WorkflowHandle[Any, Outcome], within_s: float = WITHIN_S) -> Outcome:
        async with asyncio.timeout(within_s):
            await self.approve(handle)
            return await handle.result()

    async def approve(self, handle: WorkflowHandle[Any, Outcome]) -> None:
        await persistent(lambda: until_waiting(handle, within_s=WITHIN_S))
        await persistent(lambda: handle.execute_update("approve", {"operator": "amir"}))


async def persistent(work: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again while the server or the worker is being started again."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await work()
            except (RPCError, RuntimeError, OSError):
                await asyncio.sleep(1)


@contextmanager
def standing(hall: Hall, name: str) -> Iterator[tuple[Settings, Lab]]:
    """Lab and stack, gone at the end. What is left behind nevertheless fails."""
    fleet.take_down_named(name)
    with tempfile.TemporaryDirectory(prefix=f"freehold-{name}-") as folder:
        names = [f"{n}_port" for n in ("temporal", "temporal_ui", "temporal_http", "temporal_metrics")]
        names += ["worker_metrics_port", "prometheus_port", "login_port", "web_port"]
        ports: dict[str, Any] = dict(zip(names, free_ports(len(names)), strict=True))
        settings = load_settings(home=Path(folder), worker_module="tests.sweep.worker", **ports)
        (settings.home / "orders").mkdir()
        lab = Lab(hall, name)
        fleet.own(lab.state)  # if this process is killed, the next lab removes it
        try:
            lab.up()
            inventory = Inventory(settings.database_url)
            inventory.import_bundle(lab.handover, FileSecrets(settings.secrets_file))
            inventory.close()
            control.up(settings, lambda _: None)
            yield settings, lab
        finally:
            control.down(settings, lambda _: None)
            left = lab.down()
            assert not left, f"the lab left behind: {', '.join(left)}"


async def provider(settings: Settings, lab: Lab) -> Provider:
    client = await connect(settings, lab.names.lab)
    return Provider(settings, lab, Inventory(settings.database_url), FileSecrets(settings.secrets_file), client)
