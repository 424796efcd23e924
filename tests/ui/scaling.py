"""A provider whose metrics say that an instance grows: for the tests and pictures of scaling in the Web UI."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from freehold.models.evaluation import EvaluateRequest
from freehold.models.scaling import Contract, LeadPart, Mode
from freehold.stack.ports import free_ports
from freehold.web.decisions import add_decisions
from freehold.web.pages import Pages
from tests.metrics.server import FakePrometheus, fake_prometheus, usage
from tests.ui.pages import until
from tests.web.paper import PaperWork, checklist, lab_hall
from tests.web.site import make_sessions, served
from tests.workflows.rig import Rig, running_rig, until_waiting
from tests.workflows.test_evaluate_scaling import keep_rules
from workers.schedules import Regular, bring_about

RECOMMENDATION = "recommend-scaling-acme-1"
DAY_S = 86400
LIVELY = {
    "data": {"step_s": 1, "peak_step_s": DAY_S, "history_s": 56 * DAY_S, "most_age_s": 600, "most_skew_s": 60},
    "up": {"window_s": 10, "cool_down_s": 0},
    # Slow people: what is to be full in three weeks must begin now.
    "lead_time": {
        "guess_weighs": 1000,
        "guesses": {part: {"usual_s": 7 * DAY_S, "late_s": 12 * DAY_S} for part in map(str, LeadPart)},
    },
}


def growing(at: float) -> float:
    """Of the capacity: to 76 % in eight weeks, with weeks in it, and with its growth in sight."""
    days = (at - time.time()) / DAY_S
    return max(0.76 + days * 0.011 + 0.015 * ((days % 7) < 5), 0.02)


@asynccontextmanager
async def growing_provider(client: Client, home: Path, queue: str) -> AsyncIterator[tuple[Rig, FakePrometheus]]:
    """A rig, its schedule every 2 seconds, and the technicians' site, at which decisions are looked at."""
    keep_rules(home, **LIVELY)
    sessions = make_sessions(home)
    [port] = free_ports(1)
    with fake_prometheus() as metrics:
        settings = {"prometheus_server": metrics.url, "web_url": f"http://127.0.0.1:{port}", "task_queue": queue}
        async with running_rig(client, home, **settings) as rig:
            pages = Pages(PaperWork(install_acme_1=checklist()), lab_hall, sessions)
            add_decisions(pages, rig.inventory.piece_of_evidence)
            await rig.approved(await rig.provision())
            rig.inventory.set_contract("acme-1", Contract(mode=Mode.RECOMMEND, most_capacity_gib=2))
            metrics.instances = {"acme-1": usage(growing)}
            async with served(pages.app, port):
                yield rig, metrics


def schedule(rig: Rig, every_s: int = 3600) -> Regular:
    return Regular(f"evaluate-scaling-{rig.parts.settings.task_queue}", "EvaluateScaling", every_s, EvaluateRequest())


async def until_recommended(rig: Rig) -> None:
    """Until the evaluation that was started has asked operators."""
    handle = rig.client.get_workflow_handle(RECOMMENDATION)

    async def asked() -> bool:
        try:
            await handle.describe()
        except RPCError:
            return False
        return True

    await until(asked)
    await until_waiting(handle, "recommendation")


async def keep(rig: Rig, regular: Regular) -> None:
    await bring_about(rig.client, regular, rig.parts.settings.task_queue)
