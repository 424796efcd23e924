"""The watch on real switches: a cable is moved into another customer's open port, and put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from typer.testing import CliRunner

from freehold.cli.main import app
from freehold.lab.testing import small_lab
from freehold.models.instance import EvidenceKind, InstanceState
from freehold.models.network import PortConfig
from freehold.models.plan import PlannedNic
from freehold.models.watch import WatchRequest
from freehold.settings import load_settings
from tests.conftest import TemporalServer
from tests.lab.customers import HOSTS, SWITCHES, TwoCustomers
from tests.lab.frames import Frames
from tests.lab.hands import Hands, forget_soon
from tests.workflows.rig import end_all, until_waiting, view
from workers.wiring import Parts, make_worker

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SERVERS = ("srv-1", "srv-2")


class Watching:
    """Two customers in service, and the watch at work."""

    def __init__(self, customers: TwoCustomers, run: WorkflowHandle[Any, Any]) -> None:
        self.customers, self.run = customers, run
        self.hands = customers.hands

    def nic(self, instance: str) -> PlannedNic:
        return self.hands.inventory.instance(instance).plan.servers[0].nics[0]

    def config(self, nic: PlannedNic) -> PortConfig:
        with self.hands.devices.switch(self.hands.inventory.access(nic.switch)) as switch:
            return switch.read([nic.switch_port]).ports[nic.switch_port]


@pytest.fixture
async def watching(
    temporal: TemporalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watching]:
    with small_lab("flwatch", "198.18.113.0/24", [*SWITCHES, *SERVERS, *HOSTS.values()]) as lab:
        forget_soon(lab, *SWITCHES)
        hands = Hands(lab, tmp_path, [*SWITCHES, *SERVERS])
        customers = TwoCustomers(hands, servers=1)
        customers.open()
        for plan in customers.plans:
            hands.inventory.set_state(plan.instance, InstanceState.ACTIVE)
        settings = load_settings(home=tmp_path, task_queue=f"lab-{tmp_path.name}")
        for name, value in (temporal.settings.environment() | {"FREEHOLD_HOME": str(tmp_path)}).items():
            monkeypatch.setenv(name, value)
        parts = Parts(settings=settings, inventory=hands.inventory, secrets=hands.secrets, devices=hands.devices)
        client = await temporal.client()
        async with make_worker(client, parts):
            run = await client.start_workflow(
                "WatchCables",
                WatchRequest(every_s=2),
                id=f"watch-{tmp_path.name}",
                task_queue=settings.task_queue,
            )
            yield Watching(customers, run)
            await end_all(client, settings.task_queue)
        hands.inventory.close()


async def inbox() -> str:
    return (await asyncio.to_thread(CliRunner().invoke, app, ["inbox"])).output


async def until_nobody_waits(run: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(60):
        while (await view(run)).waiting is not None:
            await asyncio.sleep(0.2)


async def test_a_cable_in_another_customers_port_closes_it_and_back_in_its_own_opens_it(watching: Watching) -> None:
    customers, hands = watching.customers, watching.hands
    mine, theirs = watching.nic("acme-1"), watching.nic("beta-1")
    own, other = (f"{nic.switch}/{nic.switch_port}" for nic in (mine, theirs))
    opened = watching.config(theirs)
    with Frames(hands.lab, customers.everybody(), customers.vlans()) as frames:
        await asyncio.to_thread(frames.arrive, customers.ways())
        assert "Nothing waits" in await inbox()

        hands.pull(mine.cable.label, theirs.cable.label)
        hands.put(mine.cable.label, other, str(mine.cable.b))
        await until_waiting(watching.run, "checklist")
        assert watching.config(theirs) == PortConfig()
        await asyncio.to_thread(frames.listen)
        met = frames.meetings()
        await asyncio.to_thread(frames.listen)
        assert frames.meetings() == met, "a closed port carries nothing"
        said = " ".join((await inbox()).split())
        assert f"{other} sees {mine.cable.b} instead of {theirs.cable.b} and is closed" in said
        assert f"retry {watching.run.id}" in said
        (kept,) = hands.inventory.evidence("beta-1", EvidenceKind.CABLING)
        assert "was closed" in kept.claim

        hands.pull(mine.cable.label)
        hands.put(theirs.cable.label, other, str(theirs.cable.b))
        hands.put(mine.cable.label, own, str(mine.cable.b))
        await until_nobody_waits(watching.run)
        assert watching.config(theirs) == opened
        await asyncio.to_thread(frames.arrive, customers.ways())
        assert "Nothing waits" in await inbox()
        assert frames.meetings() == met
