"""The worker of `freehold up`, disturbed on order between an activity's effect and its answer.

An order is a file `orders/<activity>` in the home; it is used up before it is carried out. It says `kill` (the
worker kills itself), `fail` (the activity fails for good), or the id of a process to kill.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from freehold.settings import load_settings
from workers import main, wiring
from workers.interceptor import Around


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
    return wiring.make_worker(client, parts, interceptors=[Disturbs(orders), Around()])


if __name__ == "__main__":
    main.make_worker = disturbed  # type: ignore[attr-defined]  # all else is what the product runs
    main.main()
