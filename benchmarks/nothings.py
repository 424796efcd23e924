"""The empty workflow that others are compared with, in a module of its own for the workflow sandbox."""

from __future__ import annotations

from datetime import timedelta

from temporalio import activity, workflow


@activity.defn
def nothing() -> None:
    pass


@workflow.defn
class Nothings:
    """As many empty activities as it is told, one after the other."""

    @workflow.run
    async def run(self, count: int) -> None:
        for _ in range(count):
            await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(minutes=5))
