"""How much provisioning costs above the engine: 200 instances at once, against workflows of as many empty activities.

    python -m benchmarks.provisioning [--json] [--instances 200]

Both run on one Temporal server of their own, one after the other, in this one process: every workflow with as many
activities as provisioning an instance takes, one worker each with the same options. Devices exist only as data, and
policy waives the approvals; all else is what `freehold up` runs. The ratio is that of activities per second. Activities
of switch sessions count with those of the instances that they serve. Processor time per activity, of this process
(workers and client) and of the server, tells where time goes and depends less on what else the computer does.
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

import psutil
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
from workers.sandbox import sandbox
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
    worker_cpu_s: float
    """Processor time of this process: workers and client."""
    server_cpu_s: float
    """Processor time of the Temporal server."""
    events: float
    """In the history of one workflow, on average; switch sessions are counted for those they serve."""
    history_kib: float

    @property
    def rate(self) -> float:
        return self.activities / self.seconds

    def each(self) -> dict[str, float]:
        """What hardly depends on what else the computer does: processor time of one activity."""
        return {
            "activities_per_s": round(self.rate, 1),
            "worker_ms": round(1000 * self.worker_cpu_s / self.activities, 1),
            "server_ms": round(1000 * self.server_cpu_s / self.activities, 1),
        }


class Meter:
    """What was spent since it was made: time, and processor time here and in the server."""

    def __init__(self, server: TemporalServer) -> None:
        self._processes = (psutil.Process(), psutil.Process(server.pid))
        self._began = self._now()

    def spent(self) -> tuple[float, float, float]:
        seconds, here, there = (now - began for now, began in zip(self._now(), self._began, strict=True))
        return seconds, here, there

    def _now(self) -> tuple[float, ...]:
        return time.perf_counter(), *(sum(process.cpu_times()[:2]) for process in self._processes)


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


async def provision(server: TemporalServer, home: Path, instances: int) -> tuple[Row, Counter[str]]:
    client, counts = await server.client(), Counts()
    worker = {"interceptors": [Around(), counts]}
    async with running_rig(client, home, hall(instances), worker=worker, approval={"waive_installed": True}) as rig:
        names = [(f"instance-{n}", f"customer-{n % CUSTOMERS}") for n in range(instances)]
        meter = Meter(server)
        handles = await asyncio.gather(
            *(
                rig.start("ProvisionInstance", f"provision-{name}", request(name, customer=customer))
                for name, customer in names
            )
        )
        ended = await asyncio.gather(*(handle.result() for handle in handles))
        spent = meter.spent()
        bad = [e for e in ended if e.outcome != "active"]
        if bad:
            raise SystemExit(f"{len(bad)} instances did not become active, for one: {bad[0]}")
        _nobody_shares(rig.inventory)
        row = await _row(client, rig.parts.settings.task_queue, "ProvisionInstance", instances, counts, spent)
        return row, counts.done


async def do_nothing(server: TemporalServer, instances: int, activities: int) -> Row:
    """As many workflows with as many activities in all: what does not divide evenly goes to the first ones."""
    each, more = divmod(activities, instances)
    client, counts = await server.client(), Counts()
    with ThreadPoolExecutor(THREADS) as threads:
        async with Worker(
            client,
            task_queue="nothings",
            workflows=[Nothings],
            activities=[nothing],
            activity_executor=threads,
            interceptors=[counts],
            **{**OPTIONS, "workflow_runner": sandbox("benchmarks")},
        ):
            meter = Meter(server)
            handles = await asyncio.gather(
                *(
                    client.start_workflow(Nothings.run, each + (n < more), id=f"nothings-{n}", task_queue="nothings")
                    for n in range(instances)
                )
            )
            await asyncio.gather(*(handle.result() for handle in handles))
            spent = meter.spent()
    return await _row(client, "nothings", "Nothings", instances, counts, spent)


async def _row(
    client: Client, queue: str, what: str, workflows: int, counts: Counts, spent: tuple[float, float, float]
) -> Row:
    seconds, worker_cpu, server_cpu = spent
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
        worker_cpu_s=round(worker_cpu, 2),
        server_cpu_s=round(server_cpu, 2),
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
    load = os.getloadavg()[0]
    work, names = await provision(server, home, instances)
    empty = await do_nothing(server, instances, work.activities)
    return {
        "rows": [asdict(row) | row.each() for row in (work, empty)],
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
        print(f"{'':18}{'activities':>11}{'seconds':>9}{'per s':>7}{'worker':>8}{'server':>8}{'events':>8}{'KiB':>7}")
        for row in result["rows"]:
            print(
                f"{row['what']:18}{row['activities']:>11}{row['seconds']:>9}{row['activities_per_s']:>7}"
                f"{row['worker_ms']:>8}{row['server_ms']:>8}{row['events']:>8}{row['history_kib']:>7}"
            )
        print("worker, server: milliseconds of processor time per activity; events, KiB: history of one workflow")
        print(f"ratio {result['ratio']} (goal {GOAL}: {'reached' if result['goal_reached'] else 'MISSED'}), ", end="")
        print(f"load before {result['load_before']}")
    return 0 if result["goal_reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
