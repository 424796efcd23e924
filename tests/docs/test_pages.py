"""The pages: links lead somewhere, what programs write is up to date, and nothing of one computer is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.programs import architecture, scaling, settings, tour
from docs.programs.marked import table
from freehold.cli.main import COMMANDS
from freehold.models.hall import load_hall
from tests.cli.test_main import freehold

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = link.partition("#")
        if "://" in file:
            continue
        target = (page.parent / file) if file else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.M)
            assert anchor in {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}, link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_of_one_computer_is_in_a_page(page: Path) -> None:
    assert not re.search(r"/root/|/home/|/tmp/|" + re.escape(str(ROOT)), page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page: Path) -> None:
    said = re.findall(r"`(?:freehold|\.venv/bin/freehold) (?:--as \S+ )?([a-z]+)", page.read_text())
    assert set(said) <= COMMANDS.keys()


def test_every_command_of_the_tour_has_its_output() -> None:
    blocks = list(tour.BLOCK.finditer(tour.TOUR.read_text()))
    assert len(blocks) > 15
    assert [block[2] for block in blocks if not block[3].strip()] == []


def test_the_table_of_settings_is_that_of_the_code() -> None:
    assert table(("variable", "default", "what"), settings.rows()) in settings.PAGE.read_text()


def test_the_rules_in_the_page_are_the_shipped_ones(tmp_path: Path) -> None:
    shown = freehold("--home", str(tmp_path), "policy", "show", COLUMNS="200").stdout.splitlines()[1:]
    page = (ROOT / "docs" / "people.md").read_text()
    assert "\n".join(line.rstrip() for line in shown) in page


def test_the_picture_is_that_of_the_program() -> None:
    assert architecture.FILE.read_text() == "\n".join(architecture.picture()) + "\n"


def test_the_example_hall_is_a_hall() -> None:
    assert load_hall(ROOT / "docs/example-hall.yaml").device("srv-1").disks


@pytest.mark.parametrize("name", ["growth", "oscillation"])
def test_the_table_of_simulations_is_what_comes_out(name: str) -> None:
    found = scaling.simulated(only=(name,))
    lines = table(scaling.COLUMNS, scaling.rows(found)).splitlines()[2:]
    assert "\n".join(lines) in scaling.PAGE.read_text()
    assert (scaling.PICTURES / f"scaling-{name}.svg").read_text() == scaling.plot(*found[0])
