"""An instance changes on real machines while customers use it: every waypoint reached and proven, there and back.

The tests tell one story and run in the order of the file. Procedures are not in it: what orders the work is the test.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from freehold.devices.real import RealDevices
from freehold.inventory.handover import load_host_keys
from freehold.lab.client import QUIET, CountingClient, Load
from freehold.lab.testing import small_lab
from freehold.models.change import Change, Round, WaypointRef
from freehold.models.plan import Plan
from freehold.models.request import ScaleRequest
from freehold.models.server import ServerIntent
from freehold.planning.change import plan_change
from freehold.planning.snapshot import InventorySnapshot
from freehold.secrets import FileSecrets
from freehold.services.base import Service, Waypoint
from tests.services.object_storage.conftest import CUSTOMER_HOST, Bench, make_plan

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("FREEHOLD_LIFE" not in os.environ, reason="it needs a computer for itself: `make life`"),
]

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
        for number in range(ROUNDS if waypoint.errands else 0):
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

    def answers(self, waypoint: Waypoint) -> dict[str, dict[str, Any]]:
        def run(errand: Any) -> tuple[str, dict[str, Any]]:
            with self.bench.session(errand.server) as server:
                return errand.server, server.run(errand.script, errand.given, errand.timeout_s)

        with ThreadPoolExecutor(16) as pool:
            return dict(pool.map(run, waypoint.errands))


@pytest.fixture(scope="module")
def mover(tmp_path_factory: pytest.TempPathFactory, storage: Service) -> Iterator[Mover]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    folder = tmp_path_factory.mktemp("change")
    with small_lab("change", "198.18.47.0/24", ["leaf1", "leaf2", *SERVERS, CUSTOMER_HOST]) as lab:
        secrets = FileSecrets(folder / "secrets")
        secrets.put("devices/ssh-key", (lab.handover / "id_ed25519").read_text())
        keys = load_host_keys(lab.handover / "known_hosts", lab.hall)
        bench = Bench(lab, make_plan(lab.hall), storage, secrets, RealDevices(secrets), keys)
        bench.make_secrets()
        bench.open_ports()
        mover = Mover(bench)
        for stage in storage.stages(bench.plan):
            mover.configure(stage.intents[0])
        access, credentials = bench.access(CUSTOMER_HOST), storage.credentials(bench.plan)
        with CountingClient(access, secrets, credentials, Load(requests_per_s=4)) as client:
            mover.client = client
            client.phase(QUIET)
            time.sleep(20)
            yield mover


def changed(mover: Mover, **asked: Any) -> Change:
    change = mover.wanted(**asked)
    mover.begin(change)
    mover.go(change, mover.bench.service.path(change.before, change.after))
    mover.settle(change)
    return change


def test_one_server_becomes_five(mover: Mover) -> None:
    changed(mover, tier="distributed")


def test_one_storage_server_more(mover: Mover) -> None:
    changed(mover, storage_servers=4)


def test_a_feature_is_switched_on(mover: Mover) -> None:
    changed(mover, features=("versioning",))


def test_one_storage_server_less(mover: Mover) -> None:
    changed(mover, storage_servers=3)


def test_five_servers_become_one(mover: Mover) -> None:
    changed(mover, tier="compact", features=())


def test_customers_noticed_nothing(mover: Mover) -> None:
    assert mover.client
    mover.client.phase("after")
    time.sleep(10)
    result = mover.client.stop()
    print(json.dumps(result.model_dump(exclude={"phases"}), indent=1))
    for phase in result.phases:
        wrong = {what: count for what, count in phase.wrong.items() if count}
        print(
            f"{phase.name:30} {phase.seconds:6.1f} s {phase.requests:5} requests, p99 {phase.p99_ms} "
            f"({phase.p99_ratio}), cpu {phase.cpu:.2f}, wrong {wrong}"
        )
    wrong = {what: count for what, count in result.wrong.items() if count}
    # The two cores carry this data centre, its customer and perhaps other tests: a time-out is not the service's.
    assert wrong.keys() <= {"failed"}, result.findings
    assert result.failed <= result.requests / 200, result.findings
