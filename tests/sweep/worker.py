"""The worker of `freehold up`, disturbed on order between an activity's effect and its answer.

An order is a file `orders/<activity>` in the home; it is used up before it is carried out. It says `kill` (the
worker kills itself), `fail` (the activity fails for good), or the id of a process to kill. A killed worker is followed
at once by the next, and missed after seconds: it is not the supervisor's patience that is tried.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
)

from freehold.services import load_all
from freehold.settings import load_settings
from workers import main, wiring
from workers.interceptor import Around
from workflows import policies

BEAT_S, MISSED_AFTER_S = 1, 5


class Disturbs(Interceptor):
    def __init__(self, orders: Path) -> None:
        self.orders = orders

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        orders = self.orders

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                result = await super().execute_activity(input)
                name = input.fn.__name__
                _carry_out(orders / name, name)
                return result

        return Inbound(next)


def _carry_out(file: Path, name: str) -> None:
    try:
        order = file.read_text()
        file.unlink()
    except FileNotFoundError:
        return
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "fail":
        raise ApplicationError(f"{name} was made to fail", type="MadeToFail", non_retryable=True)
    os.kill(int(order), signal.SIGKILL)


def disturbed(client: Client, parts: wiring.Parts) -> Worker:
    orders = load_settings().home / "orders"
    return wiring.make_worker(
        client,
        parts,
        interceptors=[Disturbs(orders), Around(beat_s=BEAT_S)],
        workflow_runner=UnsandboxedWorkflowRunner(),  # a sandbox would read the policies anew
    )


def live_again_and_again() -> int:
    """Each life is a fork of one process that has everything imported. Ends with one that ends by itself."""
    load_all()
    while True:
        life = os.fork()
        if life == 0:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)
            main.main()
            os._exit(0)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda given, _, life=life: os.kill(life, given))  # type: ignore[misc]
        _, status = os.waitpid(life, 0)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    for policy in (policies.QUICK, policies.DEVICE, policies.LONG):
        policy["heartbeat_timeout"] = timedelta(seconds=MISSED_AFTER_S)
    main.make_worker = disturbed  # type: ignore[attr-defined, assignment]  # all else is what the product runs
    sys.exit(live_again_and_again())
