"""A worker that kills itself once in every activity, after the effect and before the answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, UnsandboxedWorkflowRunner

from freehold.settings import load_settings
from freehold.stack.client import connect
from tests.workflows.rig import make_hall, make_parts
from workers.interceptor import Around
from workers.wiring import make_worker
from workflows import policies


class Kills(Interceptor):
    def __init__(self, marks: Path) -> None:
        self.marks = marks
        marks.mkdir(exist_ok=True)

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        marks = self.marks

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                result = await super().execute_activity(input)
                mark = marks / input.fn.__name__
                if not mark.exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

        return Inbound(next)


async def main(home: Path) -> None:
    settings = load_settings()
    for policy in (policies.QUICK, policies.DEVICE, policies.LONG):
        policy["heartbeat_timeout"] = timedelta(seconds=1)  # so that each death is noticed soon
    parts = make_parts(home, make_hall(), settings)
    client = await connect(settings, "worker")
    async with make_worker(
        client,
        parts,
        interceptors=[Kills(home / "killed"), Around(beat_s=0.3)],
        workflow_runner=UnsandboxedWorkflowRunner(),
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=0.5),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
