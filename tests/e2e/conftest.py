"""One lab and one stack for all tests of this folder. They tell one story, in the order of the file."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from freehold.lab import fleet
from freehold.lab.names import labs_folder
from tests.conftest import own_settings
from tests.e2e.datacentre import COMMAND, LAB, MANAGEMENT, DataCentre, write_hall
from tests.e2e.eavesdropper import Eavesdropper

_broken = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    fleet.sweep()
    folder = tmp_path_factory.mktemp("e2e")
    # The watch on cables would open sessions with switches at moments that the tests take for a procedure's.
    quiet = {"instance_scrape_interval_s": 5, "cable_watch_s": 0}
    settings = own_settings(folder / "home").model_copy(update=quiet)
    centre = DataCentre(settings)
    fleet.own(labs_folder() / LAB)
    with _guarded(centre):
        write_hall(folder / "hall.yaml")
        centre.run("lab", "up", "--hall", str(folder / "hall.yaml"), "--name", LAB, "--management", MANAGEMENT)
        centre.json("inventory", "import", str(centre.lab.handover))
        centre.json("up")
        yield centre


@contextmanager
def _guarded(centre: DataCentre) -> Iterator[None]:
    """Takes stack and lab down at the end; when pytest is killed, a process that waits for that does."""
    freehold = " ".join(COMMAND)
    guard = subprocess.Popen(
        ["sh", "-c", f"read line; {freehold} down; {freehold} lab down --name {LAB}", "guard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=centre.env(),
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert guard.stdin
        guard.stdin.close()
        guard.wait(100)


@pytest.fixture(scope="session")
def eavesdropper() -> Iterator[Eavesdropper]:
    """Hears what stands in process lists from its first use on."""
    with Eavesdropper() as listening:
        yield listening


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A story that broke is not told on: what follows would only fail for the same reason, and late."""
    outcome: Any = yield
    if outcome.get_result().failed:
        item.session.stash.setdefault(_broken, item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if (name := item.session.stash.get(_broken, "")) and item.path.parent.name == "e2e":
        pytest.skip(f"the story broke in {name}")


@pytest.fixture(autouse=True)
def _seconds(record_property: Any) -> Iterator[None]:
    began = time.monotonic()
    yield
    record_property("seconds", round(time.monotonic() - began, 1))
