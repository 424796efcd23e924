"""Takes the pictures of the documentation: `python -m tests.web.pictures docs/pictures`.

The pages run in this process on work on paper; a real Chromium of a phone's size looks at them.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Page

from freehold.models.checklist import Checklist
from freehold.web.pages import Pages
from freehold.web.sessions import Sessions
from freehold.web.sheet import render_sheet
from tests.ui.pages import a_context, browsing
from tests.web.paper import RUN, PaperWork, after_a_swap, checklist, lab_hall
from tests.web.site import make_sessions, served

PHONE = {"width": 390, "height": 844}


@asynccontextmanager
async def phone(*, javascript: bool = False) -> AsyncIterator[Page]:
    """A browser window of a phone's size, without JavaScript unless it is asked for."""
    size = {"viewport": PHONE, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
    async with browsing() as browser, a_context(browser, **size, java_script_enabled=javascript) as context:
        page = await context.new_page()
        page.set_default_timeout(15_000)
        yield page


def link_of(sessions: Sessions, name: str = "tess") -> str:
    account = sessions.accounts.get(name)
    assert account is not None
    return f"/link/{sessions.link_token(account)}"


async def take_phone_pictures(folder: Path, home: Path) -> list[Path]:
    sessions = make_sessions(home)
    work = PaperWork(install_acme_1=after_a_swap(), install_beta_1=_other())
    taken = []
    async with served(Pages(work, lab_hall, sessions).app) as url, phone() as page:

        async def shoot(name: str, *, whole: bool = False) -> None:
            if whole:  # the head of the page stays where it is while a picture of the whole page is taken
                await page.evaluate("scrollTo(0, 0)")
            await page.wait_for_timeout(300)
            path = folder / f"phone-{name}.png"
            await page.screenshot(path=path, full_page=whole)
            taken.append(path)

        await page.goto(f"{url}/login")
        await shoot("login")
        await page.goto(url + link_of(sessions))
        await shoot("work")
        await page.goto(f"{url}/runs/{RUN}")
        await shoot("do-again")
        await shoot("checklist", whole=True)
        await page.goto(f"{url}/runs/{RUN}/items/cable:leaf1.swp11")
        await shoot("item-again", whole=True)
        await page.goto(f"{url}/runs/{RUN}/items/cable:leaf2.swp9")
        await page.get_by_text("Problem", exact=True).tap()
        await shoot("problem", whole=True)
        await page.goto(f"{url}/runs/install-beta-1")
        async with page.expect_navigation():
            await page.get_by_role("button", name="Done: Mount srv-10").tap()
        await shoot("confirmed")
    return taken


def take_sheet_pictures(folder: Path) -> list[Path]:
    pdf = sheet()
    for old in folder.glob("sheet-*.png"):
        old.unlink()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "work-order.pdf"
        file.write_bytes(pdf)
        subprocess.run(["pdftoppm", "-r", "80", "-png", str(file), str(folder / "sheet")], check=True, timeout=60)
    return sorted(folder.glob("sheet-*.png"))


def sheet() -> bytes:
    at = datetime(2025, 3, 4, 8, 0, tzinfo=UTC)
    return render_sheet(lab_hall(), checklist(), run=RUN, base_url="https://freehold.example", at=at)


def _other() -> Checklist:
    return checklist().model_copy(update={"instance": "beta-1", "title": "Install 2 servers for beta-1"})


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        taken = asyncio.run(take_phone_pictures(folder, Path(home)))
    for path in [*taken, *take_sheet_pictures(folder)]:
        print(path)


if __name__ == "__main__":
    main()
