"""One session per switch: everybody's changes together, an answer for each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities.switches import SwitchActivities
from freehold.models.hall import Hall, SwitchPort
from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange
from freehold.models.session import ChangeTicket, SessionState
from tests.workflows.caller import Called, Caller
from tests.workflows.rig import Rig, make_hall, running_rig

PORTS = 60


def wide_hall() -> Hall:
    """The hall with a leaf1 that has ports for everybody."""
    hall = make_hall()
    more = tuple(SwitchPort(name=f"swp{n}") for n in range(25, 25 + PORTS))
    devices = tuple(d.model_copy(update={"ports": d.ports + more}) if d.name == "leaf1" else d for d in hall.devices)
    return hall.model_copy(update={"devices": devices})


def change(port: str, vlan: int = 300) -> SwitchChange:
    config = PortConfig(mode=PortMode.ACCESS, vlan=vlan)
    return SwitchChange(switch="leaf1", ports=(PortChange(port=port, config=config),))


async def call(rig: Rig, name: str, *changes: SwitchChange) -> list[Called]:
    return [
        Called.model_validate(c)
        for c in await rig.client.execute_workflow(
            "Caller",
            list(changes),
            id=name,
            task_queue=f"{rig.parts.settings.task_queue}-callers",
            result_type=list[Called],
        )
    ]


@pytest.fixture
async def rig(client: Client, tmp_path: Path):  # type: ignore[no-untyped-def]
    async with running_rig(client, tmp_path, wide_hall()) as made:
        queue = f"{made.parts.settings.task_queue}-callers"
        hand_in = SwitchActivities(made.devices, made.inventory, client, made.parts.settings.task_queue).hand_in
        async with Worker(client, task_queue=queue, workflows=[Caller], activities=[hand_in]):
            yield made


async def test_sixty_callers_cost_one_session_and_one_save(rig: Rig) -> None:
    answers = await asyncio.gather(*(call(rig, f"caller-{n}", change(f"swp{25 + n}")) for n in range(PORTS)))
    assert all(a[0].changed and not a[0].error for a in answers)
    counts = rig.devices.counts()
    assert counts["sessions"] <= 3 and counts["saves"] <= 3, counts
    assert len(rig.devices.state("leaf1")) == PORTS


async def test_one_bad_change_fails_its_caller_only(rig: Rig) -> None:
    good, bad = await asyncio.gather(call(rig, "good", change("swp30")), call(rig, "bad", change("swp999")))
    assert good[0].changed and not good[0].error
    assert "swp999" in bad[0].error and bad[0].error_type == "CommandRejected"


async def test_a_repeated_ticket_is_answered_but_not_applied(rig: Rig) -> None:
    """A caller whose worker died hands in again; meanwhile somebody else owns the port."""
    await call(rig, "first", change("swp40", 301))
    await call(rig, "second", change("swp40", 302))
    session = rig.client.get_workflow_handle("switch-leaf1")
    state = await session.query("state", result_type=SessionState)
    old = next(a for a in state.answers if a.caller.startswith("first/"))
    ticket = ChangeTicket(caller=old.caller, number=old.number, reply_to="first", change=change("swp40", 301))
    await session.signal("change", ticket)
    await call(rig, "third", change("swp41"))  # what came in before has been dealt with when this is answered
    assert rig.devices.state("leaf1")["swp40"]["vlan"] == 302


async def test_malformed_changes_are_dropped(rig: Rig) -> None:
    await call(rig, "opens-the-session", change("swp30"))
    session = rig.client.get_workflow_handle("switch-leaf1")
    for junk in ({}, {"caller": 1}, {"change": {"switch": "leaf1"}}):
        await session.signal("change", junk)
    assert (await call(rig, "after", change("swp31")))[0].changed


async def test_it_continues_as_new_and_remembers(rig: Rig) -> None:
    state = SessionState(switch="leaf1", batches_per_run=2)
    first_run = (await rig.start("SwitchSession", "switch-leaf1", state)).first_execution_run_id
    for n in range(5):
        assert (await call(rig, f"one-by-one-{n}", change(f"swp{30 + n}")))[0].changed
        described = await rig.client.get_workflow_handle("switch-leaf1").describe()
    assert described.run_id != first_run
    state = await rig.client.get_workflow_handle("switch-leaf1").query("state", result_type=SessionState)
    assert state.changes == 5 and len(state.answers) == 5
