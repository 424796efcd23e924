"""One switch, one session at a time: collects the changes of all procedures and answers each caller by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import FailureError

with workflow.unsafe.imports_passed_through():
    from activities.switches import SwitchActivities
    from freehold.models.network import SwitchChangeResult
    from freehold.models.session import BatchInput, BatchResult, ChangeAnswer, ChangeTicket, SessionState
    from workflows import policies
    from workflows.ends import reason_and_type


@workflow.defn
class SwitchSession:
    """Applies the changes of all procedures to one switch. Long-lived; started by the first change."""

    @workflow.init
    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._waiting = list(state.waiting)
        self._answers = {a.caller: a for a in state.answers}
        self._last_came_in = workflow.now()
        self._batches = 0

    @workflow.run
    async def run(self, state: SessionState) -> None:
        while True:
            await workflow.wait_condition(lambda: bool(self._waiting))
            await self._gather()
            batch, self._waiting = (
                self._waiting[: policies.BATCH_AT_MOST],
                self._waiting[policies.BATCH_AT_MOST :],
            )
            results = await self._apply(batch)
            await asyncio.gather(*(self._answer(t, r) for t, r in zip(batch, results, strict=True)))
            self._batches += 1
            if self._batches >= state.batches_per_run or workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self.state())

    @workflow.signal
    async def change(self, given: dict[str, Any]) -> None:
        """Take a ticket in. A repeat of an answered ticket is answered again; an outdated one is dropped."""
        try:
            ticket = ChangeTicket.model_validate(given)
        except ValidationError:
            workflow.logger.warning("a change that is not a ticket was dropped")
            return
        last = self._answers.get(ticket.caller)
        if last is not None and last.number >= ticket.number:
            if last.number == ticket.number:
                await self._send(ticket.reply_to, last)
            return
        self._last_came_in = workflow.now()
        newest = {t.caller: t.number for t in self._waiting}
        if newest.get(ticket.caller, 0) < ticket.number:
            self._waiting.append(ticket)

    @workflow.query
    def state(self) -> SessionState:
        """Counters, and what is remembered."""
        recent = tuple(self._answers.values())[-policies.REMEMBERED_CALLERS :]
        return self._state.model_copy(update={"answers": recent, "waiting": tuple(self._waiting)})

    async def _gather(self) -> None:
        """Give other callers a moment, so that many changes cost one session and one save."""
        began = workflow.now()
        while workflow.now() - began < policies.GATHER_AT_MOST:
            quiet = workflow.now() - self._last_came_in
            if quiet >= policies.GATHER:
                return
            await workflow.sleep(policies.GATHER - quiet)

    async def _apply(self, batch: list[ChangeTicket]) -> tuple[SwitchChangeResult, ...]:
        """One session with the switch. When it cannot be reached, every caller is told so."""
        try:
            done: BatchResult = await workflow.execute_activity_method(
                SwitchActivities.apply_changes,
                BatchInput(switch=self._state.switch, changes=tuple(t.change for t in batch)),
                summary=f"{len(batch)} changes",
                **policies.DEVICE,
            )
        except FailureError as error:
            reason, type_ = reason_and_type(error)
            failed = SwitchChangeResult(switch=self._state.switch, error=reason, error_type=type_)
            return (failed,) * len(batch)
        self._state = self._state.model_copy(
            update={
                "sessions": self._state.sessions + done.sessions,
                "saves": self._state.saves + done.saves,
                "changes": self._state.changes + len(batch),
            }
        )
        return done.results

    async def _answer(self, ticket: ChangeTicket, result: SwitchChangeResult) -> None:
        """Remember first, then tell: a caller that asks again gets the same answer."""
        answer = ChangeAnswer(caller=ticket.caller, number=ticket.number, result=result)
        self._answers.pop(ticket.caller, None)
        self._answers[ticket.caller] = answer
        while len(self._answers) > policies.REMEMBERED_CALLERS:
            self._answers.pop(next(iter(self._answers)))
        await self._send(ticket.reply_to, answer)

    async def _send(self, reply_to: str, answer: ChangeAnswer) -> None:
        try:
            await workflow.get_external_workflow_handle(reply_to).signal("switch_answer", answer)
        except FailureError:  # the caller has ended; nobody waits for this answer
            workflow.logger.info("caller %s has ended", reply_to)
