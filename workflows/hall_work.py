"""Work in the hall: people do what a checklist says, machines look at it, until every item is verified."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from freehold.models.checklist import ItemState
    from freehold.models.installation import Progress, WorkOrder
    from freehold.models.notice import Notice, NoticeKind
    from freehold.models.request import Abort, Retry
    from workflows import policies
    from workflows.ends import Undone
    from workflows.hands import ChecklistInHands
    from workflows.notices import tell
    from workflows.steps import Steps

WORK = "work in the hall"
Look = Callable[[ChecklistInHands], Awaitable[None]]


class HallWork:
    """One checklist's way to its end, over as many histories as it takes."""

    def __init__(self, steps: Steps, requested_by: str, before: Progress | None) -> None:
        self.hands: ChecklistInHands | None = None
        self._until: datetime = before.until if before else workflow.now() + policies.HANDS_WITHIN
        self._steps = steps
        self._requested_by = requested_by
        self._order: WorkOrder | None = None
        self._looks = 0
        if before:  # at once: what people say while the history is cut must find its checklist
            self._take_in_hand(ChecklistInHands.going_on(before))

    def begin(self, order: WorkOrder) -> ChecklistInHands:
        """Hand the checklist out, or go on with the one of the run before."""
        self._order = order
        self._steps.plan = order.plan
        self._steps.is_about(order.plan.request.customer, order.plan.request.site)
        return self.hands or self._take_in_hand(ChecklistInHands(order.checklist))

    def _take_in_hand(self, hands: ChecklistInHands) -> ChecklistInHands:
        self.hands = self._steps.hands = hands
        return hands

    async def progress(self) -> Progress:
        """What the next run goes on with."""
        assert self.hands is not None, "there is no work before the checklist"
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.hands.progress(self._until)

    async def to_its_end(self, hands: ChecklistInHands, look: Look) -> bool:
        """Until every item is verified. False when the run should go on with a fresh history."""
        while True:
            await self._look(hands, look)
            if hands.done:
                return True
            if not hands.fresh:
                if self._looks >= policies.CHECKS_PER_RUN or workflow.info().is_continue_as_new_suggested():
                    return False
                await self._wait(hands)

    async def _look(self, hands: ChecklistInHands, look: Look) -> None:
        """Machines look at what people say is done."""
        if not hands.fresh:
            return
        hands.fresh = False
        self._looks += 1
        self._steps.note(WORK, f"checking; {hands.situation()}")
        try:
            await look(hands)
        except BaseException:
            hands.fresh = True  # what was not looked at is looked at after a retry
            raise
        self._steps.note(WORK, hands.situation())

    async def _wait(self, hands: ChecklistInHands) -> None:
        """For technicians; for operators when all that is left could not be done."""
        problems = hands.count(ItemState.PROBLEM)
        whom = "technicians" if hands.count(ItemState.OPEN) or not problems else "operators"
        messages = ("confirm_items", "retry", "abort") if problems else ("confirm_items", "abort")
        reminding = asyncio.ensure_future(self._remind(hands))
        try:
            said = await self._steps.wait_for_hands(whom, hands.situation(), self._until, messages, lambda: hands.fresh)
        finally:
            reminding.cancel()
        if isinstance(said, Abort):
            raise Undone("aborted", f"{said.operator} aborted it")
        if isinstance(said, Retry):
            hands.reopen_problems()

    async def _remind(self, hands: ChecklistInHands) -> None:
        """A delivery that nobody asks about is forgotten."""
        order, info = self._order, workflow.info()
        while order is not None and order.tell:
            await workflow.sleep(policies.HANDS_REMINDER, summary="the next reminder")
            await tell(
                Notice(
                    id=f"{info.run_id}/hands-{workflow.now():%Y-%m-%d}",
                    kind=NoticeKind.HANDS,
                    to=order.tell,
                    procedure=info.workflow_type,
                    instance=order.plan.instance,
                    customer=order.plan.request.customer,
                    site=order.plan.request.site,
                    requested_by=self._requested_by,
                    workflow_id=info.workflow_id,
                    plan_hash=order.plan.hash,
                    until=self._until,
                    situation=hands.situation(),
                )
            )
