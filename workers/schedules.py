"""What is started from time to time, as data. The workers bring Temporal's schedules in line with it when they start.

An operator may pause one in the Temporal Web UI, or start it there at once; it stays paused when workers start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from freehold.models.base import Model
from freehold.models.evaluation import EvaluateRequest
from freehold.models.watch import WatchRequest
from freehold.settings import Settings

log = structlog.get_logger(__name__)

EVALUATE = "evaluate-scaling"
TRY_AGAIN_S = 10.0
MISSED = timedelta(minutes=1)
"""What should have started while Temporal was down is started late by no more than this."""


@dataclass(frozen=True)
class Regular:
    """A procedure that is started every `every_s` seconds; never when that is 0."""

    id: str
    procedure: str
    every_s: int
    request: Model
    overlap: ScheduleOverlapPolicy = ScheduleOverlapPolicy.BUFFER_ONE
    """What becomes of a start while the run before goes on."""


def regulars(settings: Settings) -> Sequence[Regular]:
    watch_s, scaling_s = settings.cable_watch_s, settings.scaling_every_s
    return (
        Regular("watch-cables", "WatchCables", watch_s, WatchRequest(every_s=max(watch_s, 1))),
        Regular(EVALUATE, "EvaluateScaling", scaling_s, EvaluateRequest(), ScheduleOverlapPolicy.SKIP),
    )


async def keep_schedules(client: Client, settings: Settings) -> None:
    """Bring all schedules about; try again while Temporal does not take them."""
    while True:
        try:
            for regular in regulars(settings):
                await bring_about(client, regular, settings.task_queue)
            return
        except RPCError as error:
            log.warning("schedules could not be made", reason=str(error))
            await asyncio.sleep(TRY_AGAIN_S)


async def bring_about(client: Client, regular: Regular, task_queue: str) -> None:
    """Make, change or delete one schedule. Repeating it changes nothing."""
    handle = client.get_schedule_handle(regular.id)
    if not regular.every_s:
        try:
            await handle.delete()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return
    wanted = Schedule(
        action=ScheduleActionStartWorkflow(regular.procedure, regular.request, id=regular.id, task_queue=task_queue),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=regular.every_s))]),
        policy=SchedulePolicy(overlap=regular.overlap, catchup_window=MISSED),
    )

    def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
        return ScheduleUpdate(replace(wanted, state=found.description.schedule.state))

    try:
        await client.create_schedule(regular.id, wanted)
    except ScheduleAlreadyRunningError:
        await handle.update(update)
