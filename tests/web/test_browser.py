"""The technicians' page in a real Chromium of a phone's size, without JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Locator, Page

from freehold.web.pages import Pages
from tests.web.paper import RUN, PaperWork, after_a_swap, checklist, lab_hall
from tests.web.pictures import PHONE, link_of, phone, take_phone_pictures
from tests.web.site import PASSWORD, make_sessions, served

pytestmark = pytest.mark.browser

GLOVE = 44  # pixels: a finger's target by the accessibility guidelines; the tick box is far larger


async def tap(page: Page, target: Locator) -> None:
    """Tap what sends or leads, and wait for the page that it leads to."""
    async with page.expect_navigation():
        await target.tap()


async def narrow(page: Page) -> None:
    """Nothing sticks out to the right, nothing that is tapped is small."""
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{page.url} is {wide} pixels wide"
    for target in await page.locator("button:visible, summary:visible, a.wide:visible, a.run:visible").all():
        box = await target.bounding_box()
        assert box and box["height"] >= GLOVE, (page.url, await target.inner_text(), box)


async def test_a_technician_works_through_a_rack(tmp_path: Path) -> None:
    sessions, work = make_sessions(tmp_path), PaperWork(install_acme_1=checklist())
    async with served(Pages(work, lab_hall, sessions).app) as url, phone() as page:
        await page.goto(f"{url}/runs/{RUN}")
        await page.get_by_label("Name").fill("tess")
        await page.get_by_label("Password").fill(PASSWORD)
        await narrow(page)
        await tap(page, page.get_by_role("button", name="Log in"))
        await narrow(page)
        box = await page.get_by_role("button", name="Done: Mount srv-10").bounding_box()
        assert box and box["width"] >= 76 and box["height"] >= 76
        await tap(page, page.get_by_role("button", name="Done: Mount srv-10"))
        assert await page.get_by_role("status").inner_text() == "1 noted as done; 9 open"
        shown = await page.get_by_text("tess says it is done").bounding_box()
        assert shown and 60 < shown["y"] < PHONE["height"], "the page opens again where the technician was"
        card = page.locator("#item-3")
        await card.get_by_text("Problem", exact=True).tap()
        await card.get_by_label("the port is taken").tap()
        await narrow(page)
        await tap(page, card.get_by_role("button", name="Report the problem"))
        await tap(page, page.get_by_role("button", name="of rack r1 are done"))
        assert [said.done for _, said, _ in work.said] == [
            ("rack:srv-10",),
            (),
            ("feed:srv-10", "cable:leaf1.swp12", "power-on:srv-10"),
        ]
        assert work.said[1][1].problems == {"cable:leaf1.swp11": "the port is taken"}
        assert {identity for _, _, identity in work.said} == {"tess"}


async def test_the_swap_is_seen_and_every_page_fits(tmp_path: Path) -> None:
    sessions, work = make_sessions(tmp_path), PaperWork(install_acme_1=after_a_swap())
    async with served(Pages(work, lab_hall, sessions).app) as url, phone() as page:
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        await page.goto(url + link_of(sessions))
        await narrow(page)
        await tap(page, page.get_by_text("Install 2 servers"))
        await narrow(page)
        figure = await page.locator(".first figure").first.bounding_box()
        assert figure and figure["width"] > 300
        for item in after_a_swap().items:
            await page.goto(f"{url}/runs/{RUN}/items/{item.id}")
            await narrow(page)
        assert complaints == []


async def test_the_pictures_of_the_documentation_can_be_taken(tmp_path: Path) -> None:
    taken = await take_phone_pictures(tmp_path, tmp_path / "home")
    assert len(taken) == 7 and all(path.stat().st_size > 10_000 for path in taken)
