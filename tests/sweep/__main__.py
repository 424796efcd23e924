"""A fault at every activity of a provisioning and a decommissioning, in the real lab: `python -m tests.sweep`.

A fault strikes between an activity's effect and its answer: the activity fails for good, or the worker, or the
Temporal server, gets a SIGKILL. Whatever comes, in the end the inventory, the secrets, the switches and the servers
are as before, or as after an undisturbed run. `--minutes N` stops after about that time, `--resume` goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from freehold.lab import Lab
from freehold.lab.halls import part, rebase
from freehold.lab.testing import HALL
from freehold.logs import configure_logs
from freehold.models.hall import load_hall
from freehold.models.procedure import Outcome
from freehold.models.request import DecommissionRequest, InstanceRequest
from freehold.settings import LogLevel, Settings
from tests.sweep import states
from tests.sweep.acts import DECOMMISSION, DECOMMISSIONED, PROVISION, PROVISIONED, Act
from tests.sweep.provider import CUSTOMER, INSTANCE, SITE, WITHIN_S, Provider, provider, standing
from tests.sweep.result import Result, Row
from tests.workflows.rig import view

LAB, MANAGEMENT = "sweep", IPv4Network("198.18.56.0/24")
DEVICES = ("leaf1", "leaf2", "srv-1", "srv-2", "acme-host", "beta-host")
REQUESTS = {
    PROVISION: InstanceRequest(instance=INSTANCE, customer=CUSTOMER, site=SITE, requested_by="olivia"),
    DECOMMISSION: DecommissionRequest(instance=INSTANCE, requested_by="olivia"),
}


async def sweep(settings: Settings, lab: Lab, result: Result, until: float) -> None:
    """Go through the lives that are missing until the time is over, or a procedure does not end as it must."""
    there = await provider(settings, lab)
    before = await asyncio.to_thread(states.fresh, there)
    assert await ended(there, PROVISIONED) == PROVISIONED.ends
    active = await asyncio.to_thread(states.active, there)
    assert await ended(there, DECOMMISSIONED) == DECOMMISSIONED.ends
    for life in result.missing():
        if time.monotonic() > until:
            print("The time is over; `--resume` goes on from here.")
            break
        for act in life:
            result.keep(row := await played(there, act, before, active))
            if row.ended != act.ends:
                return
    there.inventory.close()


async def played(there: Provider, act: Act, before: states.State, active: states.State) -> Row:
    began = time.monotonic()
    try:
        end = await ended(there, act)
    except (TimeoutError, AssertionError) as error:
        end = f"stands still: {error}"
    seconds = round(time.monotonic() - began, 1)
    wanted, look = (active, states.active) if act.leaves_it_active else (before, states.fresh)
    differs = states.differences(wanted, await asyncio.to_thread(look, there))
    unused = tuple(f"order for {name} was not used" for name in there.unused_orders())
    return Row(act, end, (*differs, *unused), seconds)


async def ended(there: Provider, act: Act) -> str:
    """How a procedure ends that goes through the act."""
    for activity, order in act.orders.items():
        there.order(str(there.process("temporal")) if order == "kill temporal" else order, activity)
    handle = await there.start(act.procedure, REQUESTS[act.procedure])
    async with asyncio.timeout(WITHIN_S):
        while not (outcome := await answered(handle, act)):
            await asyncio.sleep(0.5)
        with suppress(WorkflowFailureError):  # of a refused one
            await handle.result()
    return outcome


async def answered(handle: WorkflowHandle[Any, Outcome], act: Act) -> str:
    """Say what it waits for; repeats do no harm. Its outcome, when it has one."""
    with suppress(RPCError):  # the server or the worker is being started again
        seen = await view(handle)
        if seen.waiting is not None and not seen.outcome:
            assert seen.waiting.kind in act.fault.answers, seen.waiting.reason
            word = act.fault.answers[seen.waiting.kind]
            await handle.signal(word, {"operator": "amir" if word == "approve" else "olivia"})
        return seen.outcome
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--resume", action="store_true", help="leave out what went well in the kept result")
    parser.add_argument("--minutes", type=float, default=240, help="begin nothing new after this time")
    given = parser.parse_args()
    until = time.monotonic() + 60 * given.minutes
    configure_logs(LogLevel.error)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up then, too
    result = Result.load() if given.resume else Result()
    with standing(part(rebase(load_hall(HALL), MANAGEMENT), DEVICES), LAB) as (settings, lab):
        asyncio.run(sweep(settings, lab, result, until))
    left = len(result.missing())
    print(f"{left} lives of an instance are still to be gone through" if left else "Everything is as it must be.")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
