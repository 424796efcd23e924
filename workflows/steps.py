"""The steps of a procedure: done in order, parked when they fail, undone in reverse order.

A procedure has one `Steps`. It keeps what people see (query, current details, search attributes) true at every
moment, and it is where a person's `retry`, `abort`, `approve` and `reject` take effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import Checklist, ConfirmItems
    from freehold.models.notice import Notice, NoticeKind
    from freehold.models.plan import Plan
    from freehold.models.policy import ApprovalIdentity, ApprovalPolicy
    from freehold.models.procedure import ProcedureView, StepState, StepView, Waiting
    from freehold.models.request import Abort, Approve, Reject, Withdraw
    from workflows import attributes, details, policies
    from workflows.calls import named_after
    from workflows.identities import identify, not_theirs
    from workflows.notices import tell, tell_while_waiting
    from workflows.people import People, Said, name_of

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]


class Undone(Exception):
    """The procedure was stopped by a person or by time; `outcome` says how it ends."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class Refused(Undone):
    """The request cannot be fulfilled as it is; `type` is the error's stable type."""

    def __init__(self, reason: str, type_: str) -> None:
        super().__init__("refused", reason)
        self.type = type_


class Hands(Protocol):
    """Work that waits for hands, and what to make of people's words about it."""

    def checklist(self) -> Checklist | None: ...

    def refuse(self, said: ConfirmItems) -> str: ...

    def accept(self, said: ConfirmItems) -> str: ...


@dataclass
class _Undo:
    step: str
    work: Work[object]


class Steps:
    """Order, parking, undo and display of one procedure's steps."""

    def __init__(self, procedure: str, instance: str, customer: str, site: str, requested_by: str) -> None:
        self.people = People(self._refuse, self._accept)
        self._plan: Plan | None = None
        self._plan_hash = ""
        self.hands: Hands | None = None
        self.outcome = ""
        self._head = (procedure, instance, customer, site)
        self._requester = requested_by
        self._views: dict[str, StepView] = {}
        self._undos: list[_Undo] = []
        self._waiting: Waiting | None = None
        self._decision: Said | None = None
        self._abort: Abort | None = None
        self._forward_only = ""
        self._approvals: dict[str, Approve] = {}
        self._policy: ApprovalPolicy | None = None
        workflow.set_query_handler("progress", self.view)

    # -- what a procedure calls ------------------------------------------------------------------------

    @property
    def plan(self) -> Plan | None:
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan, self._plan_hash = plan, plan.hash

    def is_about(self, customer: str, site: str) -> None:
        """Fill in what the request did not say but the plan does."""
        procedure, instance, _, _ = self._head
        self._head = (procedure, instance, customer, site)

    def expect(self, *names: str) -> None:
        """Name the steps to come, so that people see the whole way from the start."""
        for name in names:
            self._views.setdefault(name, StepView(name=name))
        self._show()

    async def do(self, name: str, work: Work[T], undo: Work[object] | None = None, park: bool = True) -> T:
        """Do one step. `undo` is noted before the work begins, because the work may stop half-way.

        A failure parks the step until `retry` (the work is done again) or `abort` (raises Undone). A step that
        touches nothing need not park: without `park` its failure raises Refused at once.
        """
        if undo is not None:
            self._undos.append(_Undo(name, undo))
        while True:
            self._set(name, StepState.RUNNING, started=True)
            try:
                with named_after(name):
                    result = await self._unless_aborted(work)
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                if not park:
                    raise Refused(*reason_and_type(error)) from error
                await self._park(name, explain(error))
                continue
            self._set(name, StepState.DONE)
            return result

    def skip(self, name: str, why: str) -> None:
        self._set(name, StepState.SKIPPED, note=why)

    def note(self, name: str, note: str) -> None:
        """Put a few words beside a step."""
        self._views[name] = self._views[name].model_copy(update={"note": note})
        self._show()

    async def approve(self, name: str, plan: Plan, policy: ApprovalPolicy) -> None:
        """Wait until enough people agree to this plan. Raises Undone when they refuse or time runs out."""
        if not policy.required:
            self.skip(name, policy.why)
            return
        until = workflow.now() + timedelta(seconds=policy.within_s)
        self._policy = policy
        make = partial(self._notice, policy, until)
        telling = asyncio.ensure_future(tell_while_waiting(policy, until, make))
        self._set(name, StepState.WAITING, note=policy.why, started=True)
        try:
            messages = ("approve", "reject", *(("withdraw",) if policy.quorum > 1 else ()), "abort")
            while True:
                said = await self._wait("approval", "approvers", policy.why, until, messages)
                if not isinstance(said, Approve) or await self._identified(plan, policy):
                    break
        finally:
            telling.cancel()
            self._policy = None
        if said is None and policy.tell:
            await tell(self._notice(policy, until, NoticeKind.LAPSED, True))
        if said is None:
            raise Undone("lapsed", f"nobody approved plan {plan.hash} until {until:%Y-%m-%d %H:%M} UTC")
        if isinstance(said, Reject):
            raise Undone("rejected", f"{said.operator} rejected it" + (f": {said.comment}" if said.comment else ""))
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it")
        self._set(name, StepState.DONE, note=f"approved by {', '.join(a.operator for a in self._approvals.values())}")

    async def _identified(self, plan: Plan, policy: ApprovalPolicy) -> bool:
        """Whether enough approvals are left when those that are not from whom they say are taken out."""
        if policy.identity is ApprovalIdentity.CLAIM:
            return True
        found = await identify(plan.hash)
        for key in not_theirs(self._approvals, found):
            why = "does not count: the history has no approval of this plan by this person, who may approve"
            self.people.doubt(self._approvals.pop(key).operator, why)
        self.people.name_senders(found)
        return len(self._approvals) >= policy.quorum

    async def wait_for_hands(
        self, whom: str, reason: str, until: datetime, messages: tuple[str, ...], ready: Callable[[], bool]
    ) -> Said | None:
        """Wait until `ready`, or until a person decides otherwise, whose message is the answer.

        Raises Undone when time runs out.
        """
        said = await self._wait("checklist", whom, reason, until, messages, ready)
        if said is None and not ready():
            raise Undone("lapsed", f"it was not done until {until:%Y-%m-%d %H:%M} UTC: {reason}")
        return said

    def no_way_back(self, why: str) -> None:
        """From here on only forward: nothing is undone any more and `abort` is refused with these words."""
        self._forward_only = why
        self._undos.clear()

    async def undo(self) -> None:
        """Undo what was done, in reverse order. A failing undo parks until `retry`."""
        self._abort = None
        self._forward_only = "it is undoing already"
        while self._undos:
            undo = self._undos[-1]
            self._set(undo.step, StepState.UNDOING)
            try:
                with named_after(f"undo {undo.step}"):
                    await undo.work()
            except FailureError as error:
                await self._park(undo.step, f"undo failed: {explain(error)}")
                continue
            self._undos.pop()
            self._set(undo.step, StepState.UNDONE)

    async def finish(self, outcome: str) -> None:
        """Show how it ended, and let messages that are being answered come to their end."""
        self.outcome = outcome
        self._waiting = None
        for name, view in self._views.items():
            if view.state in attributes.BUSY:  # it was cut off, and another step's undo took it back
                self._views[name] = view.model_copy(update={"state": StepState.STOPPED})
        self._show()
        await workflow.wait_condition(workflow.all_handlers_finished)

    @property
    def approvals(self) -> tuple[Approve, ...]:
        return tuple(self._approvals.values())

    def view(self) -> ProcedureView:
        procedure, instance, customer, site = self._head
        return ProcedureView(
            procedure=procedure,
            instance=instance,
            customer=customer,
            site=site,
            steps=tuple(self._views.values()),
            waiting=self._waiting,
            plan=self._plan,
            plan_hash=self._plan_hash,
            checklist=self.hands.checklist() if self.hands else None,
            messages=tuple(self.people.records),
            outcome=self.outcome,
        )

    # -- people ----------------------------------------------------------------------------------------

    def _refuse(self, said: Said) -> str:
        """Why this message cannot be taken now; empty when it can."""
        if isinstance(said, Abort):
            if self.outcome:
                return f"too late: it ended as {self.outcome}"
            return f"it cannot be aborted any more: {self._forward_only}" if self._forward_only else ""
        if isinstance(said, ConfirmItems):
            if self.outcome or self.hands is None:
                return f"too late: it ended as {self.outcome}" if self.outcome else "this run has no checklist"
            return self.hands.refuse(said)
        word = name_of(said)
        if self._waiting is None or word not in self._waiting.messages:
            waits = f"it waits for {' or '.join(self._waiting.messages)}" if self._waiting else "it waits for nobody"
            return f"{word} is not what this run waits for now: {waits}"
        return self._refuse_decision(said)

    def _refuse_decision(self, said: Said) -> str:
        if self._decision is not None:  # of this very moment: the run has not gone on yet
            return f"too late: {self._decision.operator} has decided it"
        if isinstance(said, Withdraw) and said.operator.casefold() not in self._approvals:
            return f"operator: {said.operator} has not approved; there is nothing to withdraw"
        return self._refuse_approval(said) if isinstance(said, Approve) else ""

    def _refuse_approval(self, said: Approve) -> str:
        current = self.plan.hash if self.plan else ""
        if said.plan_hash and said.plan_hash != current:
            return f"plan_hash {said.plan_hash!r} is not the current plan; the current hash is {current}"
        if _same_person(said.operator, self._requester):
            return f"operator: {said.operator} asked for this and cannot approve it; somebody else must"
        if said.operator.casefold() in self._approvals:
            return f"operator: {said.operator} has approved already; a person counts once"
        return ""

    def _accept(self, said: Said) -> str:
        if isinstance(said, Abort):
            self._abort = said
            if self._waiting:
                self._decision = said
            return "aborting: what was done is undone in reverse order"
        if isinstance(said, ConfirmItems):
            assert self.hands is not None  # or it would have been refused
            note = self.hands.accept(said)
            self._show()
            return note
        if isinstance(said, Withdraw):
            del self._approvals[said.operator.casefold()]
            return "your approval does not count any more"
        if isinstance(said, Approve):
            self._approvals[said.operator.casefold()] = said
            missing = (self._policy.quorum if self._policy else 1) - len(self._approvals)
            if missing > 0:
                return f"noted; {missing} more must approve"
        self._decision = said
        return f"{name_of(said)} accepted"

    def _notice(self, policy: ApprovalPolicy, until: datetime, kind: NoticeKind, escalate: bool) -> Notice:
        procedure, instance, customer, site = self._head
        info = workflow.info()
        return Notice(
            id=f"{info.run_id}/{kind.replace(' ', '-')}",
            kind=kind,
            escalate=escalate,
            procedure=procedure,
            instance=instance,
            customer=customer,
            site=site,
            requested_by=self._requester,
            workflow_id=info.workflow_id,
            plan_hash=self.plan.hash if self.plan else "",
            until=until,
            approved_by=tuple(a.operator for a in self._approvals.values()),
            quorum=policy.quorum,
        )

    # -- inside ----------------------------------------------------------------------------------------

    async def _unless_aborted(self, work: Work[T]) -> T:
        """The work's result, or Undone as soon as somebody aborts (the work is cancelled and waited for)."""
        if self._abort is None:
            task = asyncio.ensure_future(work())
            aborted = asyncio.ensure_future(workflow.wait_condition(lambda: self._abort is not None))
            try:
                await workflow.wait([task, aborted], return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
            finally:
                aborted.cancel()
                if not task.done():
                    task.cancel()
                    await workflow.wait([task])
        assert self._abort is not None
        raise Undone("aborted", f"{self._abort.operator} aborted it")

    async def _park(self, name: str, why: str) -> None:
        until = workflow.now() + policies.PARKED_FOR
        self._set(name, StepState.PARKED, note=why)
        messages = ("retry",) if self._forward_only else ("retry", "abort")
        said = await self._wait("retry", "operators", f"{name}: {why}", until, messages)
        if said is None and not self._forward_only:
            raise Undone("lapsed", f"{name} failed and nobody said retry or abort: {why}")
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it after {name} failed: {why}")

    async def _wait(
        self,
        kind: str,
        whom: str,
        reason: str,
        until: datetime,
        messages: tuple[str, ...],
        ready: Callable[[], bool] = lambda: False,
    ) -> Said | None:
        """The decision of a person, or None when time ran out or what is waited for is `ready`."""
        if self._abort is not None:
            return self._abort
        self._decision = None
        self._waiting = Waiting(kind=kind, whom=whom, reason=reason, until=until, messages=messages)
        self._show()
        try:
            await workflow.wait_condition(
                lambda: self._decision is not None or ready(),
                timeout=max(until - workflow.now(), timedelta(seconds=1)),
                timeout_summary=f"waits for {whom}: {' or '.join(messages)}",
            )
        except TimeoutError:
            return None
        finally:
            self._waiting = None
        return self._decision

    def _set(self, name: str, state: StepState, note: str = "", started: bool = False) -> None:
        view = self._views.get(name, StepView(name=name))
        over = state in (StepState.DONE, StepState.SKIPPED, StepState.UNDONE)
        self._views[name] = view.model_copy(
            update={
                "state": state,
                "note": note or ("" if state is not StepState.DONE else view.note),
                "started_at": view.started_at or (workflow.now() if started else None),
                "finished_at": workflow.now() if over else None,
                "attempts": view.attempts + (1 if state is StepState.RUNNING else 0),
            }
        )
        self._show()

    def _show(self) -> None:
        view = self.view()
        workflow.set_current_details(details.render(view, workflow.info().workflow_id))
        attributes.show(view)


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def explain(error: BaseException) -> str:
    """The reason, in the words of whoever raised it in our code, with its type."""
    reason, type_ = reason_and_type(error)
    return f"{reason} [{type_}]"


def reason_and_type(error: BaseException) -> tuple[str, str]:
    while not isinstance(error, ApplicationError) and isinstance(error, FailureError) and error.cause is not None:
        error = error.cause  # no further than our sentence: below it is what a library said
    if isinstance(error, ApplicationError):
        return error.message, error.type or "ApplicationError"
    return str(error) or type(error).__name__, type(error).__name__


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Finish the work even when the run is cancelled meanwhile: half of it would be worse than all of it."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            workflow.logger.warning("cancelled after the point of no return; going on to the end")
    return task.result()


def needed(given: T | None) -> T:
    """A procedure's input. Nothing at all (an empty start form) fails the run with a readable message."""
    if given is None:
        raise ApplicationError(
            "the input is missing: give one JSON object, e.g. that of the completed example run of this type",
            type="BadInput",
            non_retryable=True,
        )
    return given


async def together(works: Iterable[Awaitable[T]]) -> list[T]:
    """All at the same time. When one fails the others still come to their end: nothing runs on beside an undo."""
    done = await asyncio.gather(*works, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result for result in done if not isinstance(result, BaseException)]
