"""What is the same around every activity: heartbeats, log context, and errors with their type."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from freehold.errors import FreeholdError
from freehold.logs import bound
from freehold.metrics.own import FAILURES, WORDS

log = structlog.get_logger(__name__)

BEAT_S = 5.0
LONGEST_MESSAGE = 2000
"""Characters of an error's message that a history keeps: what a device said, cut to a sane length."""


class Around(Interceptor):
    def __init__(self, beat_s: float = BEAT_S) -> None:
        self._beat_s = beat_s

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _AroundActivity(next, self._beat_s)


class _AroundActivity(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, beat_s: float) -> None:
        super().__init__(next)
        self._beat_s = beat_s

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        given = input.args[0] if input.args else None
        instance = getattr(given, "instance", None) or getattr(given, "switch", None)
        beats = asyncio.create_task(_beat(input.fn, self._beat_s)) if info.heartbeat_timeout else None
        with bound(instance=instance, run=info.workflow_run_id, activity=info.activity_type):
            try:
                return await super().execute_activity(input)
            except FreeholdError as error:
                _count(error.type)
                log.warning("activity failed", error=error.type, reason=str(error)[:LONGEST_MESSAGE])
                raise ApplicationError(
                    str(error)[:LONGEST_MESSAGE], type=error.type, non_retryable=not error.retryable
                ) from error
            except Exception as error:
                _count(type(error).__name__)
                raise
            finally:
                if beats is not None:
                    beats.cancel()


def _count(error: str) -> None:
    labels = {"activity": activity.info().activity_type, "error": error}
    activity.metric_meter().create_counter(FAILURES, WORDS[FAILURES]).add(1, labels)


async def _beat(fn: Callable[..., Any], every_s: float) -> None:
    """Tell the server that this worker lives, for activities that wait on a device in a thread.

    In an activity that runs in a thread `heartbeat` waits for the event loop, so it must not be called on it.
    """
    in_thread = not inspect.iscoroutinefunction(fn)
    while True:
        await asyncio.sleep(every_s)
        if in_thread:
            await asyncio.to_thread(activity.heartbeat)
        else:
            activity.heartbeat()
