"""One rig per test on the session's real Temporal server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.conftest import TemporalServer
from tests.workflows.rig import Rig, running_rig


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await temporal.client()


@pytest.fixture
async def rig(client: Client, tmp_path: Path) -> AsyncIterator[Rig]:
    async with running_rig(client, tmp_path) as made:
        yield made
