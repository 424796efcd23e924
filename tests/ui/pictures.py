"""The documentation's pictures of the Temporal Web UI: `python -m tests.ui.pictures [FOLDER]`.

A hall that exists only as data, everything else as an operator meets it.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Page, expect

from tests.conftest import TemporalServer, running_temporal
from tests.ui.pages import WebUi, a_tab, browsing, fresh_examples
from tests.workflows.rig import Rig, request, running_rig, until_waiting

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 860
SETTLE_MS = 1200
"""The pages draw their tables and timelines after they are there."""


async def take_all(server: TemporalServer, home: Path, folder: Path) -> None:
    client = await server.client("freehold-worker")
    async with (
        running_rig(client, home / "provider", task_queue="freehold") as rig,
        browsing() as browser,
        a_tab(browser, server.ui, "freehold", WIDTH, HEIGHT) as ui,
    ):
        await _take(rig, ui, folder)


async def _take(rig: Rig, ui: WebUi, folder: Path) -> None:
    await fresh_examples(rig)
    await ui.open_form("ProvisionInstance")
    await expect(ui.input).to_contain_text("example")
    await _shoot(ui.page, folder / "ui-start-form.png")

    active, waiting, other = [await rig.provision(name) for name in ("acme-1", "beta-1", "acme-2")]
    await rig.approved(active)
    for handle in (waiting, other):
        plan_hash = (await until_waiting(handle)).plan_hash
    await ui.open_run(active.id)
    await ui.until_ended("Completed")
    for button in ("Minimized", "Descending"):
        await ui.page.get_by_role("button", name=button).click()
    await _shoot(ui.page, folder / "ui-timeline.png", below="Event History")
    for button in ("Expanded", "Ascending"):
        await ui.page.get_by_role("button", name=button).click()

    await ui.open_run(waiting.id)
    await _shoot(ui.page, folder / "ui-waiting.png")
    await ui.open_details(waiting.id)
    await _shoot(ui.page, folder / "ui-details.png", height=1250)
    await ui.open_run(other.id)
    await ui.open_dialog("Update")
    await _shoot(ui.page, folder / "ui-update.png")
    await ui.page.reload()
    await ui.send("Update", "approve", {"operator": "olivia", "plan_hash": plan_hash})
    await expect(ui.page.get_by_role("alert").first).to_be_visible()
    await _shoot(ui.page, folder / "ui-refused.png")

    await ui.until_listed('FreeholdWaitingFor="approvers"', waiting.id, other.id)
    await ui.page.get_by_role("button", name="Collapse saved views").click()
    await _shoot(ui.page, folder / "ui-list.png", height=380)

    wrong = {**request("acme-3").model_dump(mode="json"), "capacity_gib": "much", "colour": "blue"}
    await ui.start("ProvisionInstance", "provision-acme-3", wrong)
    await ui.until_ended("Failed")
    await _shoot(ui.page, folder / "ui-wrong-input.png")


async def _shoot(page: Page, path: Path, height: int = HEIGHT, below: str = "") -> None:
    """The page as far as `height`, or all of it below a heading."""
    await page.set_viewport_size({"width": WIDTH, "height": 1800 if below else height})
    await page.wait_for_timeout(SETTLE_MS)
    top = 0.0
    if below:
        box = await page.get_by_role("heading", name=below).bounding_box()
        assert box is not None
        top, height = box["y"] - 6, 900
    await page.screenshot(path=path, clip={"x": 0, "y": top, "width": WIDTH, "height": height})
    await page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def _compress(pictures: list[Path]) -> None:
    """To 256 colours, a third of the size."""
    if shutil.which("pngquant") is None:
        print("pngquant is not installed; the pictures stay large")
        return
    subprocess.run(["pngquant", "--force", "--ext", ".png", "--speed", "1", *map(str, pictures)], check=True)


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running_temporal(Path(home)) as server:
        asyncio.run(take_all(server, Path(home), folder))
    _compress(sorted(folder.glob("ui-*.png")))


if __name__ == "__main__":
    main()
