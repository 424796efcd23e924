"""A lab of its own, beside that of the other story."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.datacentre import DataCentre, standing


@pytest.fixture(scope="package")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataCentre]:
    with standing(tmp_path_factory.mktemp("grow"), "grow", "198.18.73.0/24") as made:
        yield made
