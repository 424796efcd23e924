"""The Temporal Web UI as an operator uses it: forms, dialogs, tabs. Nothing here talks to Temporal but the browser."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from playwright.async_api import Browser, BrowserContext, FrameLocator, Locator, Page, Route, async_playwright, expect
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from tests.workflows.rig import Rig
from workers.examples import EXAMPLES, make_examples

PATIENCE_MS = 40_000
# The first one draws no window of its own, which takes half of the time.
PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")

# A run that waits is shown with a pulse, which would take half a processor as long as the page is open.
STILL = """
document.addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style")
  style.textContent = "*, ::before, ::after { animation: none !important; transition: none !important }"
  document.head.append(style)
})
"""


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """A Chromium without a window; it ends with this context, or with this process."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def a_tab(
    browser: Browser, address: str, task_queue: str = "", width: int = 1400, height: int = 1000
) -> AsyncIterator[WebUi]:
    """The Web UI in a tab of its own. Where it shows its page of errors it is refreshed, as that page says."""
    async with a_context(browser, viewport={"width": width, "height": height}) as context:
        await context.add_init_script(STILL)
        page = await context.new_page()
        refresh = page.get_by_role("button", name="Try a refresh")
        await page.add_locator_handler(refresh, lambda _: page.reload(), no_wait_after=True)
        yield WebUi(page, address, task_queue)


@asynccontextmanager
async def a_context(browser: Browser, **options: Any) -> AsyncIterator[BrowserContext]:
    """Tabs that share cookies and nothing with others."""
    context = await browser.new_context(**options)
    try:
        await context.route("**/*", _fetch)
        yield context
    finally:
        await context.unroute_all(behavior="ignoreErrors")
        await context.close()


async def _fetch(route: Route) -> None:
    """Ask in Chromium's place: it drops what it has asked for whenever an address of this computer comes or goes, as
    those of labs do, and the UI then shows its page of errors."""
    await route.fulfill(response=await route.fetch(max_redirects=0, timeout=0))


class WebUi:
    """One tab of a browser at the Web UI of one server."""

    def __init__(self, page: Page, address: str, task_queue: str) -> None:
        self.page = page
        self._base = f"{address}/namespaces/default/workflows"
        self.task_queue = task_queue
        self._shows = ""
        """What kind of page is open; empty when that is not known."""
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)

    async def open_list(self, query: str = "") -> None:
        url = f"{self._base}?{urlencode({'query': query})}" if query else self._base
        await self.open(url, self.page.get_by_role("table", name="Workflows"))

    async def open(self, url: str, shows: Locator) -> None:
        """A page of the UI, as soon as it shows this. One answer of the server that fails leaves a page half empty."""

        async def opened(go: Callable[[str], Awaitable[Any]]) -> bool:
            await go(url)
            with suppress(AssertionError):
                await expect(shows.first).to_be_visible(timeout=PATIENCE_MS / 4)
            return await shows.first.is_visible()

        kind, shown, self._shows = _kind(url), self._shows, ""
        # A page of the same kind would keep what it knows, for one an open dialog.
        if shown in ("", kind) or not await opened(self._follow):
            await until(partial(opened, self.page.goto))
        self._shows = kind

    async def _follow(self, url: str) -> None:
        """As a link of the UI, which loads none of its 180 programs again."""
        before = self.page.url
        await self.page.evaluate(
            "url => { const link = document.createElement('a'); link.href = url; document.body.append(link);"
            " link.click(); link.remove() }",
            url,
        )
        await self.page.wait_for_url(lambda now: now != before)

    async def until_listed(self, query: str, *workflow_ids: str) -> None:
        """The list under a query, as soon as it has these runs: the server lists them a moment later."""

        async def listed() -> bool:
            await self.open_list(query)
            return all([await self.row(workflow_id).count() for workflow_id in workflow_ids])

        await until(listed)

    def row(self, workflow_id: str) -> Locator:
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("link", name=workflow_id, exact=True))

    async def open_form(self, kind: str, workflow_id: str = "") -> None:
        """The start form by the link that the documentation gives."""
        query = {"taskQueue": self.task_queue, "workflowType": kind, "workflowId": workflow_id}
        await self.open(f"{self._base}/start-workflow?{urlencode(query)}", self.page.locator(".cm-content"))
        await expect(self.page.locator("#workflowId")).to_have_value(workflow_id)

    @property
    def input(self) -> Locator:
        """The editor of the JSON, in the start form or in an open dialog."""
        return self.page.locator(".cm-content[contenteditable=true]:visible").first

    async def type_json(self, value: Any) -> None:
        """Replace what the editor holds. Text goes in as it is."""
        text = value if isinstance(value, str) else json.dumps(value, indent=2)
        await self.input.click()
        await self.page.keyboard.press("ControlOrMeta+A")
        await self.page.keyboard.press("Delete")
        await self.page.keyboard.insert_text(text)
        # It formats what it holds when it loses the focus, which would move a button away under the click.
        await self.input.blur()
        await self.page.wait_for_timeout(300)

    async def start(self, kind: str, workflow_id: str, value: Any) -> None:
        """Fill the start form, send it, and open the run that it started."""
        await self.open_form(kind, workflow_id)
        await self.type_json(value)
        await self.submit_form()
        await self.open_run(workflow_id)

    async def submit_form(self) -> None:
        await self.page.get_by_role("button", name="Start Workflow").click()
        await expect(self.page.get_by_text("Workflow Started", exact=False).first).to_be_visible()

    async def open_run(self, workflow_id: str) -> None:
        await self.open(f"{self._base}/{workflow_id}", self.page.get_by_role("heading", name=workflow_id))

    async def open_details(self, workflow_id: str) -> FrameLocator:
        """The tab with the current details; they are a document of their own."""
        await self.open_run(workflow_id)
        await self.page.get_by_role("tab", name="User Metadata").click()
        return self.details

    @property
    def details(self) -> FrameLocator:
        return self.page.frame_locator("iframe[title=output]").last

    async def send(self, how: str, name: str, value: Any) -> None:
        """Choose `how` ("Update" or "Signal") in the menu of an open run, fill the dialog and submit it."""
        dialog = await self.open_dialog(how)
        await self.option(name).click()
        await self.type_json(value)
        await dialog.get_by_role("button", name="Submit").click()

    def option(self, name: str) -> Locator:
        return option(self.page, name)

    async def open_dialog(self, how: str) -> Locator:
        """The dialog with the list of names open."""
        await self.page.get_by_role("button", name="More Actions").click()
        await self.page.get_by_role("menuitem", name=how).click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name="Select a").click()
        return dialog

    async def close_dialog(self) -> None:
        await self.page.keyboard.press("Escape")
        await expect(self.page.get_by_role("dialog")).to_be_hidden()

    async def switch_schedule(self, button: str, reason: str) -> None:
        """Pause or unpause the schedule whose page is open."""
        await self.page.get_by_role("button", name=button, exact=True).click()
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_label("Reason").fill(reason)
        await dialog.get_by_role("button", name=button).click()
        await expect(dialog).to_be_hidden()

    async def trigger_schedule(self) -> None:
        """Start what the schedule starts, at once."""
        await self.page.get_by_role("button", name="Schedule Actions").click()
        await self.page.get_by_role("menuitem", name="Trigger").click()
        await self.page.get_by_role("dialog").get_by_role("button", name="Trigger").click()

    async def until_ended(self, status: str) -> None:
        """Until the page of the open run shows this status; the page follows by itself."""
        await expect(self.page.get_by_text(status, exact=True).first).to_be_visible()

    def forget(self) -> None:
        """Begin anew with the next page."""
        self._shows = ""

    async def shoot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=path)


def _kind(url: str) -> str:
    last = urlsplit(url).path.rpartition("/")[2]
    return last if last in ("workflows", "start-workflow", "schedules") else "one of them"


async def fresh_examples(rig: Rig) -> tuple[str, ...]:
    """The examples that can be made, completed a moment ago; those of another inventory are deleted first."""
    for workflow_id in EXAMPLES:
        with suppress(RPCError):
            await rig.client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=rig.client.namespace, workflow_execution=WorkflowExecution(workflow_id=workflow_id)
                )
            )
        await until(partial(_is_gone, rig, workflow_id))
    made = await make_examples(rig.client, rig.parts.settings.task_queue, rig.inventory)
    for workflow_id in made:
        await rig.client.get_workflow_handle(workflow_id).result()
    return made


async def _is_gone(rig: Rig, workflow_id: str) -> bool:
    try:
        await rig.client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():
            await asyncio.sleep(0.1)


def option(page: Page, name: str) -> Locator:
    """A message in a dialog's list of names, where its description follows: others' may use the word, too."""
    return page.get_by_role("option", name=re.compile(rf"^\s*{name}\b")).first
