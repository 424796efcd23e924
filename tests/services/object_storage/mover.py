"""Takes an instance from plan to plan on the machines of a small lab, without procedures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from activities.data import Answer, answers_of
from freehold.lab.client import CountingClient, Load
from freehold.models.change import Change, Round, WaypointRef
from freehold.models.plan import Plan
from freehold.models.request import ScaleRequest
from freehold.models.server import ServerIntent
from freehold.planning.change import plan_change
from freehold.planning.snapshot import InventorySnapshot
from freehold.services.base import Errand, Waypoint
from tests.services.object_storage.conftest import CUSTOMER_HOST, Bench, storage_bench

SERVERS = tuple(f"srv-{n}" for n in range(1, 8))
ROUNDS = 30


class Mover:
    """Takes the instance of a bench from plan to plan."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.client: CountingClient | None = None

    @property
    def plan(self) -> Plan:
        return self.bench.plan

    def wanted(self, **asked: Any) -> Change:
        service, before = self.bench.service, self.plan
        request = ScaleRequest(instance=before.instance, requested_by="eve", **asked).applied_to(before.request)
        service.check_change(before.request, request)
        snapshot = InventorySnapshot.of(self.bench.lab.hall).holding(before.instance, before.holds)
        after = plan_change(before, request, service.needs(request), snapshot, "scale-up")
        return Change(before=before, after=service.evolve(before, after))

    def begin(self, change: Change) -> None:
        self.bench.plan = change.after
        self.bench.open_ports()

    def settle(self, change: Change) -> None:
        """The servers that left are wiped."""
        for server in change.leaving.servers:
            with self.bench.session(server.server) as session:
                session.remove(self.bench.service.stages(change.before)[-1].intents[0].model_copy(
                    update={"server": server.server}
                ))  # fmt: skip
                for disk in server.disks:
                    assert session.erase(disk).clean

    def go(self, change: Change, waypoints: Sequence[Waypoint], *, back: bool = False, reached: str = "") -> None:
        for waypoint in waypoints:
            self.reach(change, waypoint, WaypointRef(
                instance=change.instance, waypoint=waypoint.name, back=back, reached=reached
            ))  # fmt: skip

    def reach(self, change: Change, waypoint: Waypoint, ref: WaypointRef) -> Round | None:
        if self.client:
            self.client.phase(f"{'back: ' if ref.back else ''}{waypoint.name}")
        begin = time.monotonic()
        if waypoint.rolling:
            for intent in waypoint.intents:
                self.configure(intent)
        else:
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(self.configure, waypoint.intents))
        configured = time.monotonic()
        found = None
        for number in range(ROUNDS if waypoint.errands() else 0):
            found = self.bench.service.judge(change, ref, self.answers(waypoint))
            print(f"{waypoint.name}: round {number + 1}: {found.words}", flush=True)
            if found.done:
                break
        assert found is None or found.done, found
        print(f"{waypoint.name}: {configured - begin:.1f} s + {time.monotonic() - configured:.1f} s", flush=True)
        return found

    def configure(self, intent: ServerIntent) -> None:
        with self.bench.session(intent.server) as server:
            server.apply(intent)

    def answers(self, waypoint: Waypoint) -> Mapping[str, Answer]:
        def run(errand: Errand) -> tuple[str, Answer]:
            with self.bench.session(errand.server) as server:
                return errand.server, server.run(errand.script, errand.given, errand.timeout_s)

        return answers_of(waypoint.errands(), run)

    def changed(self, **asked: Any) -> Change:
        change = self.wanted(**asked)
        self.begin(change)
        self.go(change, self.bench.service.path(change.before, change.after))
        self.settle(change)
        return change

    def counting(self, load: Load) -> CountingClient:
        credentials = self.bench.service.credentials(self.plan)
        return CountingClient(self.bench.access(CUSTOMER_HOST), self.bench.secrets, credentials, load)


@contextmanager
def moving(name: str, management: str, folder: Path) -> Iterator[Mover]:
    """A compact instance in a lab of its own, and servers for what it becomes."""
    with storage_bench(name, management, folder, (*SERVERS, CUSTOMER_HOST)) as bench:
        mover = Mover(bench)
        for stage in bench.service.stages(bench.plan):
            mover.configure(stage.intents[0])
        yield mover
