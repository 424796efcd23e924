"""The smallest real worker: proves the stack before and beside Freehold's own."""

from __future__ import annotations

import asyncio

from temporalio import workflow
from temporalio.worker import Worker

from freehold.settings import load_settings
from freehold.stack.client import connect, metrics_runtime


@workflow.defn
class Greet:
    @workflow.run
    async def run(self, name: str) -> str:
        return f"Hello {name}"


@workflow.defn
class Wait:
    @workflow.run
    async def run(self, seconds: int) -> str:
        await workflow.sleep(seconds)
        return "awake"


async def main() -> None:
    settings = load_settings()
    client = await connect(settings, "small-worker", runtime=metrics_runtime(settings))
    print('{"event": "small worker polls"}', flush=True)
    await Worker(client, task_queue=settings.task_queue, workflows=[Greet, Wait]).run()


if __name__ == "__main__":
    asyncio.run(main())
