"""What a run waits for from people, and what they decided: approvals, retries, aborts, work of hands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import ConfirmItems
    from freehold.models.identity import Identities
    from freehold.models.notice import Notice, NoticeKind
    from freehold.models.people import MESSAGES, Act, key_of, same_person, who_may
    from freehold.models.plan import Plan
    from freehold.models.policy import ApprovalPolicy, OnLapse
    from freehold.models.procedure import Waiting
    from freehold.models.request import Abort, Approve, Pause, Reject, Withdraw
    from workflows import policies
    from workflows.board import Board
    from workflows.ends import Undone
    from workflows.identities import Sender, identify
    from workflows.notices import tell, tell_while_waiting
    from workflows.people import People, Said, name_of

T = TypeVar("T")


class Decisions:
    """Takes people's words in, refuses what does not fit the moment, and lets the run wait for the rest."""

    def __init__(self, board: Board, requested_by: str) -> None:
        self.people = board.people = People(self)
        self.approvals: dict[str, Approve] = {}
        self.forward_only = ""
        """Why there is no way back; empty while there is one."""
        self._board = board
        self._requester = requested_by
        self.can_pause = False
        """Whether data moves now, which may rest."""
        self._pause: Pause | None = None
        self._abort: Abort | None = None
        self._decision: Said | None = None
        self._policy: ApprovalPolicy | None = None
        self._notices = 0

    # -- waiting ---------------------------------------------------------------------------------------

    async def wait(
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
        self._board.waiting = Waiting(kind=kind, whom=whom, reason=reason, until=until, messages=messages)
        self._board.show()
        try:
            await workflow.wait_condition(
                lambda: self._decision is not None or ready(),
                timeout=max(until - workflow.now(), timedelta(seconds=1)),
                timeout_summary=f"waits for {whom}: {' or '.join(messages)}",
            )
        except TimeoutError:
            return None
        finally:
            self._board.waiting = None
        return self._decision

    async def unless_aborted(self, work: Callable[[], Awaitable[T]]) -> T:
        """The work's result, or Undone as soon as somebody aborts (the work is cancelled and waited for)."""
        if self._abort is None:
            task = asyncio.ensure_future(work())
            aborted = asyncio.ensure_future(workflow.wait_condition(lambda: self._abort is not None))
            try:
                await workflow.wait([task, aborted], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                await _cancelled(task)
                raise
            finally:
                aborted.cancel()
            if task.done():
                return task.result()
            await _cancelled(task)
        assert self._abort is not None
        raise Undone("aborted", f"{self._abort.operator} aborted it")

    async def while_paused(self) -> None:
        """Wait for `resume` when somebody said `pause`; an abort ends the wait, too."""
        while (pause := self._pause) is not None and self._abort is None:
            why = f": {pause.comment}" if pause.comment else ""
            until = workflow.now() + policies.PAUSED_FOR
            messages = ("resume",) if self.forward_only else ("resume", "abort")
            await self.wait("pause", "operators", f"{pause.operator} paused it{why}", until, messages)
            self._pause = None

    def no_more_aborts(self, why: str) -> None:
        """From here on `abort` is refused with these words."""
        self._abort = None
        self.forward_only = why

    # -- approval --------------------------------------------------------------------------------------

    async def approval(self, plan: Plan, policy: ApprovalPolicy) -> None:
        """Wait until enough people agree to this plan. Raises Undone when they refuse or time runs out."""
        self._policy = policy
        self.approvals.clear()  # an approval is of one plan
        try:
            said = await self._decided(plan, policy)
        finally:
            self._policy = None
        if isinstance(said, Reject):
            raise Undone("rejected", f"{said.operator} rejected it" + (f": {said.comment}" if said.comment else ""))
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it")

    async def _decided(self, plan: Plan, policy: ApprovalPolicy) -> Said:
        """What people decide. Raises Undone when time runs out and the policy does not ask again."""
        messages = ("approve", "reject", *(("withdraw",) if policy.quorum > 1 else ()), "abort")
        reason = f"{policy.why}; {policy.words()}"
        while True:
            until = workflow.now() + timedelta(seconds=policy.within_s)
            make = partial(self._notice, policy, until)
            telling = asyncio.ensure_future(tell_while_waiting(policy, until, make))
            try:
                said = await self.wait("approval", "approvers", reason, until, messages)
            finally:
                telling.cancel()
            if said is not None:
                return said
            if policy.on_lapse is OnLapse.UNDO:
                if policy.receivers:
                    await tell(make(NoticeKind.LAPSED, policy.receivers))
                raise Undone("lapsed", f"nobody approved plan {plan.hash} until {until:%Y-%m-%d %H:%M} UTC")

    def _notice(self, policy: ApprovalPolicy, until: datetime, kind: NoticeKind, to: tuple[str, ...]) -> Notice:
        board, info = self._board, workflow.info()
        self._notices += 1
        return Notice(
            id=f"{info.run_id}/{self._notices}-{kind.replace(' ', '-')}",
            kind=kind,
            to=to,
            procedure=board.procedure,
            instance=board.instance,
            customer=board.customer,
            site=board.site,
            requested_by=self._requester,
            workflow_id=info.workflow_id,
            plan_hash=board.plan.hash if board.plan else "",
            until=until,
            approved_by=tuple(a.operator for a in self.approvals.values()),
            quorum=policy.quorum,
        )

    # -- people's words --------------------------------------------------------------------------------

    async def identify(self, refs: Sequence[str], names: Sequence[str]) -> Identities:
        return await identify(refs, names, self._board.plan)

    def show(self) -> None:
        self._board.show()

    def refuse(self, said: Said, sender: Sender | None) -> str:
        """Why this message cannot be taken now; empty when it can."""
        return self._untimely(said) or (self._not_theirs(said, sender) if sender else "")

    def _not_theirs(self, said: Said, sender: Sender) -> str:
        """Why it does not count from this person, by the rules and accounts of this moment."""
        act = MESSAGES[name_of(said)]
        allowed = self._policy.roles if self._policy and act is Act.DECIDE else who_may(act)
        if reason := sender.found.objection(sender.ref, said.operator, allowed, act):
            return reason
        if isinstance(said, Approve) and sender.found.by_login:
            if same_person(sender.identity, sender.found.started_by):
                return f"operator: {said.operator} started this run and cannot approve it; somebody else must"
            if not said.plan_hash:
                current = self._board.plan.hash if self._board.plan else ""
                return f"plan_hash is missing: name the plan that you have read; the current hash is {current}"
        return ""

    def _untimely(self, said: Said) -> str:
        """Why nobody can say this now."""
        outcome, waiting, hands = self._board.outcome, self._board.waiting, self._board.hands
        if isinstance(said, Abort | ConfirmItems | Pause) and outcome:
            return f"too late: it ended as {outcome}"
        if isinstance(said, Abort):
            return f"it cannot be aborted any more: {self.forward_only}" if self.forward_only else ""
        if isinstance(said, ConfirmItems):
            return hands.refuse(said) if hands else "this run has no checklist"
        if isinstance(said, Pause):
            return self._no_rest()
        word = name_of(said)
        if waiting is None or word not in waiting.messages:
            waits = f"it waits for {' or '.join(waiting.messages)}" if waiting else "it waits for nobody"
            return f"{word} is not what this run waits for now: {waits}"
        return self._refuse_decision(said)

    def _no_rest(self) -> str:
        if self._pause is not None:
            return f"{self._pause.operator} has paused it already"
        return "" if self.can_pause else "no data is being moved now that could rest"

    def _refuse_decision(self, said: Said) -> str:
        if self._decision is not None:  # of this very moment: the run has not gone on yet
            return f"too late: {self._decision.operator} has decided it"
        if isinstance(said, Withdraw) and key_of(said.operator) not in self.approvals:
            return f"operator: {said.operator} has not approved; there is nothing to withdraw"
        return self._refuse_approval(said) if isinstance(said, Approve) else ""

    def _refuse_approval(self, said: Approve) -> str:
        current = self._board.plan.hash if self._board.plan else ""
        if said.plan_hash and said.plan_hash != current:
            return f"plan_hash {said.plan_hash!r} is not the current plan; the current hash is {current}"
        if same_person(said.operator, self._requester):
            return f"operator: {said.operator} asked for this and cannot approve it; somebody else must"
        if key_of(said.operator) in self.approvals:
            return f"operator: {said.operator} has approved already; a person counts once"
        return ""

    def accept(self, said: Said) -> str:
        if isinstance(said, Abort):
            self._abort = said
            if self._board.waiting:
                self._decision = said
            return "aborting: what was done is undone in reverse order"
        if isinstance(said, Pause):
            self._pause = said
            return "it rests after the round that is under way"
        if isinstance(said, ConfirmItems):
            assert self._board.hands is not None  # or it would have been refused
            return self._board.hands.accept(said)
        if isinstance(said, Withdraw):
            del self.approvals[key_of(said.operator)]
            return "your approval does not count any more"
        if isinstance(said, Approve):
            self.approvals[key_of(said.operator)] = said
            missing = (self._policy.quorum if self._policy else 1) - len(self.approvals)
            if missing > 0:
                return f"noted; {missing} more must approve"
        self._decision = said
        return f"{name_of(said)} accepted"


async def _cancelled(task: asyncio.Future[T]) -> None:
    """Cancel it, and wait until it has ended: nothing runs on beside an undo."""
    if not task.done():
        task.cancel()
        await workflow.wait([task])
