"""Scaling by schedule as an operator meets it: the schedule, the recommendation, and the picture behind it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from freehold.models.procedure import Outcome
from tests.conftest import TemporalServer
from tests.ui.pages import a_tab
from tests.ui.scaling import RECOMMENDATION, growing_provider, keep, schedule, until_recommended
from tests.web.site import PASSWORD
from tests.workflows.rig import until_waiting

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]


async def test_a_schedule_is_paused_and_triggered_and_its_recommendation_accepted(
    browser: Browser, temporal: TemporalServer, tmp_path: Path
) -> None:
    pictures = Path(os.environ.get("FREEHOLD_PICTURES", tmp_path))
    client = await temporal.client("freehold-worker")
    async with (
        growing_provider(client, tmp_path, f"ui-{tmp_path.name}") as (rig, _),
        a_tab(browser, temporal.ui, rig.parts.settings.task_queue, 1280, 860) as ui,
    ):
        regular = schedule(rig)
        await keep(rig, regular)
        try:
            schedules = f"{temporal.ui}/namespaces/default/schedules"
            await ui.open(schedules, ui.page.get_by_role("link", name=regular.id))
            await ui.open(f"{schedules}/{regular.id}", ui.page.get_by_text("EvaluateScaling"))
            await ui.switch_schedule("Pause", "maintenance")
            await expect(ui.page.get_by_text("Paused").first).to_be_visible()
            await keep(rig, regular)  # as workers do when they start
            state = (await rig.client.get_schedule_handle(regular.id).describe()).schedule.state
            assert (state.paused, state.note) == (True, "maintenance")
            await ui.switch_schedule("Unpause", "it is over")
            await ui.trigger_schedule()
            await until_recommended(rig)
            await ui.open(f"{schedules}/{regular.id}", ui.page.get_by_role("heading", name=regular.id))
            await expect(ui.page.get_by_text("Recent Runs").first).to_be_visible()
            await ui.page.wait_for_timeout(1500)
            await ui.shoot(pictures / "ui-schedule.png")

            details = await ui.open_details(RECOMMENDATION)
            await expect(details.get_by_role("heading")).to_contain_text("Waits for operators until")
            link = details.get_by_role("link", name="The figures and the forecast")
            page = await link.get_attribute("href")
            assert page is not None
            await ui.page.wait_for_timeout(1000)
            await ui.shoot(pictures / "ui-recommendation.png")

            look = await ui.page.context.new_page()
            await look.goto(page)
            await look.get_by_label("Name").fill("olivia")
            await look.get_by_label("Password").fill(PASSWORD)
            await look.get_by_role("button", name="Log in").click()
            await expect(look.locator("figure svg").first).to_be_visible()
            await look.screenshot(path=pictures / "decision.png", full_page=True)

            await ui.open_run(RECOMMENDATION)
            await ui.send("Update", "accept", {"operator": "olivia"})
            await ui.until_ended("Completed")
            scaling = rig.client.get_workflow_handle("scale-up-acme-1", result_type=Outcome)
            assert (await until_waiting(scaling)).because is not None
            await rig.approved(scaling)
        finally:
            await keep(rig, replace(regular, every_s=0))
