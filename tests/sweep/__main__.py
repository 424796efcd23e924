"""Every step of a provisioning disturbed, in the real lab: `python -m tests.sweep [--json] [--only ACTIVITY ...]`.

Abort: after its effect, each activity is made to fail for good and the run is aborted; the inventory, the switches
and the servers must be as they were before. Kill: between effect and answer of each activity the worker, or the
Temporal server, gets a SIGKILL; the run must end active in the same state as an undisturbed one. Takes a while.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from activities.servers import compare
from freehold.devices.real import RealDevices
from freehold.inventory import Inventory
from freehold.lab import Lab, fleet
from freehold.lab.halls import rebase
from freehold.logs import configure_logs
from freehold.models.hall import DeviceKind, load_hall
from freehold.models.procedure import Outcome
from freehold.models.request import DecommissionRequest, InstanceRequest
from freehold.models.server import ServerSnapshot
from freehold.secrets import FileSecrets
from freehold.settings import LogLevel, Settings, load_settings
from freehold.stack import control
from freehold.stack.client import connect
from freehold.stack.ports import free_ports
from tests.workflows.rig import ROOT, until_waiting, view

LAB, MANAGEMENT = "sweep", IPv4Network("198.18.56.0/24")
INSTANCE, CUSTOMER, SITE = "acme-1", "acme", "north"
WITHIN_S = 400

PARKING = (
    "preview_switch",
    "preview_server",
    "keep_plan",
    "keep_evidence",
    "verify_cables",
    "hand_in",
    "apply_changes",
    "issue_secrets",
    "apply_stage",
    "watch",
    "probe",
    "set_state",
)
"""Activities of `ProvisionInstance` whose failure parks the run, in their order."""
ALL = ("take_lease", "place", *PARKING, "drop_lease")
TEMPORAL_DIES_AT = ("place", "apply_changes", "apply_stage", "probe")


@dataclass
class Row:
    disturbance: str
    at: str
    outcome: str
    differs: tuple[str, ...]
    seconds: float

    @property
    def good(self) -> bool:
        return not self.differs


@dataclass
class Provider:
    """A provider in the lab, with the stack that `freehold up` starts and a worker that takes orders."""

    settings: Settings
    lab: Lab
    inventory: Inventory
    secrets: FileSecrets
    client: Client
    rows: list[Row] = field(default_factory=list)

    def order(self, what: str, *activities: str) -> None:
        for name in activities:
            (self.settings.home / "orders" / name).write_text(what)

    def unused_orders(self) -> list[str]:
        return sorted(path.name for path in (self.settings.home / "orders").iterdir())

    async def provision(self) -> WorkflowHandle[Any, Outcome]:
        request = InstanceRequest(instance=INSTANCE, customer=CUSTOMER, site=SITE, requested_by="olivia")
        return await self._start("ProvisionInstance", request)

    async def decommission(self) -> None:
        handle = await self._start(
            "DecommissionInstance", DecommissionRequest(instance=INSTANCE, requested_by="olivia")
        )
        await self._approved(handle)

    async def provisioned(self) -> str:
        return (await self._approved(await self.provision())).outcome

    async def _start(self, kind: str, given: Any) -> WorkflowHandle[Any, Outcome]:
        name = f"{kind}-{INSTANCE}"
        queue = self.settings.task_queue
        return await self.client.start_workflow(kind, given, id=name, task_queue=queue, result_type=Outcome)

    async def _approved(self, handle: WorkflowHandle[Any, Outcome]) -> Outcome:
        async with asyncio.timeout(WITHIN_S):
            await persistent(lambda: until_waiting(handle, within_s=WITHIN_S))
            await persistent(lambda: handle.execute_update("approve", {"operator": "amir"}))
            return await handle.result()

    def state(self) -> dict[str, Any]:
        """All that an undo must bring back: what is kept, and what every switch and server says of itself."""
        devices = RealDevices(self.secrets)
        seen: dict[str, Any] = {"inventory": self.inventory.fingerprint(), "secrets": self.secrets.names("instances/")}
        for device in self.lab.hall.devices:
            if device.site != SITE or not device.powered:
                continue
            if device.kind is DeviceKind.SWITCH:
                with devices.switch(self.inventory.access(device.name)) as switch:
                    seen[device.name] = switch.read()
            elif device.kind is DeviceKind.SERVER:
                with devices.server(self.inventory.access(device.name)) as server:
                    seen[device.name] = server.snapshot()
        return seen

    def end_state(self) -> dict[str, Any]:
        """The state without what differs from instance to instance: contents that hold new secrets, and times."""
        seen = {name: _without_contents(value) for name, value in self.state().items()}
        return {**seen, "inventory": self.inventory.holds(INSTANCE)}


def _without_contents(value: Any) -> Any:
    if not isinstance(value, ServerSnapshot):
        return value
    files = {path: what.partition(" ")[2] for path, what in value.files.items()}
    return value.model_copy(update={"files": files, "disks": {disk: bool(v) for disk, v in value.disks.items()}})


def differences(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Names of what differs; of a server also in which respect."""
    found = []
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name), after.get(name)
        if isinstance(one, ServerSnapshot) and isinstance(two, ServerSnapshot):
            found += [f"{name} {words}" for words in compare(one, two)]
        elif one != two:
            found.append(name)
    return tuple(found)


async def persistent(work: Callable[[], Awaitable[Any]]) -> Any:
    """Ask again while the server or the worker is being started again."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await work()
            except (RuntimeError, OSError, AssertionError):
                await asyncio.sleep(1)


async def abort_at(provider: Provider, activity: str, before: dict[str, Any]) -> Row:
    began = time.monotonic()
    provider.order("fail", activity)
    handle = await provider.provision()
    async with asyncio.timeout(WITHIN_S):
        while (seen := await view(handle)).waiting is None or seen.waiting.kind == "approval":
            if seen.waiting is not None:
                await handle.signal("approve", {"operator": "amir"})  # repeats do no harm
            if seen.outcome:
                break
            await asyncio.sleep(0.3)
        else:
            await handle.execute_update("abort", {"operator": "olivia"})
        outcome = (await handle.result()).outcome
    differs = differences(before, await asyncio.to_thread(provider.state))
    if outcome != "aborted" or provider.unused_orders():
        differs = (*differs, f"outcome {outcome}, orders left {provider.unused_orders()}")
    return Row("abort", activity, outcome, differs, round(time.monotonic() - began, 1))


async def kill_at(provider: Provider, what: str, activities: tuple[str, ...], wanted: dict[str, Any]) -> Row:
    """One run in which the worker, or the server, dies at each of these."""
    began = time.monotonic()
    program = None if what == "worker" else await asyncio.to_thread(_pid, provider.settings, "temporal")
    provider.order("kill" if program is None else str(program), *activities)
    outcome = await provider.provisioned()
    differs = differences(wanted, await asyncio.to_thread(provider.end_state))
    if outcome != "active" or provider.unused_orders():
        differs = (*differs, f"outcome {outcome}, orders left {provider.unused_orders()}")
    await provider.decommission()
    return Row(f"kill {what}", " ".join(activities), outcome, differs, round(time.monotonic() - began, 1))


def _pid(settings: Settings, name: str) -> int:
    found = next(p.pid for p in control.status(settings).programs if p.name == name)
    assert found is not None
    return found


async def sweep(provider: Provider, only: tuple[str, ...]) -> list[Row]:
    rows: list[Row] = []

    def done(row: Row) -> None:
        rows.append(row)
        print(
            f"{row.disturbance:14}{row.at[:40]:42}{row.outcome:10}{row.seconds:>7} s  {'; '.join(row.differs) or 'ok'}"
        )
        sys.stdout.flush()

    before = await asyncio.to_thread(provider.state)
    for activity in only or PARKING:
        if activity in PARKING:
            done(await abort_at(provider, activity, before))
    assert await provider.provisioned() == "active"
    wanted = await asyncio.to_thread(provider.end_state)
    await provider.decommission()
    for activity in only or ALL:
        done(await kill_at(provider, "worker", (activity,), wanted))
    for activity in only or TEMPORAL_DIES_AT:
        if activity in TEMPORAL_DIES_AT:
            done(await kill_at(provider, "temporal", (activity,), wanted))
    end = differences(before, await asyncio.to_thread(provider.state))
    done(Row("afterwards", "all of it given back", "", end, 0))
    return rows


async def play(settings: Settings, lab: Lab, only: tuple[str, ...]) -> list[Row]:
    client = await connect(settings, "sweep")
    inventory = Inventory(settings.database_url)
    try:
        return await sweep(Provider(settings, lab, inventory, FileSecrets(settings.secrets_file), client), only)
    finally:
        inventory.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="write the result to this file, as JSON")
    parser.add_argument("--only", nargs="*", default=(), choices=ALL, help="these activities instead of all")
    given = parser.parse_args()
    configure_logs(LogLevel.error)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # clean up then, too
    fleet.take_down_named(LAB)
    with tempfile.TemporaryDirectory(prefix="freehold-sweep-") as folder:
        names = [f"{n}_port" for n in ("temporal", "temporal_ui", "temporal_http", "temporal_metrics")]
        names += ["worker_metrics_port", "prometheus_port"]
        ports: dict[str, Any] = dict(zip(names, free_ports(len(names)), strict=True))
        settings = load_settings(home=Path(folder), worker_module="tests.sweep.worker", **ports)
        (settings.home / "orders").mkdir()
        lab = Lab(rebase(load_hall(ROOT / "halls" / "lab.yaml"), MANAGEMENT), LAB)
        fleet.own(lab.state)  # if this process is killed, the next lab removes it
        try:
            lab.up()
            inventory = Inventory(settings.database_url)
            inventory.import_bundle(lab.handover, FileSecrets(settings.secrets_file))
            inventory.close()
            control.up(settings, lambda _: None)
            rows = asyncio.run(play(settings, lab, tuple(given.only)))
        finally:
            control.down(settings, lambda _: None)
            left = lab.down()
    if left:
        print(f"the lab left behind: {', '.join(left)}")
    if given.json:
        given.json.write_text(json.dumps({"rows": [asdict(row) for row in rows], "good": all(r.good for r in rows)}))
    bad = sum(not row.good for row in rows)
    print(f"{len(rows)} disturbances, {bad or 'none'} with a difference")
    return 1 if bad or left else 0


if __name__ == "__main__":
    sys.exit(main())
