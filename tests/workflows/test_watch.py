"""The watch on proven cables: what is strange is closed, shown, and opened again when it is right. Devices are data."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowHandle

from freehold.devices.simulated import SimulatedDevices, SimulatedSwitch
from freehold.errors import DeviceUnreachable
from freehold.inventory import Inventory
from freehold.models.access import Access
from freehold.models.hall import Cable
from freehold.models.instance import EvidenceKind, InstanceState
from freehold.models.network import MacEntry, PortConfig, PortMode
from freehold.models.plan import PlannedNic
from freehold.models.procedure import Outcome
from freehold.models.watch import WatchReport, WatchRequest
from freehold.watch import watch
from tests.workflows.rig import Rig, make_hall, running_rig, until_waiting, view
from workers.schedules import Regular, bring_about

EVERY_S = 1


@pytest.fixture
async def rig(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    """Two customers with an instance each."""
    async with running_rig(client, tmp_path) as made:
        for name in ("acme-1", "beta-1"):
            assert (await made.approved(await made.provision(name))).outcome == "active"
        yield made


def first(rig: Rig, instance: str = "acme-1") -> PlannedNic:
    return rig.inventory.instance(instance).plan.servers[0].nics[0]


def config(rig: Rig, nic: PlannedNic) -> PortConfig:
    return SimulatedSwitch(rig.devices, nic.switch).read().ports[nic.switch_port]


def end(nic: PlannedNic) -> str:
    return f"{nic.switch}/{nic.switch_port}"


def far(cable: Cable) -> str:
    return str(cable.b)


def move_into(rig: Rig, one: PlannedNic, other: PlannedNic) -> None:
    """The first card's cable is pulled at the switch and plugged where the other's is, which falls out."""
    rig.devices.unplug(end(one))
    rig.devices.unplug(end(other))
    rig.devices.plug(end(other), far(one.cable), one.cable.label)


def put_right(rig: Rig, *nics: PlannedNic) -> None:
    for nic in nics:
        rig.devices.unplug(end(nic))
    for nic in nics:
        rig.devices.plug(end(nic), far(nic.cable), nic.cable.label)


async def start(rig: Rig, every_s: int = EVERY_S) -> WorkflowHandle[object, Outcome]:
    return await rig.start(
        "WatchCables", f"watch-{rig.parts.settings.task_queue}", WatchRequest(every_s=every_s, for_s=0)
    )


def test_without_a_hall_there_is_nothing_to_watch(tmp_path: Path) -> None:
    inventory = Inventory(f"sqlite:///{tmp_path}/freehold.db")
    assert watch(inventory, SimulatedDevices(make_hall())) == WatchReport()
    inventory.close()


async def test_nothing_to_say_is_the_end(rig: Rig) -> None:
    before = rig.everything()
    outcome = await (await start(rig)).result()
    assert (outcome.outcome, outcome.reason) == ("as planned", "")
    assert rig.everything() == before


async def test_a_run_looks_for_its_time(rig: Rig) -> None:
    request = WatchRequest(every_s=1, for_s=3)
    run = await rig.start("WatchCables", f"watch-{rig.parts.settings.task_queue}", request)
    mine = first(rig)
    rig.devices.unplug(end(mine))
    await until_waiting(run, "checklist")
    put_right(rig, mine)
    assert (await run.result()).outcome == "as planned"
    (look, _) = (await view(run)).steps
    assert look.attempts >= 2


async def test_a_cable_in_anothers_port_closes_it_until_all_is_right_again(rig: Rig) -> None:
    mine, theirs = first(rig), first(rig, "beta-1")
    opened = config(rig, theirs)
    assert opened.mode is PortMode.ACCESS
    move_into(rig, mine, theirs)
    run = await start(rig)
    seen = await until_waiting(run, "checklist")
    assert config(rig, theirs) == PortConfig()
    assert config(rig, mine) == rig.inventory.instance("acme-1").plan.ports[0].change.config, "it carries nothing"
    assert seen.waiting is not None
    assert f"{end(theirs)} sees {far(mine.cable)} instead of {far(theirs.cable)} and is closed" in seen.waiting.reason
    assert f"Move that end from {end(theirs)} to {end(mine)}" in seen.waiting.reason
    assert (seen.waiting.whom, seen.waiting.messages) == ("technicians", ("retry",))
    (kept,) = [e for e in rig.inventory.evidence("beta-1", EvidenceKind.CABLING) if "was closed" in e.claim]
    assert str(far(mine.cable)) in kept.claim
    put_right(rig, theirs, mine)
    assert (await run.result()).outcome == "as planned"
    assert config(rig, theirs) == opened
    assert [e for e in rig.inventory.evidence("beta-1", EvidenceKind.CABLING) if "was opened again" in e.claim]


async def test_two_cables_of_a_switch_that_are_swapped_close_both_ports(rig: Rig) -> None:
    """Of two changes for one switch neither is taken for an outdated one."""
    nics = [n for name in ("acme-1", "beta-1") for s in rig.inventory.instance(name).plan.servers for n in s.nics]
    one, other = next(pair for pair in itertools.combinations(nics, 2) if pair[0].switch == pair[1].switch)
    opened = [config(rig, one), config(rig, other)]
    move_into(rig, one, other)
    rig.devices.plug(end(one), far(other.cable), other.cable.label)
    run = await start(rig)
    async with asyncio.timeout(30):
        await until_waiting(run, "checklist")
    assert config(rig, one) == config(rig, other) == PortConfig()
    put_right(rig, one, other)
    async with asyncio.timeout(30):
        assert (await run.result()).outcome == "as planned"
    assert [config(rig, one), config(rig, other)] == opened


async def test_retry_looks_at_once(rig: Rig) -> None:
    mine = first(rig)
    rig.devices.unplug(end(mine))
    run = await start(rig, every_s=3600)
    seen = await until_waiting(run, "checklist")
    assert seen.waiting is not None
    assert f"{mine.cable.label} is not plugged" in seen.waiting.reason
    assert config(rig, mine).mode is PortMode.ACCESS, "a port without a cable carries nothing"
    await run.execute_update("retry", {"operator": "olivia"})
    await until_waiting(run, "checklist")
    put_right(rig, mine)
    await run.execute_update("retry", {"operator": "olivia"})
    assert (await run.result()).outcome == "as planned"


class Ill:
    """Devices of which some do not answer or do not speak LLDP."""

    def __init__(self, rig: Rig) -> None:
        self._devices = rig.devices
        self.dead: set[str] = set()
        self.learned: dict[str, tuple[MacEntry, ...]] = {}
        self.server = rig.devices.server

    @contextmanager
    def switch(self, access: Access):  # type: ignore[no-untyped-def]
        if access.device in self.dead:
            raise DeviceUnreachable(f"{access.device} does not answer")
        with self._devices.switch(access) as switch:
            switch.mac_table = lambda: self.learned.get(access.device, ())  # type: ignore[method-assign]
            yield switch


async def test_a_dead_switch_closes_nothing_and_holds_up_nobody(rig: Rig) -> None:
    mine, theirs = first(rig), first(rig, "beta-1")
    move_into(rig, mine, theirs)
    ill = Ill(rig)
    assert [str(d.port) for d in watch(rig.inventory, ill).closes] == [end(theirs)]
    ill.dead = {theirs.switch}
    report = watch(rig.inventory, ill)
    assert not report.closes
    assert [line.partition(":")[0] for line in report.unanswered] == [theirs.switch]
    others = {"leaf1", "leaf2", "leaf3"} - {theirs.switch}
    ill.dead = others
    assert [str(d.port) for d in watch(rig.inventory, ill).closes] == [end(theirs)]


async def test_a_stranger_without_lldp_is_known_by_its_address(rig: Rig) -> None:
    mine = first(rig)
    rig.devices.unplug(end(mine))
    ill = Ill(rig)
    for mac, closed in ((mine.mac, False), ("02:ff:00:00:00:01", True)):
        ill.learned = {mine.switch: (MacEntry(port=mine.switch_port, vlan=110, mac=mac),)}
        assert bool(watch(rig.inventory, ill).closes) is closed, mac


def close(rig: Rig, nic: PlannedNic) -> None:
    switch = SimulatedSwitch(rig.devices, nic.switch)
    (planned,) = [p for p in rig.inventory.instance("acme-1").plan.ports if end(nic) == f"{p.switch}/{p.change.port}"]
    undo = rig.inventory.instance("acme-1").plan.switch_undo(nic.switch)
    assert planned.before == PortConfig()
    switch.apply(switch.render(switch.read(), [undo.model_copy(update={"trunks": ()})]))


async def test_only_ports_of_an_instance_in_service_are_opened(rig: Rig) -> None:
    mine = first(rig)
    close(rig, mine)
    assert end(mine) in [str(d.port) for d in watch(rig.inventory, rig.devices).opens]
    for state in InstanceState:
        rig.inventory.set_state("acme-1", state)
        assert bool(watch(rig.inventory, rig.devices).opens) is (state is InstanceState.ACTIVE), state
    rig.inventory.set_state("acme-1", InstanceState.ACTIVE)
    opens = watch(rig.inventory, rig.devices).opens
    rig.inventory.set_state("acme-1", InstanceState.DECOMMISSIONING)
    again = watch(rig.inventory, rig.devices, opens).closes
    assert [d.port for d in again] == [d.port for d in opens], "it was ended while its ports were opened"
    assert all(p.config == PortConfig() for d in again for p in d.change.ports)


async def test_the_schedule_is_kept_as_it_is_written(client: Client, rig: Rig) -> None:
    queue = rig.parts.settings.task_queue
    regular = Regular(f"regular-{queue}", "WatchCables", 1, WatchRequest(every_s=1, for_s=0))
    handle = client.get_schedule_handle(regular.id)
    await bring_about(client, regular, queue)
    try:
        async with asyncio.timeout(30):
            while not (ran := (await handle.describe()).info.recent_actions):
                await asyncio.sleep(0.1)
        run = client.get_workflow_handle(ran[0].action.workflow_id, result_type=Outcome)  # type: ignore[union-attr]
        assert (await run.result()).outcome == "as planned"
        assert not (await view(run)).waiting
        await handle.pause(note="work in the hall")
        await bring_about(client, Regular(regular.id, "WatchCables", 7, WatchRequest(every_s=7)), queue)
        schedule = (await handle.describe()).schedule
        assert schedule.state.paused and schedule.spec.intervals[0].every.total_seconds() == 7
    finally:
        for _ in range(2):  # also when there is none any more
            await bring_about(client, Regular(regular.id, "WatchCables", 0, WatchRequest()), queue)
    async with asyncio.timeout(10):  # the list follows a moment later
        while regular.id in [s.id async for s in await client.list_schedules()]:
            await asyncio.sleep(0.1)
