"""The technicians' work as the running procedures tell it, and their answers on the way back."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from freehold.errors import BadInput, FreeholdError, NotFound, StackError
from freehold.models.base import Model
from freehold.models.checklist import Checklist, ConfirmItems
from freehold.models.procedure import ProcedureView
from freehold.settings import Settings
from freehold.stack.client import connect

HANDS = "ExecutionStatus = 'Running' AND WorkflowType IN ('InstallHardware', 'RemoveHardware')"
"""Also while machines check, and while operators are asked: what a technician worked on does not vanish."""
MOST_RUNS = 200
ANSWER_WITHIN_S = 20.0


class OpenWork(Model):
    """A checklist and the run that it belongs to."""

    run: str
    checklist: Checklist


class Work(Protocol):
    """Where checklists come from and answers go to. Raises NotFound, BadInput with a refusal, StackError."""

    async def open_checklists(self) -> tuple[OpenWork, ...]: ...

    async def checklist(self, run: str) -> Checklist: ...

    async def confirm(self, run: str, said: ConfirmItems, identity: str) -> str:
        """Send an answer in the name of `identity`; what the procedure says to it."""
        ...


class ProcedureWork:
    """The work of the procedures that run on Temporal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: dict[str, Client] = {}

    async def open_checklists(self) -> tuple[OpenWork, ...]:
        client = await self._client(self._settings.identity)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                runs = [run.id async for run in client.list_workflows(HANDS, limit=MOST_RUNS)]
        except (RPCError, TimeoutError) as error:
            raise StackError(f"Temporal does not list the work in the hall: {error}.") from error
        found = await asyncio.gather(*(self.checklist(run) for run in runs), return_exceptions=True)
        work = []
        for run, checklist in zip(runs, found, strict=True):
            if isinstance(checklist, Checklist):
                work.append(OpenWork(run=run, checklist=checklist))
            elif not isinstance(checklist, FreeholdError):  # a run that ends just now must not hide the others
                raise checklist
        return tuple(work)

    async def checklist(self, run: str) -> Checklist:
        handle = (await self._client(self._settings.identity)).get_workflow_handle(run)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                view: ProcedureView = await handle.query("progress", result_type=ProcedureView)
        except RPCError as error:
            if error.status in (RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT):
                raise NotFound(f"There is no procedure {run!r}.") from error
            raise StackError(f"{run}: nobody tells where it stands ({error.message}); is a worker running?") from error
        except (WorkflowQueryFailedError, WorkflowQueryRejectedError, TimeoutError) as error:
            raise StackError(f"{run}: it does not tell where it stands ({error}).") from error
        if view.checklist is None:
            raise NotFound(f"{run} has no work for hands right now.")
        return view.checklist

    async def confirm(self, run: str, said: ConfirmItems, identity: str) -> str:
        handle = (await self._client(identity)).get_workflow_handle(run)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                note: Any = await handle.execute_update("confirm_items", said)
        except WorkflowUpdateFailedError as error:
            reason = error.cause.message if isinstance(error.cause, ApplicationError) else str(error.cause)
            raise BadInput(reason) from error
        except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError) as error:
            raise StackError(f"{run}: no answer within {ANSWER_WITHIN_S:g} s; look again before you repeat.") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise NotFound(f"{run} takes no answers any more ({error.message}).") from error
            raise StackError(f"{run}: the answer did not arrive ({error.message}); try again.") from error
        return note if isinstance(note, str) else ""

    async def _client(self, identity: str) -> Client:
        if identity not in self._clients:
            self._clients[identity] = await connect(self._settings, identity)
        return self._clients[identity]
