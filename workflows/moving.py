"""Waypoints of a change, reached one by one: servers configured, data moved in rounds until it is proven."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.data import DataActivities
    from freehold.models.change import Round, WaypointRef, WaypointServer, WaypointView
    from freehold.models.units import GIB
    from workflows import policies
    from workflows.calls import call, together
    from workflows.steps import Steps


class Moving:
    """Reaches waypoints, and says beside the step how far it has come."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    async def reach(self, step: str, ref: WaypointRef, waypoint: WaypointView) -> None:
        """All that a waypoint wants. Repeating it, also half-way, goes on where it stands."""
        await self._configure(ref, waypoint)
        if waypoint.settles:
            await self.rounds(step, lambda said: self._settle(ref, said))

    async def _configure(self, ref: WaypointRef, waypoint: WaypointView) -> None:
        await call(DataActivities.check_servers, ref, summary=_said(ref, "all answer"), **policies.DEVICE)
        if not waypoint.rolling:
            await together(self._configure_server(ref, server) for server in waypoint.servers)
            return
        for server in waypoint.servers:
            await self._configure_server(ref, server)

    async def _configure_server(self, ref: WaypointRef, server: str) -> None:
        given = WaypointServer(**dict(ref), server=server)
        await call(DataActivities.configure, given, summary=_said(ref, server), **policies.DEVICE)

    async def _settle(self, ref: WaypointRef, said: str) -> Round:
        return await call(DataActivities.settle, ref, summary=_said(ref, said), **policies.LONG)

    async def rounds(self, step: str, work: Callable[[str], Awaitable[Round]]) -> None:
        """Rounds until the proof. Without progress it fails in the words of the service, so that people look."""
        with self._steps.may_pause():
            pace = Pace(workflow.now())
            for number in itertools.count(1):
                found = await work(f"round {number}")
                self._steps.note(step, pace.words(found, workflow.now()))
                if found.done:
                    return
                if pace.idle_rounds >= policies.IDLE_ROUNDS:
                    words = f"{pace.idle_rounds} rounds brought nothing: {found.words}"
                    raise ApplicationError(words, type="NoProgress")
                await self._steps.while_paused()
                if pace.idle_rounds:
                    await workflow.sleep(policies.BETWEEN_ROUNDS, summary="before the next round")


class Pace:
    """How far rounds have come, in words, with an estimate from the rate so far."""

    def __init__(self, began: datetime) -> None:
        self.idle_rounds = 0
        self._began = began
        self._first: Round | None = None
        self._best: tuple[int, int] | None = None

    def words(self, found: Round, now: datetime) -> str:
        left = (found.left_objects, found.left_bytes)
        self.idle_rounds = 0 if self._best is None or left < self._best else self.idle_rounds + 1
        self._best = left if self._best is None else min(left, self._best)
        self._first = self._first or found
        if found.done or not (found.total_objects or found.total_bytes):
            return found.words
        parts = [f"{_percent(found)} %", f"{found.left_objects:,} of {found.total_objects:,} objects left"]
        if found.total_bytes:
            parts.append(f"{found.left_bytes / GIB:.2f} of {found.total_bytes / GIB:.2f} GiB")
        if estimate := self._estimate(self._first, found, now):
            parts.append(f"about {estimate} to go")
        return f"{', '.join(parts)}; {found.words}"

    def _estimate(self, first: Round, found: Round, now: datetime) -> str:
        before, left = (
            (first.left_bytes, found.left_bytes) if found.total_bytes else (first.left_objects, found.left_objects)
        )
        if left >= before:
            return ""
        seconds = (now - self._began).total_seconds() * left / (before - left)
        return str(timedelta(seconds=round(seconds)))


def _percent(found: Round) -> int:
    left, total = (
        (found.left_bytes, found.total_bytes) if found.total_bytes else (found.left_objects, found.total_objects)
    )
    return max(0, min(99, 100 - -(-100 * left // total)))


def _said(ref: WaypointRef, what: str) -> str:
    return f"{ref.waypoint} (way back): {what}" if ref.back else what
