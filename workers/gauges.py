"""Numbers that are looked up from time to time: procedures by state, and how long people have been waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import structlog
from temporalio.client import Client, WorkflowExecution
from temporalio.exceptions import TemporalError

from freehold.metrics.own import PROCEDURES, WAITING, WAITING_LONGEST, Gauges
from freehold.models.procedure import ProcedureView, StepState
from workflows.attributes import WAITING_FOR

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 15.0
LOOKED_AT = 500
"""Waiting runs that are asked since when; of more, the newest."""
AT_ONCE = 10
AGES: Sequence[tuple[float, str]] = ((3600, "under an hour"), (86400, "under a day"), (float("inf"), "over a day"))
QUERY = f"ExecutionStatus = 'Running' AND {WAITING_FOR.name} IS NOT NULL"
Labels = tuple[tuple[str, str], ...]


class ProcedureGauges:
    """Since when a run waits is asked of it once; a run that waits for somebody else is asked again."""

    def __init__(self, client: Client, gauges: Gauges, procedures: Iterable[str]) -> None:
        self._client, self._gauges, self._procedures = client, gauges, tuple(procedures)
        self._since: dict[tuple[str, str], datetime] = {}

    async def keep(self) -> None:
        """Look again and again. Never ends; the workers' real work goes on without numbers."""
        while True:
            try:
                await self.look()
            except TemporalError as error:
                log.warning("procedures could not be counted", reason=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        self._gauges.say(PROCEDURES, await self._counted())
        waits = [(whom, self._age(since)) for whom, since in await self.waiting()]
        ages: dict[Labels, float] = {}
        longest: dict[Labels, float] = {}
        for whom, age in waits:
            old, who = (("age", word_of(age)), ("whom", whom)), (("whom", whom),)
            ages[old] = ages.get(old, 0) + 1
            longest[who] = max(age, longest.get(who, 0.0))
        self._gauges.say(WAITING, ages)
        self._gauges.say(WAITING_LONGEST, longest)

    async def _counted(self) -> Mapping[Labels, float]:
        counts: dict[Labels, float] = {}
        for procedure in self._procedures:
            found = await self._client.count_workflows(f"WorkflowType = '{procedure}' GROUP BY ExecutionStatus")
            for group in found.groups:
                counts[("procedure", procedure), ("status", str(group.group_values[0]))] = group.count
        return counts

    async def waiting(self) -> list[tuple[str, datetime]]:
        """Whom each run waits for, and since when."""
        runs = [run async for run in self._client.list_workflows(QUERY, limit=LOOKED_AT)]
        turn = asyncio.Semaphore(AT_ONCE)

        async def seen(run: WorkflowExecution) -> tuple[str, datetime]:
            async with turn:
                return await self._of(run)

        found = await asyncio.gather(*map(seen, runs))
        there = {run.run_id for run in runs}
        self._since = {key: since for key, since in self._since.items() if key[0] in there}
        return list(found)

    async def _of(self, run: WorkflowExecution) -> tuple[str, datetime]:
        whom = run.typed_search_attributes.get(WAITING_FOR) or "somebody"
        key = (run.run_id, whom)
        if key not in self._since:
            handle = self._client.get_workflow_handle(run.id, run_id=run.run_id)
            try:
                view = await handle.query("progress", result_type=ProcedureView)
            except TemporalError:  # a run that does not answer has waited since it was started
                return whom, run.start_time
            busy = (s.started_at for s in view.steps if s.state in (StepState.WAITING, StepState.PARKED))
            self._since[key] = next((at for at in busy if at), run.start_time)
        return whom, self._since[key]

    @staticmethod
    def _age(since: datetime) -> float:
        return max((datetime.now(UTC) - since).total_seconds(), 0.0)


def word_of(age_s: float) -> str:
    return next(word for limit, word in AGES if age_s < limit)
