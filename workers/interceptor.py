"""What is the same around every activity: heartbeats, log context, and errors with their type."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from freehold.errors import FreeholdError
from freehold.logs import bound

log = structlog.get_logger(__name__)

BEAT_S = 5.0
LONGEST_MESSAGE = 2000
"""Characters of an error's message that a history keeps: what a device said, cut to a sane length."""


class Around(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _AroundActivity(next)


class _AroundActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        given = input.args[0] if input.args else None
        instance = getattr(given, "instance", None) or getattr(given, "switch", None)
        beats = asyncio.create_task(_beat()) if info.heartbeat_timeout else None
        with bound(instance=instance, run=info.workflow_run_id, activity=info.activity_type):
            try:
                return await super().execute_activity(input)
            except FreeholdError as error:
                log.warning("activity failed", error=error.type, reason=str(error)[:LONGEST_MESSAGE])
                raise ApplicationError(
                    str(error)[:LONGEST_MESSAGE], type=error.type, non_retryable=not error.retryable
                ) from error
            finally:
                if beats is not None:
                    beats.cancel()


async def _beat() -> None:
    """Tell the server that this worker lives, for activities that wait on a device in a thread."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(BEAT_S)
