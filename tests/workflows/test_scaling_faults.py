"""A fault at every boundary of a change: it goes on after a retry, or everything is as before after an abort."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from freehold.models.change import WaypointRef
from freehold.models.instance import InstanceState
from tests.conftest import TemporalServer
from tests.workflows.rig import Rig, killed, killed_rig, running_rig, until_waiting, view
from tests.workflows.test_faults import Fails
from workers.interceptor import Around

# In the order of the procedure; what comes before touches nothing and refuses instead of parking.
PARKING = (
    "preview_switch",
    "preview_server",
    "keep_target",
    "verify_cables",
    "hand_in",
    "apply_changes",
    "issue_secrets",
    "configure",
    "settle",
)
WAYPOINTS = ("prepare servers", "copy data", "move endpoint", "drain", "settle")
"""From compact to distributed."""
FORWARD_ONLY = ("remove", "leaving", "erase", "settle_change", "tidy_up", "watch")


class FailsAt(Interceptor):
    """Lets one waypoint's work fail for good once, after its effect, on the way there."""

    def __init__(self, waypoint: str) -> None:
        self.waypoint = waypoint

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        fails = self

        class Inbound(ActivityInboundInterceptor):
            async def execute_activity(self, input: ExecuteActivityInput) -> Any:
                result = await super().execute_activity(input)
                given = input.args[0] if input.args else None
                if isinstance(given, WaypointRef) and not given.back and given.waypoint == fails.waypoint:
                    fails.waypoint = ""
                    raise ApplicationError(f"{given.waypoint} was made to fail", type="MadeToFail", non_retryable=True)
                return result

        return Inbound(next)


@pytest.mark.parametrize("activity", PARKING)
async def test_abort_before_the_data_moves_restores_everything(client: Client, tmp_path: Path, activity: str) -> None:
    fails = Fails()
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), fails]}) as rig:
        before = await _compact(rig)
        fails.times[activity] = 1
        handle = await _parked(rig)
        await handle.execute_update("abort", {"operator": "olivia"})
        assert (await handle.result()).outcome == "aborted"
        assert rig.everything() == before


@pytest.mark.parametrize("waypoint", WAYPOINTS)
async def test_abort_at_every_waypoint_goes_back(client: Client, tmp_path: Path, waypoint: str) -> None:
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), FailsAt(waypoint)]}) as rig:
        await _compact(rig)
        before = _standing(rig)
        handle = await _parked(rig)
        await handle.execute_update("abort", {"operator": "olivia"})
        assert (await handle.result()).outcome == "aborted"
        assert _standing(rig) == before
        assert (await rig.approved(await rig.scale_up(tier="distributed"))).outcome == "active", "and up again"


async def test_retry_goes_on_at_every_waypoint(client: Client, tmp_path: Path) -> None:
    fails = FailsAt(WAYPOINTS[0])
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), fails]}) as rig:
        await _compact(rig)
        handle = await _parked(rig)
        for after in (*WAYPOINTS[1:], ""):
            fails.waypoint = after
            await handle.execute_update("retry", {"operator": "olivia"})
            if after:
                waits = await until_waiting(handle, "retry")
                assert waits.waiting is not None and f"{after} was made to fail" in waits.waiting.reason
        assert (await handle.result()).outcome == "active"


async def test_behind_the_point_of_no_return_only_forward(client: Client, tmp_path: Path) -> None:
    fails = Fails()
    async with running_rig(client, tmp_path, worker={"interceptors": [Around(), fails]}) as rig:
        await _compact(rig)
        fails.times |= dict.fromkeys(FORWARD_ONLY, 1)
        handle = await rig.scale_up(tier="distributed")
        await until_waiting(handle)
        await handle.execute_update("approve", {"operator": "amir"})
        while (seen := await _next(handle)) is not None:
            assert seen == ("retry",), "abort is not offered any more"
            await handle.execute_update("retry", {"operator": "olivia"})
        assert (await handle.result()).outcome == "active"
        assert not any(fails.times.values()), "each was made to fail once"


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_worker_killed_in_every_activity(temporal: TemporalServer, client: Client, tmp_path: Path) -> None:
    """SIGKILL once between the effect and the answer of every activity on the way up and down."""
    home = tmp_path / "killed"
    async with killed_rig(client, home, temporal.settings.temporal_port) as rig:
        pristine = rig.everything()
        assert (await rig.approved(await rig.provision(), within_s=120)).outcome == "active"
        assert (await rig.approved(await rig.scale_up(tier="distributed"), within_s=120)).outcome == "active"
        assert (await rig.approved(await rig.scale_down(tier="compact"), within_s=120)).outcome == "active"
        assert (await rig.approved(await rig.decommission(), within_s=60)).outcome == "gone"
        assert rig.everything() == pristine
    assert {"place_change", "waypoints", *PARKING, *FORWARD_ONLY} <= killed(home)


async def _compact(rig: Rig) -> tuple[Any, ...]:
    assert (await rig.approved(await rig.provision())).outcome == "active"
    return rig.everything()


async def _parked(rig: Rig) -> Any:
    handle = await rig.scale_up(tier="distributed")
    if (await _next(handle)) != ("retry", "abort"):
        await handle.execute_update("approve", {"operator": "amir"})
    await until_waiting(handle, "retry")
    return handle


async def _next(handle: Any) -> tuple[str, ...] | None:
    """The messages that it waits for next; None when it has ended."""
    async with asyncio.timeout(60):
        while True:
            seen = await view(handle)
            if seen.waiting is not None:
                return seen.waiting.messages
            if seen.outcome:
                return None
            await asyncio.sleep(0.05)


def _standing(rig: Rig) -> tuple[Any, ...]:
    """What must be as before when data was moved and moved back: all but the number of times that rings were made."""
    instance = rig.inventory.instance("acme-1")
    assert instance.state is InstanceState.ACTIVE and instance.target is None
    devices = {
        name: {**state, "files": sorted(state["files"])} if "files" in state else state
        for name, state in rig.devices.everything().items()
    }
    plan = instance.plan.model_copy(update={"remembered": {}})
    return plan, devices, rig.inventory.holds(), rig.parts.secrets.names("instances/")
