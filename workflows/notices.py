"""Telling people of a request for approval while it waits. Nothing that goes wrong here harms the run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.notices import NoticeActivities
    from freehold.models.notice import Notice, NoticeKind
    from freehold.models.policy import ApprovalPolicy
    from workflows import policies
    from workflows.calls import call

MakeNotice = Callable[[NoticeKind, tuple[str, ...]], Notice]


async def tell_while_waiting(policy: ApprovalPolicy, until: datetime, make: MakeNotice) -> None:
    """The request, then each reminder at its time. Cancel it when there is a decision."""
    if policy.tell:
        await tell(make(NoticeKind.ASKED, policy.tell))
    for reminder in policy.reminders:
        wait = until - timedelta(seconds=reminder.before_s) - workflow.now()
        if wait > timedelta(0):
            await workflow.sleep(wait, summary="the next reminder")
        last = reminder is policy.reminders[-1]
        await tell(make(NoticeKind.LAST_CALL if last else NoticeKind.REMINDER, reminder.tell))


async def tell(notice: Notice) -> None:
    try:
        await call(NoticeActivities.tell, notice, summary=notice.kind, **policies.QUICK)
    except FailureError as error:
        if is_cancelled_exception(error):
            raise
        workflow.logger.warning("people were not told: %s", error.cause or error)
