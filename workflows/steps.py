"""The steps of a procedure: done in order, parked when they fail, undone in reverse order.

A procedure has one `Steps`. It is where a person's `retry`, `abort`, `approve` and `reject` take effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from freehold.models.plan import Plan
    from freehold.models.policy import ApprovalPolicy
    from freehold.models.procedure import Outcome, StepState
    from freehold.models.request import Abort, Approve, Because
    from freehold.models.work import StepTime
    from workflows import policies
    from workflows.board import Board, Hands
    from workflows.calls import named_after
    from workflows.decisions import Decisions
    from workflows.ends import Refused, Undone, explain, reason_and_type, to_the_end
    from workflows.people import Said

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]


@dataclass
class _Undo:
    step: str
    work: Work[object]


class Steps:
    """Order, parking and undo of one procedure's steps."""

    def __init__(self, procedure: str, instance: str, customer: str, site: str, requested_by: str) -> None:
        self._board = Board(procedure, instance, customer, site)
        self._decisions = Decisions(self._board, requested_by)
        self.people = self._decisions.people
        self._undos: list[_Undo] = []

    # -- what is shown ---------------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        return self._board.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._board.plan = plan

    @property
    def hands(self) -> Hands | None:
        return self._board.hands

    @hands.setter
    def hands(self, hands: Hands) -> None:
        self._board.hands = hands

    def because(self, reason: Because | None) -> None:
        """Show why the schedule asked for this."""
        self._board.because = reason

    def is_about(self, customer: str, site: str) -> None:
        """Fill in what the request did not say but the plan does."""
        self._board.customer, self._board.site = customer, site

    def expect(self, *names: str) -> None:
        """Name the steps to come, so that people see the whole way from the start."""
        self._board.expect(*names)

    def skip(self, name: str, why: str) -> None:
        self._board.set(name, StepState.SKIPPED, note=why)

    def note(self, name: str, note: str) -> None:
        """Put a few words beside a step."""
        self._board.note(name, note)

    @property
    def took(self) -> tuple[StepTime, ...]:
        """How long each step took that is done."""
        return tuple(
            StepTime(step=s.name, seconds=s.seconds)
            for s in self._board.view().steps
            if s.state is StepState.DONE and s.seconds is not None
        )

    # -- what is done ----------------------------------------------------------------------------------

    async def through(
        self, work: Work[Outcome], ended: Callable[[str, str], Outcome], undo: Work[None] | None = None
    ) -> Outcome:
        """Carry a whole procedure through. What stops it is undone and shown, and is its outcome or its failure."""
        try:
            return await work()
        except Undone as stop:
            await to_the_end((undo or self.undo)())
            await self.finish(stop.outcome)
            if isinstance(stop, Refused):
                raise ApplicationError(stop.reason, type=stop.type, non_retryable=True) from stop
            return ended(stop.outcome, stop.reason)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await to_the_end((undo or self.undo)())
                await self.finish("cancelled")
            raise

    async def do(self, name: str, work: Work[T], undo: Work[object] | None = None, park: bool = True) -> T:
        """Do one step. `undo` is noted before the work begins, because the work may stop half-way.

        A failure parks the step until `retry` (the work is done again) or `abort` (raises Undone). A step that
        touches nothing need not park: without `park` its failure raises Refused at once.
        """
        if undo is not None:
            self._undos.append(_Undo(name, undo))
        while True:
            self._board.set(name, StepState.RUNNING, started=True)
            try:
                with named_after(name):
                    result = await self._decisions.unless_aborted(work)
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                if not park:
                    raise Refused(*reason_and_type(error)) from error
                await self._park(name, explain(error))
                continue
            self._board.set(name, StepState.DONE)
            return result

    async def approve(self, name: str, plan: Plan, policy: ApprovalPolicy) -> None:
        """Wait until enough people agree to this plan. Raises Undone when they refuse or time runs out."""
        if not policy.required:
            self.skip(name, policy.why)
            return
        self._board.set(name, StepState.WAITING, note=policy.why, started=True)
        await self._decisions.approval(plan, policy)
        self._board.set(name, StepState.DONE, note=f"approved by {', '.join(a.operator for a in self.approvals)}")

    @property
    def approvals(self) -> tuple[Approve, ...]:
        return tuple(self._decisions.approvals.values())

    async def wait_for_hands(
        self,
        whom: str,
        reason: str,
        until: datetime,
        messages: tuple[str, ...],
        ready: Callable[[], bool],
        kind: str = "checklist",
    ) -> Said | None:
        """Wait until `ready`, or until a person decides otherwise, whose message is the answer.

        Raises Undone when time runs out.
        """
        said = await self._decisions.wait(kind, whom, reason, until, messages, ready)
        if said is None and not ready():
            raise Undone("lapsed", f"it was not done until {until:%Y-%m-%d %H:%M} UTC: {reason}")
        return said

    @contextmanager
    def may_pause(self) -> Iterator[None]:
        """People may say `pause` inside; it takes effect at `while_paused`."""
        self._decisions.can_pause = True
        try:
            yield
        finally:
            self._decisions.can_pause = False

    async def while_paused(self) -> None:
        await self._decisions.while_paused()

    def no_way_back(self, why: str) -> None:
        """From here on only forward: nothing is undone any more and `abort` is refused with these words."""
        self._decisions.forward_only = why
        self._undos.clear()

    async def undo(self) -> None:
        """Undo what was done, in reverse order. A failing undo parks until `retry`."""
        self._decisions.no_more_aborts("it is undoing already")
        while self._undos:
            undo = self._undos[-1]
            self._board.set(undo.step, StepState.UNDOING)
            try:
                with named_after(f"undo {undo.step}"):
                    await undo.work()
            except FailureError as error:
                await self._park(undo.step, f"undo failed: {explain(error)}")
                continue
            self._undos.pop()
            self._board.set(undo.step, StepState.UNDONE)

    async def finish(self, outcome: str) -> None:
        """Show how it ended, and let messages that are being answered come to their end."""
        self._board.close(outcome)
        await workflow.wait_condition(workflow.all_handlers_finished)

    async def _park(self, name: str, why: str) -> None:
        forward_only = bool(self._decisions.forward_only)
        until = workflow.now() + policies.PARKED_FOR
        self._board.set(name, StepState.PARKED, note=why)
        messages = ("retry",) if forward_only else ("retry", "abort")
        said = await self._decisions.wait("retry", "operators", f"{name}: {why}", until, messages)
        if said is None and not forward_only:
            raise Undone("lapsed", f"{name} failed and nobody said retry or abort: {why}")
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it after {name} failed: {why}")
