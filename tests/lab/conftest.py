from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from freehold.lab import Lab
from freehold.lab.testing import small_lab


@pytest.fixture(autouse=True)
def _root_for_machines(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("lab") and os.geteuid() != 0:
        pytest.skip("only root can boot machines")


@pytest.fixture(scope="package")
def lab() -> Iterator[Lab]:
    """Both leaves, a server, a spare that is off, and a host of each customer."""
    on = ["leaf1", "leaf2", "srv-1", "acme-host", "beta-host"]
    with small_lab("tlab", "198.18.9.0/25", on, off=["srv-3"]) as lab:
        yield lab
