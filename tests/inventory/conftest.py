"""An inventory on SQLite and, for every test that takes one, the same on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from freehold.inventory import Inventory
from freehold.models.hall import Hall
from tests.halls import small_hall
from tests.inventory.postgresql import postgresql


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/inventory.db"
    server: str = request.getfixturevalue("postgres_server")
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
    return server.replace("/postgres?", f"/{name}?")


@pytest.fixture
def hall() -> Hall:
    return small_hall().build()


@pytest.fixture
def inventory(url: str, hall: Hall) -> Iterator[Inventory]:
    """With the small hall in it."""
    opened = Inventory(url)
    opened.import_hall(hall, {d.name: f"ssh-ed25519 KEY{d.serial}" for d in hall.devices})
    yield opened
    opened.close()
