"""How much provisioning costs above the engine: 200 instances at once, against workflows of as many empty activities.

    python -m benchmarks.provisioning [--json] [--instances 200]

Both run on one Temporal server of their own, one after the other, in this one process: every workflow with as many
activities as provisioning an instance takes, one worker each with the same options. Devices exist only as data, and
policy waives the approvals; all else is what `freehold up` runs. The ratio is that of activities per second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor, Worker

from benchmarks.nothings import Nothings, nothing
from freehold.inventory import Inventory
from freehold.models.hall import Hall
from tests.conftest import TemporalServer, running_temporal
from tests.halls import HallBuilder, request
from tests.workflows.rig import running_rig
from workers.interceptor import Around
from workers.wiring import OPTIONS, THREADS

GOAL = 0.8
CUSTOMERS = 10
SERVERS_A_RACK = 16


@dataclass(frozen=True)
class Row:
    what: str
    workflows: int
    activities: int
    seconds: float
    cpu_s: float
    """Processor time of this process: workers and client. The server's is not in it."""
    events: float
    """In the history of one workflow, on average; switch sessions are counted for those they serve."""
    history_kib: float

    @property
    def rate(self) -> float:
        return self.activities / self.seconds


class Counts(Interceptor):
    """Counts the activities that a worker finished, by name."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        done = self.done

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                result = await super().execute_activity(input)
                done[activity.info().activity_type] += 1
                return result

        return Inbound(next)


async def provision(client: Client, home: Path, instances: int) -> tuple[Row, Counter[str]]:
    counts = Counts()
    worker = {"interceptors": [Around(), counts]}
    async with running_rig(client, home, hall(instances), worker=worker, approval={"waive_installed": True}) as rig:
        names = [(f"instance-{n}", f"customer-{n % CUSTOMERS}") for n in range(instances)]
        began, cpu = time.perf_counter(), time.process_time()
        handles = await asyncio.gather(
            *(
                rig.start("ProvisionInstance", f"provision-{name}", request(name, customer=customer))
                for name, customer in names
            )
        )
        ended = await asyncio.gather(*(handle.result() for handle in handles))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        bad = [e for e in ended if e.outcome != "active"]
        if bad:
            raise SystemExit(f"{len(bad)} instances did not become active, for one: {bad[0]}")
        _nobody_shares(rig.inventory)
        row = await _row(client, rig.parts.settings.task_queue, "ProvisionInstance", instances, counts, seconds, cpu)
        return row, counts.done


async def do_nothing(client: Client, instances: int, activities: int) -> Row:
    """As many workflows with as many activities in all: what does not divide evenly goes to the first ones."""
    each, more = divmod(activities, instances)
    counts = Counts()
    with ThreadPoolExecutor(THREADS) as threads:
        async with Worker(
            client,
            task_queue="nothings",
            workflows=[Nothings],
            activities=[nothing],
            activity_executor=threads,
            interceptors=[counts],
            **OPTIONS,
        ):
            began, cpu = time.perf_counter(), time.process_time()
            handles = await asyncio.gather(
                *(
                    client.start_workflow(Nothings.run, each + (n < more), id=f"nothings-{n}", task_queue="nothings")
                    for n in range(instances)
                )
            )
            await asyncio.gather(*(handle.result() for handle in handles))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return await _row(client, "nothings", "Nothings", instances, counts, seconds, cpu)


async def _row(
    client: Client, queue: str, what: str, workflows: int, counts: Counts, seconds: float, cpu: float
) -> Row:
    events = size = 0
    async for run in client.list_workflows(f"TaskQueue = '{queue}'"):
        described = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
        events += described.raw_description.workflow_execution_info.history_length
        size += described.raw_description.workflow_execution_info.history_size_bytes
    return Row(
        what=what,
        workflows=workflows,
        activities=counts.done.total(),
        seconds=round(seconds, 2),
        cpu_s=round(cpu, 2),
        events=round(events / workflows, 1),
        history_kib=round(size / workflows / 1024, 1),
    )


def _nobody_shares(inventory: Inventory) -> None:
    """Two instances never hold one thing; the table's key says so too, so this is about the plans."""
    held: dict[tuple[str, str], str] = {}
    for instance in inventory.instances():
        for hold in instance.plan.holds:
            other = held.setdefault((hold.kind, hold.key), instance.name)
            if other != instance.name:
                raise SystemExit(f"{hold.kind} {hold.key} is in the plans of {other} and {instance.name}")


def hall(instances: int) -> Hall:
    """A server per instance and a few more, sixteen a rack; a leaf a rack on a tree of trunks; a host per customer."""
    racks = -(-instances // SERVERS_A_RACK) + 1
    customers = tuple(f"customer-{n}" for n in range(CUSTOMERS))
    addresses = 2 * -(-instances // CUSTOMERS) + 5  # of the endpoint and of the server behind it
    made = HallBuilder(customers=customers, vlans=(100, 4000), back_prefixes="10.64.0.0/10", endpoints=addresses)
    for rack in range(1, racks + 1):
        made.rack(f"r{rack}")
        made.switch(f"leaf{rack}", f"r{rack}")
        if rack > 1:
            made.trunk(f"leaf{max(1, rack // 4)}", f"leaf{rack}")
        for unit in range(1, SERVERS_A_RACK + 1):
            made.server(f"r{rack}-s{unit}", f"r{rack}", (f"leaf{rack}",) * 2, unit=unit)
    for n, customer in enumerate(customers):
        made.host(f"{customer}-host", customer, f"leaf{n % racks + 1}")
    return made.build()


async def measure(server: TemporalServer, home: Path, instances: int) -> dict[str, Any]:
    client = await server.client()
    load = os.getloadavg()[0]
    work, names = await provision(client, home, instances)
    empty = await do_nothing(client, instances, work.activities)
    return {
        "rows": [asdict(row) | {"activities_per_s": round(row.rate, 1)} for row in (work, empty)],
        "ratio": round(work.rate / empty.rate, 2),
        "goal": GOAL,
        "goal_reached": work.rate / empty.rate >= GOAL,
        "load_before": round(load, 2),
        "activities": dict(names.most_common()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--instances", type=int, default=200)
    given = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with (
        tempfile.TemporaryDirectory(prefix="freehold-benchmark-") as folder,
        running_temporal(Path(folder) / "temporal") as server,
    ):
        result = asyncio.run(measure(server, Path(folder) / "provider", given.instances))
    if given.json:
        print(json.dumps(result))
    else:
        print(
            f"{'':20}{'workflows':>10}{'activities':>11}{'seconds':>9}{'cpu s':>8}{'per s':>8}{'events':>8}{'KiB':>7}"
        )
        for row in result["rows"]:
            print(
                f"{row['what']:20}{row['workflows']:>10}{row['activities']:>11}{row['seconds']:>9}{row['cpu_s']:>8}"
                f"{row['activities_per_s']:>8}{row['events']:>8}{row['history_kib']:>7}"
            )
        print(f"ratio {result['ratio']} (goal {GOAL}: {'reached' if result['goal_reached'] else 'MISSED'}), ", end="")
        print(f"load before {result['load_before']}")
    return 0 if result["goal_reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
