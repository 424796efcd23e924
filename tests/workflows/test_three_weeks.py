"""A delivery takes three weeks: the run outlives its workers and its own code, and its history stays small.

On a real server, with days of a third of a second (its timers are no finer than a second): what waits is the same.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner
from temporalio.workflow import NondeterminismError

from freehold.devices.simulated import SimulatedDevices
from freehold.settings import load_settings
from freehold.stack.client import DATA
from tests.workflows.rig import Rig, end_all, keep_rule, make_parts, until_waiting
from tests.workflows.test_install_hardware import Handle, begun, cable_of, checked, checklist, say, storeroom_hall
from tests.workflows.test_notices import webhook
from workers import wiring
from workers.wiring import FAILING, WORKFLOWS, make_worker
from workflows import install_hardware, policies

pytestmark = pytest.mark.timeout(240)

DAYS = 21
DAY = timedelta(seconds=0.33)
NEW_CODE = {
    "hands = await self.steps.do(": "await workflow.sleep(0.1)  # in the middle of what old runs have behind them",
    'await self.steps.do("write down"': "await workflow.sleep(0.1)  # in what they have before them",
}


def next_version(*, guarded: bool) -> type:
    """`InstallHardware` as a later version of the code has it: with two more steps, for new runs only if `guarded`."""
    text = Path(install_hardware.__file__).read_text()
    for number, (line, added) in enumerate(NEW_CODE.items()):
        before, rest = text.split(f"        {line}", 1)
        condition = f'workflow.patched("step-{number}")' if guarded else "True"
        text = f"{before}        if {condition}:\n            {added}\n        {line}{rest}"
    module = ModuleType(f"install_hardware_{'guarded' if guarded else 'careless'}")
    sys.modules[module.__name__] = module
    exec(compile(text, module.__name__, "exec"), module.__dict__)
    made: type = module.InstallHardware
    return made


@asynccontextmanager
async def worker(rig: Rig, monkeypatch: pytest.MonkeyPatch, installing: type) -> AsyncIterator[None]:
    """One life of a worker, with this version of `InstallHardware`, that remembers nothing of an earlier life."""
    workflows = [installing if w.__name__ == "InstallHardware" else w for w in WORKFLOWS]
    monkeypatch.setattr(wiring, "WORKFLOWS", workflows)
    in_the_open = UnsandboxedWorkflowRunner()  # a sandbox would read the policies and the old code anew
    async with make_worker(rig.client, rig.parts, workflow_runner=in_the_open, max_cached_workflows=0):
        yield


async def test_three_weeks(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(policies, "CHECKS_PER_RUN", 2)
    monkeypatch.setattr(policies, "HANDS_REMINDER", DAY * 0.6)
    hall = storeroom_hall()
    parts = make_parts(tmp_path, hall, load_settings(home=tmp_path, task_queue=f"rig-{tmp_path.name}"))
    parts.inventory.import_hall(hall, {d.name: "ssh-ed25519 AAAA" for d in hall.devices})
    assert isinstance(parts.devices, SimulatedDevices)
    rig = Rig(client, parts, parts.devices, hall)
    with webhook() as (url, told):
        keep_rule(tmp_path, {"tell": ["hall"]}, {"hall": {"webhook": url}})
        try:
            parent, child, runs = await _wait_for_delivery(rig, monkeypatch, told)
        finally:
            await end_all(client, parts.settings.task_queue)
        situations = _reminders(told)
    assert len(situations) >= 5 and situations[0] == "6 to do", "people were reminded in every silence"
    assert len(runs) > 2, "its history was cut on the way"

    histories = [await rig.client.get_workflow_handle(child.id, run_id=run).fetch_history() for run in runs]
    sizes = [_size(h) for h in (*histories, await parent.fetch_history())]
    with capsys.disabled():
        print(f"\n{DAYS} days, {len(situations)} reminders, {DAYS + 2} workers; events and bytes of histories: {sizes}")
    assert all(events < 400 and size < 300_000 for events, size in sizes)
    await _replayed(histories[0])


async def _wait_for_delivery(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, told: list[dict[str, Any]]
) -> tuple[Handle, Handle, list[str]]:
    """Each day another worker waits for a day, and hears of its progress; half-way it comes with new code.

    People say something every four days, and only when they were reminded since they last did.
    """
    code: type = install_hardware.InstallHardware
    heard = 0
    child: Handle = rig.client.get_workflow_handle("install-acme-1")
    runs: list[str] = []
    async with worker(rig, monkeypatch, code):
        parent = await rig.provision()
        await until_waiting(parent)
        await parent.execute_update("approve", {"operator": "amir"})
        async with asyncio.timeout(30):
            while not await begun(rig, child):
                await asyncio.sleep(0.05)
        items = checklist(await until_waiting(child, "checklist")).items
    for day in range(DAYS):
        if day == DAYS // 2:
            code = next_version(guarded=True)
        async with worker(rig, monkeypatch, code):
            await asyncio.sleep(DAY.total_seconds())
            if (run := (await child.describe()).run_id) not in runs:
                runs.append(run)
            if day % 4 == 3 and day // 4 < len(items) - 1:
                item = items[day // 4]
                async with asyncio.timeout(30):
                    while len(_reminders(told)) <= heard:
                        await asyncio.sleep(0.05)
                heard = len(_reminders(told))
                await say(child, item.id)
                await checked(child, lambda c, i=item: c.item(i.id) not in c.open())  # type: ignore[misc]
            await until_waiting(child, "checklist")
    async with worker(rig, monkeypatch, code):
        for item in items:
            if item.cable:
                rig.devices.plug(str(cable_of(item).a), str(cable_of(item).b), cable_of(item).label)
        rig.devices.power(items[0].device)
        await say(child, "all")
        assert (await parent.result()).outcome == "active"
    return parent, child, runs


def _reminders(told: list[dict[str, Any]]) -> list[str]:
    return [notice["situation"] for notice in told if notice["kind"] == "hands"]


def _size(history: WorkflowHistory) -> tuple[int, int]:
    return len(history.events), sum(event.ByteSize() for event in history.events)


async def _replayed(history: WorkflowHistory) -> None:
    """A run of the old code goes on under the new one that asks which it is, and not under one that does not."""
    timers = [e for e in history.events if e.event_type == EventType.EVENT_TYPE_TIMER_STARTED]
    assert timers, "it waited"
    for guarded in (True, False):
        replayer = Replayer(
            workflows=[next_version(guarded=guarded)],
            data_converter=DATA,
            workflow_failure_exception_types=FAILING,
            workflow_runner=UnsandboxedWorkflowRunner(),
        )
        if guarded:
            await replayer.replay_workflow(history)
        else:
            with pytest.raises(NondeterminismError):
                await replayer.replay_workflow(history)
