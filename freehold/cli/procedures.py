"""Starting, watching and answering procedures, as every command does it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

from rich.live import Live
from rich.table import Table
from temporalio.client import (
    Client,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from freehold.cli import console
from freehold.errors import BadInput, Conflict, NotFound, ProcedureFailed
from freehold.models.base import Message
from freehold.models.checklist import ConfirmItems
from freehold.models.policy import Procedure
from freehold.models.procedure import Outcome, ProcedureView, StepState
from freehold.models.request import Approve, ConsolidateRequest, DecommissionRequest, InstanceRequest, ScaleRequest
from freehold.stack.client import connect, workflow_url

Request = InstanceRequest | ScaleRequest | ConsolidateRequest | DecommissionRequest

VERBS = {
    Procedure.PROVISION: "provision",
    Procedure.SCALE_UP: "scale-up",
    Procedure.SCALE_DOWN: "scale-down",
    Procedure.CONSOLIDATE: "consolidate",
    Procedure.DECOMMISSION: "decommission",
}
"""What workflow ids begin with."""

POLL_S = 0.3
COLOURS = {
    StepState.PENDING: "dim",
    StepState.RUNNING: "cyan",
    StepState.WAITING: "bold yellow",
    StepState.PARKED: "bold red",
    StepState.DONE: "green",
    StepState.SKIPPED: "dim",
    StepState.UNDOING: "magenta",
    StepState.UNDONE: "magenta",
    StepState.STOPPED: "dim",
}


async def client() -> Client:
    return await connect(console.settings())


async def start(
    temporal: Client, request: Request, procedure: Procedure = Procedure.PROVISION
) -> WorkflowHandle[Any, Outcome]:
    """Start a procedure, or join the one of that id that runs already with the same request."""
    handle: WorkflowHandle[Any, Outcome] = await temporal.start_workflow(
        procedure,
        request,
        id=workflow_id(procedure, request),
        task_queue=console.settings().task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=Outcome,
    )
    plan = (await progress(handle)).plan
    if plan is not None and not _is_for(plan.request, request):
        raise Conflict(
            f"{procedure} of {request.instance} runs already with another request "
            f"(by {plan.request.requested_by}); see it with `freehold instance watch {request.instance}`."
        )
    return handle


def workflow_id(procedure: Procedure, request: Request) -> str:
    """One run at a time of each procedure on an instance; dry runs have ids of their own."""
    verb = VERBS[procedure]
    plans = "plan" if procedure in (Procedure.PROVISION, Procedure.DECOMMISSION) else f"plan-{verb}"
    return f"{plans if request.dry_run else verb}-{request.instance}"


def _is_for(planned: InstanceRequest, request: Request) -> bool:
    """Whether a run that plans this is what the request asks for."""
    if isinstance(request, DecommissionRequest):
        return True
    if isinstance(request, ConsolidateRequest):
        request = request.as_scaling()
    asked = request.applied_to(planned) if isinstance(request, ScaleRequest) else request
    who = {"requested_by": request.requested_by}
    return planned.model_copy(update=who) == asked.model_copy(update=who)


async def progress(handle: WorkflowHandle[Any, Any]) -> ProcedureView:
    """Where a procedure stands. Raises NotFound, or ProcedureFailed when no worker answers."""
    try:
        view: ProcedureView = await handle.query("progress", result_type=ProcedureView)
        return view
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotFound(f"There is no procedure {handle.id!r}; `freehold inbox` lists those that wait.") from error
        raise ProcedureFailed(
            f"{handle.id}: no worker tells where it stands ({error.message}); see `freehold status`."
        ) from error


async def views(handle: WorkflowHandle[Any, Any]) -> AsyncIterator[ProcedureView]:
    """Where it stands, again and again until it has ended."""
    while True:
        view = await progress(handle)
        yield view
        described = await handle.describe()
        if described.status is not WorkflowExecutionStatus.RUNNING:
            yield await progress(handle)
            return
        await asyncio.sleep(POLL_S)


async def follow(handle: WorkflowHandle[Any, Outcome], *, to_the_end: bool, quiet: bool) -> ProcedureView:
    """Show the steps live until the procedure ends, or until it waits for a person; once where nobody can watch."""
    live = Live(console=console.err, refresh_per_second=8) if console.err.is_terminal and not quiet else None
    with live or nullcontext():
        async for view in views(handle):
            if live:
                live.update(steps_table(view))
            if view.waiting is not None and not to_the_end:
                break
    if not live and not quiet:
        console.err.print(steps_table(view))
    return view


async def outcome(handle: WorkflowHandle[Any, Outcome]) -> Outcome:
    """How it ended. Raises ProcedureFailed with the reason in words."""
    try:
        return await handle.result()
    except WorkflowFailureError as error:
        cause: BaseException | None = error.cause
        while cause is not None and not isinstance(cause, ApplicationError):
            cause = cause.__cause__
        reason = cause.message if isinstance(cause, ApplicationError) else str(error.cause)
        raise ProcedureFailed(f"{handle.id}: {reason}") from error


async def answer(workflow_id: str, message: Message) -> str:
    """Send a message as an update; the procedure's refusal comes back at once. Raises BadInput with it."""
    handle = (await client()).get_workflow_handle(workflow_id)
    try:
        name = "confirm_items" if isinstance(message, ConfirmItems) else type(message).__name__.lower()
        note: str = await handle.execute_update(name, message, result_type=str)
        return note
    except WorkflowUpdateFailedError as error:
        reason = error.cause.message if isinstance(error.cause, ApplicationError) else str(error.cause)
        raise BadInput(f"{workflow_id}: {reason}") from error
    except RPCError as error:
        raise NotFound(f"{workflow_id}: no such procedure runs ({error.message}); see `freehold inbox`.") from error


async def approve_plan(workflow_id: str, asked: ProcedureView, operator: str, comment: str = "") -> None:
    """Say yes to the plan that a procedure shows. Raises ProcedureFailed when it does not ask for that."""
    if asked.waiting is None or asked.waiting.kind != "approval":
        raise ProcedureFailed(f"{workflow_id} did not ask for an approval: {why(asked)}")
    await answer(workflow_id, Approve(operator=operator, plan_hash=asked.plan_hash, comment=comment))


def why(view: ProcedureView) -> str:
    """Why it stands or ended where it did."""
    return view.waiting.reason if view.waiting else view.outcome or "it ended in silence"


def steps_table(view: ProcedureView) -> Table:
    """One line a step; what does not fit is cut from the note, never from the step."""
    table = Table(
        title=f"{view.procedure} {view.instance}",
        title_justify="left",
        box=None,
        pad_edge=False,
        show_header=False,
        expand=True,
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(style="dim", overflow="ellipsis", no_wrap=True, ratio=1)
    for step in view.steps:
        seconds = "" if step.seconds is None else f"{step.seconds:.1f} s"
        colour = COLOURS[step.state]
        table.add_row(step.name, f"[{colour}]{step.state}[/]", seconds, " ".join(step.note.split()))
    return table


def what_next(view: ProcedureView, workflow_id: str) -> list[str]:
    """In words: whom it waits for, until when, and the exact commands."""
    if view.waiting is None:
        return []
    until = f" until {view.waiting.until:%Y-%m-%d %H:%M} UTC" if view.waiting.until else ""
    lines = [f"It waits for {view.waiting.whom}{until}: {view.waiting.reason}"]
    lines += [line for name in view.waiting.messages for line in _commands(name, workflow_id)]
    if url := workflow_url(console.settings(), workflow_id):
        lines.append(f"  or look at {url}")
    return lines


def _commands(message: str, workflow_id: str) -> list[str]:
    if message == "confirm_items":
        return [
            f"  freehold checklist show {workflow_id}",
            f"  freehold --as YOUR-NAME confirm {workflow_id} ITEM... (or --all, or --problem ITEM=WHY)",
        ]
    return [f"  freehold --as YOUR-NAME {message} {workflow_id}"]
