"""One completed run of each procedure that people start, kept by the workers.

The start form of the Temporal Web UI fills itself in from the newest run of a type, or from the run that its link
names. Examples are dry runs: they plan, touch nothing, and hold nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from freehold.errors import FreeholdError, NotFound
from freehold.inventory import Inventory
from freehold.models.instance import Instance, InstanceState
from freehold.models.request import ConsolidateRequest, DecommissionRequest, InstanceRequest, ScaleRequest
from freehold.planning.change import DOWN, DRAIN, UP, next_plan
from freehold.planning.provision import plan_instance
from freehold.planning.snapshot import InventorySnapshot
from freehold.services import service

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 10.0
"""There is nothing to plan before a hall was imported, and nothing to end before there is an instance."""
AT_MOST = timedelta(minutes=5)
TRY_AGAIN_AFTER = timedelta(minutes=10)
NAME = "example"
Request = InstanceRequest | ScaleRequest | ConsolidateRequest | DecommissionRequest


async def keep_examples(client: Client, task_queue: str, inventory: Inventory) -> None:
    """Make the examples as soon as they can be made, and again when retention has deleted them. Never ends."""
    while True:
        try:
            await make_examples(client, task_queue, inventory)
        except Exception as error:  # the workers' real work goes on without examples
            log.warning("examples could not be made", reason=str(error))
        await asyncio.sleep(LOOK_EVERY_S)


async def make_examples(client: Client, task_queue: str, inventory: Inventory) -> tuple[str, ...]:
    """Start the examples that are missing and can be made; returns their workflow ids."""
    started = []
    for workflow_id, (procedure, make) in EXAMPLES.items():
        if await _is_there(client, workflow_id):
            continue
        request = await asyncio.to_thread(make, inventory)
        if request is None:
            continue
        await client.start_workflow(
            procedure,
            request,
            id=workflow_id,
            task_queue=task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            execution_timeout=AT_MOST,
        )
        log.info("example started", workflow=workflow_id)
        started.append(workflow_id)
    return tuple(started)


async def _is_there(client: Client, workflow_id: str) -> bool:
    """Whether it runs or has ended well. One that failed is tried again, but not all the time."""
    try:
        described = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    well = described.status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED)
    return well or (described.close_time is not None and datetime.now(UTC) - described.close_time < TRY_AGAIN_AFTER)


def _provision(inventory: Inventory) -> InstanceRequest | None:
    """A request that can be fulfilled now, for the first customer who has a network where there is room."""
    try:
        snapshot = inventory.snapshot()
    except NotFound:
        return None  # no hall was imported yet
    for customer in snapshot.customers:
        for network in customer.networks:
            request = InstanceRequest(
                instance=NAME, customer=customer.name, site=network.site, requested_by=NAME, dry_run=True
            )
            try:
                plan_instance(request, service(request.service).needs(request), snapshot)
            except FreeholdError:
                continue
            return request
    return None


def _scale_up(inventory: Inventory) -> ScaleRequest | None:
    """The next bigger tier, or one GiB more, for the oldest instance that can have it now."""
    return _scaling(inventory, UP, +1)


def _scale_down(inventory: Inventory) -> ScaleRequest | None:
    """The next smaller tier, or one GiB less."""
    return _scaling(inventory, DOWN, -1)


def _consolidate(inventory: Inventory) -> ConsolidateRequest | None:
    """The first server, of the oldest instance, that another one could take the place of."""
    for instance in inventory.instances():
        if instance.state is not InstanceState.ACTIVE:
            continue
        for server in instance.plan.servers:
            request = ConsolidateRequest(
                instance=instance.name, servers=(server.server,), requested_by=NAME, dry_run=True
            )
            if _possible(instance, request.as_scaling(), inventory.snapshot(), DRAIN):
                return request
    return None


def _possible(instance: Instance, request: ScaleRequest, now: InventorySnapshot, procedure: str) -> bool:
    chosen, asked = service(instance.service), request.applied_to(instance.plan.request)
    try:
        next_plan(chosen, instance.plan, asked, now, procedure, request.drain)
    except FreeholdError:
        return False
    return True


def _scaling(inventory: Inventory, procedure: str, step: int) -> ScaleRequest | None:
    for instance in inventory.instances():
        if instance.state is not InstanceState.ACTIVE:
            continue
        now = instance.plan.request
        tiers = list(service(instance.service).tiers())
        number = tiers.index(now.tier) + step
        wishes: list[dict[str, Any]] = [{"tier": tiers[number]}] if 0 <= number < len(tiers) else []
        if now.capacity_gib + step > 0:
            wishes.append({"capacity_gib": now.capacity_gib + step})
        for wish in wishes:
            request = ScaleRequest(instance=instance.name, requested_by=NAME, dry_run=True, **wish)
            if _possible(instance, request, inventory.snapshot(), procedure):
                return request
    return None


def _decommission(inventory: Inventory) -> DecommissionRequest | None:
    """The end of the oldest instance on record, only planned."""
    for instance in inventory.instances():
        return DecommissionRequest(instance=instance.name, requested_by=NAME, dry_run=True)
    return None


EXAMPLES: dict[str, tuple[str, Callable[[Inventory], Request | None]]] = {
    "example-provision": ("ProvisionInstance", _provision),
    "example-scale-up": ("ScaleUp", _scale_up),
    "example-scale-down": ("ScaleDown", _scale_down),
    "example-consolidate": ("ConsolidateData", _consolidate),
    "example-decommission": ("DecommissionInstance", _decommission),
}
