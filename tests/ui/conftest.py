"""A Chromium for the session, and for each test a tab, a rig with its worker, and the completed examples."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.conftest import TemporalServer
from tests.ui.pages import WebUi, browsing, chromium, fresh_examples
from tests.workflows.rig import Rig, running_rig


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if chromium() is None and os.environ.get("CI") != "true":
        pytest.skip("no Chromium: install Debian's package chromium")
    async with browsing() as made:
        yield made


@pytest.fixture
async def rig(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(await temporal.client(), tmp_path) as made:
        yield made


@pytest.fixture
async def ui(browser: Browser, temporal: TemporalServer, rig: Rig) -> AsyncIterator[WebUi]:
    context = await browser.new_context(viewport={"width": 1400, "height": 1000})
    try:
        yield WebUi(await context.new_page(), temporal.ui, rig.parts.settings.task_queue)
    finally:
        await context.close()


@pytest.fixture
async def examples(rig: Rig) -> None:
    await fresh_examples(rig)
