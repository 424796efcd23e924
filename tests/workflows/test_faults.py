"""A fault at every boundary: each activity fails for good, or its worker dies between the effect and the answer.

The end is always one of two: as if nothing had happened to it, or as before it began.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
)

from freehold.devices.simulated import SimulatedServer
from tests.conftest import TemporalServer
from tests.sweep.acts import PARKING, UNDOING
from tests.workflows.rig import Rig, killed, killed_rig, running_rig, until_waiting, view
from workers.interceptor import Around
from workflows import policies


class Fails(Interceptor):
    """Lets the named activity fail for good so often, after its effect."""

    def __init__(self, **times: int) -> None:
        self.times = times

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        fails = self

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                result = await super().execute_activity(input)
                name = input.fn.__name__
                if fails.times.get(name, 0) > 0:
                    fails.times[name] -= 1
                    raise ApplicationError(f"{name} was made to fail", type="MadeToFail", non_retryable=True)
                return result

        return Inbound(next)


@pytest.mark.parametrize("activity", PARKING)
async def test_a_failed_step_parks_and_retry_goes_on(client: Client, tmp_path: Path, activity: str) -> None:
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), Fails(**{activity: 1})]}) as rig:
        handle = await rig.provision()
        waits = await _approve_and_wait_for_park(handle)
        assert waits.waiting is not None and "made to fail" in waits.waiting.reason
        await handle.execute_update("retry", {"operator": "olivia"})
        if (await _next_wait(handle)) == "approval":
            await handle.execute_update("approve", {"operator": "amir"})
        assert (await handle.result()).outcome == "active"


@pytest.mark.parametrize("activity", PARKING)
async def test_abort_at_each_step_restores_everything(client: Client, tmp_path: Path, activity: str) -> None:
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), Fails(**{activity: 1})]}) as rig:
        before = rig.everything()
        handle = await rig.provision()
        await _approve_and_wait_for_park(handle)
        await handle.execute_update("abort", {"operator": "olivia"})
        assert (await handle.result()).outcome == "aborted"
        assert rig.everything() == before


@asynccontextmanager
async def undo_that_fails(client: Client, home: Path) -> AsyncIterator[tuple[Rig, Any, Fails, object]]:
    """A run that is being aborted, each part of whose undo fails once; and how everything was before."""
    fails = Fails(set_state=1, **dict.fromkeys(UNDOING, 1))
    async with running_rig(client, home, worker={"interceptors": [Around(), fails]}) as rig:
        before = rig.everything()
        handle = await rig.provision()
        await _approve_and_wait_for_park(handle)
        await handle.execute_update("abort", {"operator": "olivia"})
        yield rig, handle, fails, before


async def test_a_failing_undo_parks_and_goes_on_at_retry(client: Client, tmp_path: Path) -> None:
    async with undo_that_fails(client, tmp_path) as (rig, handle, fails, before):
        while await _next_wait(handle) == "retry":
            await handle.execute_update("retry", {"operator": "olivia"})
        assert (await handle.result()).outcome == "aborted"
        assert not any(fails.times.values()), "every undo was made to fail once"
        assert rig.everything() == before


async def test_cancelling_an_undo_does_not_leave_half_of_it(client: Client, tmp_path: Path) -> None:
    async with undo_that_fails(client, tmp_path) as (rig, handle, _, before):
        assert await _next_wait(handle) == "retry"
        await handle.cancel()
        while await _next_wait(handle) == "retry":
            await handle.execute_update("retry", {"operator": "olivia"})
        await handle.result()
        assert rig.everything() == before


async def test_abort_in_the_middle_of_a_long_step(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's activity is told, comes to its end, and only then the undo begins."""
    apply, started = SimulatedServer.apply, threading.Event()

    def slow(self: SimulatedServer, intent: Any, beat: Any = None) -> Any:
        result = apply(self, intent)
        started.set()
        for _ in range(600):  # a minute, in pieces that a cancellation can interrupt
            time.sleep(0.1)
        return result

    monkeypatch.setattr(SimulatedServer, "apply", slow)
    for policy in (policies.DEVICE, policies.QUICK):
        monkeypatch.setitem(policy, "heartbeat_timeout", timedelta(seconds=2))
    worker = {"interceptors": [Around(beat_s=0.3)], "workflow_runner": UnsandboxedWorkflowRunner()}
    async with running_rig(client, tmp_path, worker=worker) as rig:
        before = rig.everything()
        handle = await rig.provision()
        await until_waiting(handle)
        await handle.execute_update("approve", {"operator": "amir"})
        assert await asyncio.to_thread(started.wait, 20)
        await handle.execute_update("abort", {"operator": "olivia"})
        async with asyncio.timeout(30):
            assert (await handle.result()).outcome == "aborted"
        assert rig.everything() == before


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_worker_killed_in_every_activity(temporal: TemporalServer, client: Client, tmp_path: Path) -> None:
    """SIGKILL once between the effect and the answer of every activity of both procedures."""
    undisturbed = await _uninterrupted(client, tmp_path / "undisturbed")
    home = tmp_path / "killed"
    async with killed_rig(client, home, temporal.settings.temporal_port) as rig:
        before = rig.everything()
        handle = await rig.provision()
        assert (await rig.approved(handle, within_s=120)).outcome == "active"
        assert _ends(rig) == undisturbed
        assert (await rig.approved(await rig.decommission(), within_s=60)).outcome == "gone"
        assert rig.everything() == before
    assert {*PARKING, "take_lease", "place", "keep_plan", "keep_evidence", "erase", "retire"} <= killed(home)


async def _approve_and_wait_for_park(handle: Any) -> Any:
    if await _next_wait(handle) == "approval":
        await handle.execute_update("approve", {"operator": "amir"})
    return await until_waiting(handle, "retry")


async def _next_wait(handle: Any) -> str:
    """What it waits for next; empty when it has ended."""
    async with asyncio.timeout(60):
        while True:
            seen = await view(handle)
            if seen.waiting is not None:
                return seen.waiting.kind
            if seen.outcome:
                return ""
            await asyncio.sleep(0.05)


def _ends(rig: Rig) -> tuple[Any, ...]:
    """The end state, without what names a run."""
    return rig.devices.everything(), rig.parts.secrets.names("instances/"), rig.inventory.holds("acme-1")


async def _uninterrupted(client: Client, home: Path) -> tuple[Any, ...]:
    async with running_rig(client, home) as rig:
        assert (await rig.approved(await rig.provision())).outcome == "active"
        return _ends(rig)
