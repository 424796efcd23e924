from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.client.s3_server import Given, s3_server


@pytest.fixture
def server() -> Iterator[Given]:
    with s3_server() as server:
        yield server
