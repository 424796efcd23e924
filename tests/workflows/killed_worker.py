"""A worker that kills itself once in every activity, after the effect and before the answer.

Each life is a fork of one process that has everything imported, so that a death costs no second start.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, UnsandboxedWorkflowRunner

from freehold.services import load_all
from freehold.settings import load_settings
from freehold.stack.client import connect
from tests.workflows.rig import make_hall, make_parts
from workers.interceptor import Around
from workers.wiring import make_worker
from workflows import policies

LIVES = 60


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
        parent = os.getppid()
        while os.getppid() == parent:  # nobody is left to start us again
            await asyncio.sleep(0.2)


def live_again_and_again(home: Path) -> int:
    """Bounded; a life that ends otherwise than by its own kill ends all."""
    load_all()
    for _ in range(LIVES):
        pid = os.fork()
        if pid == 0:
            asyncio.run(main(home))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return 1
    return 1


if __name__ == "__main__":
    sys.exit(live_again_and_again(Path(sys.argv[1])))
