"""Temporal was down for a while: what schedules should have started meanwhile."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import ScheduleInfo, ScheduleOverlapPolicy

from freehold.models.evaluation import EvaluateRequest
from tests.conftest import TemporalServer, running_temporal
from workers import schedules
from workers.schedules import Regular, bring_about

LATE_BY_S = 10
"""The least that Temporal takes."""
AWAY_S = 25
OFTEN = Regular("often", "EvaluateScaling", 1, EvaluateRequest(), ScheduleOverlapPolicy.ALLOW_ALL)


@pytest.mark.slow
def test_only_what_is_a_little_late_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missed week is the same with other figures: the catch-up window decides."""
    monkeypatch.setattr(schedules, "MISSED", timedelta(seconds=LATE_BY_S))
    with running_temporal(tmp_path) as server:
        before = asyncio.run(_begun(server))
    time.sleep(AWAY_S)
    with running_temporal(tmp_path) as server:
        after = asyncio.run(_ran_on(server, before))
    assert after.num_actions_missed_catchup_window >= AWAY_S - LATE_BY_S - 2
    late = [a for a in after.recent_actions if a.started_at - a.scheduled_at > timedelta(seconds=LATE_BY_S + 5)]
    assert not late


async def _begun(server: TemporalServer) -> ScheduleInfo:
    client = await server.client()
    await bring_about(client, OFTEN, "nobody")
    async with asyncio.timeout(30):
        while (info := (await client.get_schedule_handle(OFTEN.id).describe()).info).num_actions < 2:
            await asyncio.sleep(0.2)
    return info


async def _ran_on(server: TemporalServer, before: ScheduleInfo) -> ScheduleInfo:
    """Until it starts what is due again."""
    handle = (await server.client()).get_schedule_handle(OFTEN.id)
    async with asyncio.timeout(60):
        while (info := (await handle.describe()).info).num_actions <= before.num_actions + LATE_BY_S:
            await asyncio.sleep(0.2)
    return info
