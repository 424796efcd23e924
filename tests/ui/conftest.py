"""A Chromium with a tab for the session, and for each test a rig with its worker, and the completed examples."""

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


@pytest.fixture(scope="session")
async def tab(browser: Browser, temporal: TemporalServer) -> AsyncIterator[WebUi]:
    """To load the UI takes longer than all that a test does with it."""
    async with a_tab(browser, temporal.ui) as made:
        yield made


@pytest.fixture
async def ui(tab: WebUi, rig: Rig, request: pytest.FixtureRequest) -> AsyncIterator[WebUi]:
    tab.task_queue = rig.parts.settings.task_queue
    yield tab
    if request.node.stash.get(FAILED, False):
        print(f"The page at {tab.page.url} says:\n{await tab.page.locator('body').inner_text()}")
        tab.forget()


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
