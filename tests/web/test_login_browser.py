"""The login page and the Temporal Web UI behind it, in a real Chromium."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from freehold.web.login import make_app
from tests.conftest import TemporalServer
from tests.ui.pages import a_tab, browsing, chromium, option
from tests.web.site import PASSWORD, make_sessions, served
from tests.workflows.rig import running_rig, until_waiting

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not chromium(), reason="needs Chromium"),
]


async def test_people_work_in_the_ui_as_before_under_their_names(temporal: TemporalServer, tmp_path: Path) -> None:
    app = make_app(make_sessions(tmp_path / "site"), temporal.ui)
    client = await temporal.client()
    async with running_rig(client, tmp_path / "rig") as rig, served(app) as url, browsing() as browser:
        run = await rig.provision("acme-7")
        hash_ = (await until_waiting(run)).plan_hash
        async with a_tab(browser, url, rig.parts.settings.task_queue) as ui:
            page = ui.page
            await _log_in(page, f"{url}/namespaces/default/workflows/{run.id}", "olivia")
            await _signal(page, {"operator": "olivia", "plan_hash": hash_})
            await expect(page.get_by_text("olivia (operator) may not approve, reject or withdraw.")).to_be_visible()
            await page.goto(f"{url}/freehold/login")
            await page.get_by_role("button", name="Log out").click()
            await _log_in(page, f"{url}/namespaces/default/workflows/{run.id}", "amir")
            await _signal(page, {"operator": "amir", "plan_hash": hash_})
            assert (await run.result()).outcome == "active"
        signals = [
            event.workflow_execution_signaled_event_attributes
            async for event in run.fetch_history_events()
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
        assert [(s.signal_name, s.identity) for s in signals if s.signal_name == "approve"] == [("approve", "amir")]


async def _log_in(page: Page, target: str, name: str) -> None:
    await page.goto(target)
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_text("provision-acme-7").first).to_be_visible()
    assert page.url.startswith(target)


async def _signal(page: Page, message: dict[str, str]) -> None:
    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Signal").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Select a").click()
    await option(page, "approve").click()
    editor = page.locator(".cm-content[contenteditable=true]:visible").first
    await editor.click()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.insert_text(json.dumps(message, indent=2))
    await editor.blur()  # it tidies up what it holds, which would move a button away under the click
    await page.wait_for_timeout(300)
    await dialog.get_by_role("button", name="Submit").click()
