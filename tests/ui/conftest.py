"""A Chromium for the session, and for each test a tab, a rig with its worker, and the completed examples."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.conftest import TemporalServer
from tests.ui.pages import WebUi, a_tab, browsing, chromium, fresh_examples
from tests.workflows.rig import Rig, running_rig

FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    if chromium() is None and os.environ.get("CI") != "true":
        pytest.skip("no Chromium: install Debian's package chromium-headless-shell")
    async with browsing() as made:
        yield made


@pytest.fixture
async def rig(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(await temporal.client(), tmp_path) as made:
        yield made


@pytest.fixture
async def ui(
    browser: Browser, temporal: TemporalServer, rig: Rig, request: pytest.FixtureRequest
) -> AsyncIterator[WebUi]:
    async with a_tab(browser, temporal.ui, rig.parts.settings.task_queue) as made:
        yield made
        if request.node.stash.get(FAILED, False):
            print(f"The page at {made.page.url} says:\n{await made.page.locator('body').inner_text()}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tells the fixture of the page whether to say what it showed."""
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


@pytest.fixture
async def examples(rig: Rig) -> None:
    await fresh_examples(rig)
