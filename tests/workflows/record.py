"""Record histories of every workflow, for the replay tests: `python -m tests.workflows.record` (or only some: NAME...).

To be run when a release is made, or when a workflow was changed on purpose and nothing runs that began before.
Uses a Temporal server of its own, which is gone afterwards, and devices that exist only as data.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from freehold.lab.technician import Technician
from freehold.logs import configure_logs
from freehold.models.contents import ExportTarget
from freehold.models.evaluation import EvaluateRequest, Settled
from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange
from freehold.models.request import ScaleRequest
from freehold.models.scaling import Contract, Mode
from freehold.models.session import ChangeTicket, SessionState
from freehold.settings import LogLevel
from tests.conftest import running_temporal
from tests.metrics.server import fake_prometheus, usage
from tests.workflows import test_install_hardware as install
from tests.workflows import test_watch as watching
from tests.workflows.rig import Rig, running_rig, until_waiting, view
from tests.workflows.test_evaluate_scaling import keep_rules
from tests.workflows.test_faults import Fails
from tests.workflows.test_remove_hardware import removing
from tests.workflows.test_scaling_faults import FailsAt
from tests.workflows.test_technician import SimulatedInReach, to_the_end
from workers.interceptor import Around

HISTORIES = Path(__file__).parent / "histories"
Ended = WorkflowHandle[Any, Any]


async def active(rig: Rig) -> Ended:
    handle = await rig.provision()
    await rig.approved(handle)
    return handle


async def waived(rig: Rig) -> Ended:
    handle = await rig.provision()
    await handle.result()
    return handle


async def dry_run(rig: Rig) -> Ended:
    handle = await rig.provision(dry_run=True)
    await handle.result()
    return handle


async def refused(rig: Rig) -> Ended:
    handle = await rig.provision(customer="nobody")
    await _to_its_end(handle)
    return handle


async def rejected(rig: Rig) -> Ended:
    handle = await rig.provision()
    await until_waiting(handle)
    await handle.signal("reject", {"operator": "amir", "comment": "too dear"})
    await handle.result()
    return handle


async def cancelled(rig: Rig) -> Ended:
    handle = await rig.provision()
    await until_waiting(handle)
    await handle.cancel()
    await _to_its_end(handle)
    return handle


async def parked_and_retried(rig: Rig) -> Ended:
    handle = await _parked(rig)
    await handle.execute_update("retry", {"operator": "olivia"})
    await handle.result()
    return handle


async def aborted(rig: Rig) -> Ended:
    handle = await _parked(rig)
    await handle.signal("approve", {"operator": "amir"})  # too late: recorded, and without effect
    await handle.execute_update("abort", {"operator": "olivia"})
    await handle.result()
    return handle


async def decommissioned(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    handle = await rig.decommission()
    await rig.approved(handle)
    return handle


async def exported(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    handle = await rig.decommission(export=ExportTarget(host="acme-host", folder="/srv/export"))
    await rig.approved(handle)
    return handle


async def kept(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    handle = await rig.decommission()
    await until_waiting(handle)
    await handle.execute_update("reject", {"operator": "amir"})
    await handle.result()
    return handle


async def continued_session(rig: Rig) -> Ended:
    """The first run of a session that began anew after two batches."""
    state = SessionState(switch="leaf1", batches_per_run=2)
    handle = await rig.start("SwitchSession", "switch-leaf1", state)
    for number in (1, 2, 3):
        config = PortConfig(mode=PortMode.ACCESS, vlan=300 + number)
        change = SwitchChange(switch="leaf1", ports=(PortChange(port="swp20", config=config),))
        ticket = ChangeTicket(caller="nobody/1", number=number, reply_to="nobody", change=change)
        await handle.signal("change", ticket)
        await handle.signal("change", ticket)  # a repeat, and it is harmless
        await _answered(rig, number)
    return rig.client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)


async def running_session(rig: Rig) -> Ended:
    """The second run of the same session."""
    await continued_session(rig)
    return rig.client.get_workflow_handle("switch-leaf1")


async def installed(rig: Rig) -> Ended:
    """Technicians forget a cable at first."""
    parent, child = await install.installing(rig)
    *most, forgotten = install.cables(install.checklist(await view(child)))
    for item in most:
        install.plug(rig, install.cable_of(item))
    rig.devices.power(install.SPARE)
    await install.say(child, "all")
    await install.checked(child, lambda c: any(i.issue > 1 for i in c.open()))
    install.plug(rig, install.cable_of(forgotten))
    await install.say(child, "all")
    await parent.result()
    return child


async def installed_for(rig: Rig) -> Ended:
    await installed(rig)
    return rig.client.get_workflow_handle("provision-acme-1")


async def watch_finds_nothing(rig: Rig) -> Ended:
    await active(rig)
    handle = await watching.start(rig)
    await handle.result()
    return handle


async def watch_closes_and_opens(rig: Rig) -> Ended:
    for name in ("acme-1", "beta-1"):
        await rig.approved(await rig.provision(name))
    mine, theirs = watching.first(rig), watching.first(rig, "beta-1")
    watching.move_into(rig, mine, theirs)
    handle = await watching.start(rig, every_s=3600)
    await until_waiting(handle, "checklist")
    watching.put_right(rig, theirs, mine)
    await handle.execute_update("retry", {"operator": "olivia"})
    await handle.result()
    return handle


async def scaled_up(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    handle = await rig.scale_up(tier="distributed")
    await rig.approved(handle)
    return handle


async def scaling_planned(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    handle = await rig.scale_up(tier="distributed", dry_run=True)
    await handle.result()
    return handle


async def came_back(rig: Rig) -> Ended:
    """Aborted when servers were being drained."""
    await rig.approved(await rig.provision())
    handle = await rig.scale_up(tier="distributed")
    await rig.parked(handle)
    await handle.execute_update("abort", {"operator": "olivia"})
    await handle.result()
    return handle


async def scaled_down(rig: Rig) -> Ended:
    await scaled_up(rig)
    handle = await rig.scale_down(tier="compact")
    await rig.approved(handle)
    return handle


async def consolidated(rig: Rig) -> Ended:
    await scaled_up(rig)
    storage = [s.server for s in rig.inventory.instance("acme-1").plan.servers if "storage" in s.roles]
    handle = await rig.consolidate(storage[0])
    await rig.approved(handle)
    return handle


async def given_up(rig: Rig) -> Ended:
    """A server that died."""
    await scaled_up(rig)
    storage = [s.server for s in rig.inventory.instance("acme-1").plan.servers if "storage" in s.roles]
    rig.devices.power(storage[0], on=False)
    handle = await rig.consolidate(storage[0], dead=True)
    await rig.approved(handle)
    return handle


async def replanned(rig: Rig) -> Ended:
    """A port turns out to be broken; the changed plan is approved, too."""
    parent, child = await install.installing(rig)
    await to_the_end(child, Technician(SimulatedInReach(rig.devices), broken=["leaf1/swp1"]))
    await rig.approved(parent)
    return child


async def replanned_for(rig: Rig) -> Ended:
    await replanned(rig)
    return rig.client.get_workflow_handle("provision-acme-1")


async def removed(rig: Rig) -> Ended:
    """What was installed goes back to the storeroom."""
    _, child = await install.installing(rig)
    hands = Technician(SimulatedInReach(rig.devices))
    await to_the_end(child, hands)
    await rig.client.get_workflow_handle("provision-acme-1").result()
    parent, child = await removing(rig)
    await to_the_end(child, hands)
    await parent.result()
    return child


async def removed_for(rig: Rig) -> Ended:
    await removed(rig)
    return rig.client.get_workflow_handle("decommission-acme-1")


async def evaluated(rig: Rig) -> Ended:
    """Nothing has a contract."""
    await rig.approved(await rig.provision())
    handle = await rig.start("EvaluateScaling", "evaluate-scaling", EvaluateRequest())
    await handle.result()
    return handle


async def scaling_started(rig: Rig) -> Ended:
    """One instance asks for more, and there are no metrics of the other."""
    for name in ("acme-1", "beta-1"):
        await rig.approved(await rig.provision(name))
        rig.inventory.set_contract(name, Contract(mode=Mode.APPROVE))
    handle = await rig.start("EvaluateScaling", "evaluate-scaling", EvaluateRequest())
    await handle.result()
    return handle


async def recommended(rig: Rig) -> Ended:
    await rig.approved(await rig.provision())
    rig.inventory.set_contract("acme-1", Contract(mode=Mode.RECOMMEND))
    await (await rig.start("EvaluateScaling", "evaluate-scaling", EvaluateRequest())).result()
    handle = rig.client.get_workflow_handle("recommend-scaling-acme-1")
    await until_waiting(handle, "recommendation")
    return handle


async def recommendation_accepted(rig: Rig) -> Ended:
    handle = await recommended(rig)
    await handle.execute_update("accept", {"operator": "olivia"})
    await handle.result()
    return handle


async def recommendation_dismissed(rig: Rig) -> Ended:
    handle = await recommended(rig)
    await handle.signal("dismiss", {"operator": "olivia"})
    await handle.result()
    return handle


async def recommendation_settled(rig: Rig) -> Ended:
    """Revised once, then not needed any more."""
    handle = await recommended(rig)
    wanted = ScaleRequest(instance="acme-1", capacity_gib=3, requested_by="evaluate-scaling")
    given = {"instance": "acme-1", "customer": "acme", "site": "north", "mode": Mode.RECOMMEND, "procedure": "ScaleUp"}
    await handle.signal("revise", {**given, "wanted": wanted.model_dump(mode="json")})
    await handle.signal("settle", Settled(instance="acme-1", words="its figures do not ask for it any more"))
    await handle.result()
    return handle


RECORDED: dict[str, tuple[Callable[[Rig], Awaitable[Ended]], dict[str, Any]]] = {
    "ProvisionInstance-active": (active, {}),
    "ProvisionInstance-waived": (waived, {"approval": {"waive_installed": True}}),
    "ProvisionInstance-dry-run": (dry_run, {}),
    "ProvisionInstance-refused": (refused, {}),
    "ProvisionInstance-rejected": (rejected, {}),
    "ProvisionInstance-cancelled": (cancelled, {}),
    "ProvisionInstance-parked-and-retried": (parked_and_retried, {}),
    "ProvisionInstance-aborted": (aborted, {}),
    "ProvisionInstance-installed": (installed_for, {"hall": install.storeroom_hall()}),
    "ScaleUp-active": (scaled_up, {}),
    "ScaleUp-dry-run": (scaling_planned, {}),
    "ScaleUp-came-back": (came_back, {}),
    "ScaleDown-active": (scaled_down, {}),
    "ConsolidateData-active": (consolidated, {}),
    "ConsolidateData-given-up": (given_up, {}),
    "InstallHardware-installed": (installed, {"hall": install.storeroom_hall()}),
    "InstallHardware-replanned": (replanned, {"hall": install.storeroom_hall()}),
    "ProvisionInstance-replanned": (replanned_for, {"hall": install.storeroom_hall()}),
    "RemoveHardware-removed": (removed, {"hall": install.storeroom_hall()}),
    "DecommissionInstance-returned": (removed_for, {"hall": install.storeroom_hall()}),
    "DecommissionInstance-gone": (decommissioned, {}),
    "DecommissionInstance-exported": (exported, {}),
    "DecommissionInstance-rejected": (kept, {}),
    "SwitchSession-continued": (continued_session, {}),
    "SwitchSession-running": (running_session, {}),
    "EvaluateScaling-nothing": (evaluated, {}),
    "EvaluateScaling-started": (scaling_started, {}),
    "RecommendScaling-accepted": (recommendation_accepted, {}),
    "RecommendScaling-dismissed": (recommendation_dismissed, {}),
    "RecommendScaling-settled": (recommendation_settled, {}),
    "WatchCables-nothing": (watch_finds_nothing, {}),
    "WatchCables-closed-and-opened": (watch_closes_and_opens, {}),
}


async def record(client: Client, home: Path, wanted: Collection[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    for name, (play, settings) in RECORDED.items():
        if wanted and name not in wanted:
            continue
        async with _rig(client, home / name, settings) as rig:
            history = await (await play(rig)).fetch_history()
        # One event a line: a change of one event is a change of one line.
        events = ",\n".join(
            json.dumps(event, sort_keys=True)
            for event in json.loads(history.to_json(), object_hook=_portable)["events"]
        )
        (HISTORIES / f"{name}.json").write_text(f'{{"events": [\n{events}\n]}}\n')
        print(f"{name}: {len(history.events)} events")


def _portable(part: dict[str, Any]) -> dict[str, Any]:
    """Stack traces name the folders of the machine that recorded; replaying needs none."""
    return {key: value for key, value in part.items() if key != "stackTrace"}


@asynccontextmanager
async def _rig(client: Client, home: Path, settings: dict[str, Any]) -> AsyncIterator[Rig]:
    fails = Fails(watch=1) if "parked" in home.name or "aborted" in home.name else Fails()
    stops = FailsAt("drain" if "came-back" in home.name else "")
    keep_rules(home)
    with fake_prometheus() as metrics:
        metrics.instances = {"acme-1": usage(0.9)}
        worker = {"interceptors": [Around(), fails, stops]}
        async with running_rig(client, home, worker=worker, prometheus_server=metrics.url, **settings) as rig:
            yield rig


async def _parked(rig: Rig) -> Ended:
    handle = await rig.provision()
    await rig.parked(handle)
    return handle


async def _to_its_end(handle: Ended) -> None:
    while (await handle.describe()).close_time is None:
        await asyncio.sleep(0.1)


async def _answered(rig: Rig, number: int) -> None:
    """Until the session has dealt with the ticket, in whichever run."""
    session = rig.client.get_workflow_handle("switch-leaf1")
    async with asyncio.timeout(30):
        while (await session.query("state", result_type=SessionState)).changes < number:
            await asyncio.sleep(0.1)


def main() -> None:
    configure_logs(LogLevel.error)

    async def all_of_them(home: Path) -> None:
        await record(await server.client("recorder"), home, sys.argv[1:])

    with tempfile.TemporaryDirectory() as folder, running_temporal(Path(folder) / "temporal") as server:
        asyncio.run(all_of_them(Path(folder)))


if __name__ == "__main__":
    main()
