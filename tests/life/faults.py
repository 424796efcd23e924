"""What goes wrong in the life of an instance, one thing after the other; each leaves it whole for the next."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import WorkflowHandle

from freehold.lab.models import PowerAction
from freehold.models.plan import NetworkPurpose, PlannedServer
from freehold.models.procedure import Outcome, StepState
from freehold.models.request import ConsolidateRequest
from tests.sweep.provider import INSTANCE, WITHIN_S, Provider, persistent
from tests.workflows.rig import until_waiting, view

KILLED_AT = (
    "place_change", "keep_target", "hand_in", "apply_changes", "issue_secrets", "configure", "settle", "probe",
    "remove", "erase", "settle_change",
)  # fmt: skip
"""The worker is killed between effect and answer of the next activity of each of these kinds: in every step."""
TEMPORAL_KILLED_AT = ("configure", "settle", "erase")
FLAP_S, BETWEEN_FLAPS_S = 3.0, 12.0


@dataclass
class Life:
    provider: Provider
    away_s: float
    """How long a server that was killed stays away while customers write."""
    notes: dict[str, str] = field(default_factory=dict)

    def storage(self) -> list[PlannedServer]:
        plan = self.provider.inventory.instance(INSTANCE).plan
        return [s for s in plan.servers if "storage" in s.roles]

    async def grown(self) -> None:
        if self.provider.inventory.instance(INSTANCE).tier != "distributed":
            await self.active(await self.provider.scale("ScaleUp", tier="distributed"))

    async def active(self, handle: WorkflowHandle[Any, Outcome], within_s: float = WITHIN_S) -> None:
        ended = await self.provider.approved(handle, within_s)
        assert ended.outcome == "active", ended.reason

    async def power(self, server: str, action: PowerAction) -> None:
        await asyncio.to_thread(self.provider.lab.power, server, action)

    async def at(self, handle: WorkflowHandle[Any, Outcome], step: str) -> None:
        """Until it is in the middle of this step."""
        async with asyncio.timeout(WITHIN_S):
            while not any(s.name == step and s.state is StepState.RUNNING for s in (await view(handle)).steps):
                await asyncio.sleep(0.2)

    async def parked(self, handle: WorkflowHandle[Any, Outcome]) -> str:
        seen = (await persistent(lambda: until_waiting(handle, "retry", within_s=WITHIN_S))).waiting
        return str(seen.reason)

    async def retried(self, handle: WorkflowHandle[Any, Outcome]) -> None:
        """Until it ends, with a word whenever it asks."""
        async with asyncio.timeout(2 * WITHIN_S):
            while not (seen := await view(handle)).outcome:
                if seen.waiting and seen.waiting.kind == "retry":
                    await handle.execute_update("retry", {"operator": "olivia"})
                await asyncio.sleep(1)
        assert (await handle.result()).outcome == "active"

    def inside(self, server: str, command: str) -> subprocess.CompletedProcess[str]:
        entry = self.provider.lab.machine(server).entry()
        return subprocess.run([*entry, "sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)


async def worker_killed(life: Life) -> str:
    """The worker gets SIGKILL in every step on the way from one server to five."""
    life.provider.order("kill", *KILLED_AT)
    await life.active(await life.provider.scale("ScaleUp", tier="distributed"), 3 * WITHIN_S)
    left = life.provider.unused_orders()
    assert not left, f"never killed at {left}"
    return f"killed {len(KILLED_AT)} times"


async def storage_killed(life: Life) -> str:
    """A storage server loses its power while another joins, and comes back after a while of writes."""
    await life.grown()
    victim = life.storage()[0].server
    handle = await life.provider.scale("ScaleUp", storage_servers=len(life.storage()) + 1)
    await life.provider.approve(handle)
    await life.at(handle, "copy data")
    await life.power(victim, PowerAction.CUT)
    await asyncio.sleep(life.away_s)
    words = await life.parked(handle)
    assert victim in words, words
    await life.power(victim, PowerAction.ON)
    await life.retried(handle)
    return f"{victim} away for {life.away_s:.0f} s; parked: {words}"


async def temporal_restarted(life: Life) -> str:
    """The Temporal server gets SIGKILL in the middle of a drain, and is started again by its supervisor."""
    await life.grown()
    if len(life.storage()) < 4:
        await life.active(await life.provider.scale("ScaleUp", storage_servers=4))
    for activity in TEMPORAL_KILLED_AT[:1]:
        life.provider.order(str(life.provider.process("temporal")), activity)
    handle = await life.provider.scale("ScaleDown", storage_servers=3)
    await life.provider.approve(handle)
    killed = 1
    for activity in TEMPORAL_KILLED_AT[1:]:
        await _until(lambda: not life.provider.unused_orders())
        await asyncio.sleep(3)  # the supervisor starts another
        with suppress(AssertionError):
            life.provider.order(str(life.provider.process("temporal")), activity)
            killed += 1
    ended = await persistent(handle.result)
    assert ended.outcome == "active", ended.reason
    assert not life.provider.unused_orders()
    return f"killed {killed} times"


async def server_dead(life: Life) -> str:
    """A storage server dies for good, is given up, and wakes up when others have long taken its place."""
    await life.grown()
    dead = life.storage()[0]
    await life.power(dead.server, PowerAction.CUT)
    await asyncio.sleep(10)
    request = ConsolidateRequest(instance=INSTANCE, servers=(dead.server,), dead=True, requested_by="olivia")
    await life.active(await life.provider.start("ConsolidateData", request))
    await asyncio.sleep(life.away_s / 2)
    await life.power(dead.server, PowerAction.ON)
    await asyncio.sleep(life.away_s / 2)
    nic = dead.nic(NetworkPurpose.BACK)
    assert nic is not None and nic.address is not None
    ask = f"curl --silent --max-time 3 http://{nic.address.ip}:6200/healthcheck"
    assert life.inside(dead.server, ask).stdout == "OK", "it does not serve again: then this proves nothing"
    assert life.inside(life.storage()[0].server, ask).returncode, "others reach it"
    return f"{dead.server} serves again, and nobody reaches it"


async def disk_full(life: Life) -> str:
    """A storage server is drained while another's disk is full."""
    await life.grown()
    leaver, full = (s.server for s in life.storage()[:2])
    request = ConsolidateRequest(instance=INSTANCE, servers=(leaver,), requested_by="olivia")
    room = "set -- $(df --output=avail,size --block-size=1 /srv/node/d1 | tail -1)"
    done = life.inside(full, f"{room}; fallocate --length $(($1 - $2 / 200)) /srv/node/d1/tmp/full")
    assert done.returncode == 0, done.stderr
    handle = await life.provider.start("ConsolidateData", request)
    await life.provider.approve(handle)
    words = await life.parked(handle)
    assert f"{full} d1 is full" in words, words
    life.inside(full, "rm /srv/node/d1/tmp/full")
    await life.retried(handle)
    return f"parked: {words}"


async def port_flap(life: Life) -> str:
    """The switch port of a storage server goes down and up again all the way back to one server."""
    await life.grown()
    nic = life.storage()[-1].nic(NetworkPurpose.BACK)
    assert nic is not None
    handle = await life.provider.scale("ScaleDown", tier="compact", features=())
    await life.provider.approve(handle)
    await life.at(handle, "copy data")
    flaps = asyncio.create_task(_flap(life, f"{nic.switch}/{nic.switch_port}"))
    try:
        await life.retried(handle)
    finally:
        flaps.cancel()
        await asyncio.gather(flaps, return_exceptions=True)
    return f"{life.notes['flaps']} times for {FLAP_S:.0f} s"


async def _flap(life: Life, port: str) -> None:
    """Every cable that is pulled is plugged again, also when it is told to stop."""
    count = 0
    while True:
        cable = await asyncio.to_thread(life.provider.lab.unplug, port)
        try:
            await asyncio.sleep(FLAP_S)
        finally:
            await asyncio.shield(asyncio.to_thread(life.provider.lab.plug, cable.a, cable.b, cable.label))
            count += 1
            life.notes["flaps"] = str(count)
        await asyncio.sleep(BETWEEN_FLAPS_S)


async def _until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not ready():
            await asyncio.sleep(0.5)


FAULTS: dict[str, Callable[[Life], Awaitable[str]]] = {
    "worker-killed": worker_killed,
    "storage-killed": storage_killed,
    "temporal-restarted": temporal_restarted,
    "server-dead": server_dead,
    "disk-full": disk_full,
    "port-flap": port_flap,
}
