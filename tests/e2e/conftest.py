"""One lab and one stack for all tests of a folder. They tell one story, in the order of the file."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.datacentre import DataCentre, standing
from tests.e2e.eavesdropper import Eavesdropper

_broken = pytest.StashKey[dict[str, str]]()
"""By folder, the test in which its story broke."""


@pytest.fixture(scope="package")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    with standing(tmp_path_factory.mktemp("e2e"), "e2e", "198.18.72.0/24") as made:
        yield made


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
        item.session.stash.setdefault(_broken, {}).setdefault(str(item.path.parent), item.name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if name := item.session.stash.get(_broken, {}).get(str(item.path.parent)):
        pytest.skip(f"the story broke in {name}")


@pytest.fixture(autouse=True)
def _seconds(record_property: Any) -> Iterator[None]:
    began = time.monotonic()
    yield
    record_property("seconds", round(time.monotonic() - began, 1))
