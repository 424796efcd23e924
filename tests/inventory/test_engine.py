"""The database: migrations say what the code says, what cannot be used is refused in a sentence."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from threading import Timer

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from freehold.errors import BadInput, Conflict, FreeholdError
from freehold.inventory import Inventory
from freehold.inventory.schema import REVISION, Base
from freehold.models.hall import Hall
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request


def test_migrations_make_the_tables_that_the_code_expects(inventory: Inventory, url: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == REVISION
    engine.dispose()


def test_a_newer_database_is_refused(inventory: Inventory, url: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Conflict, match=rf"newer Freehold \(schema 9999, known is {REVISION}\)"):
        Inventory(url)


def test_an_older_database_is_brought_up_to_date(inventory: Inventory, hall: Hall, url: str) -> None:
    """As it was before instances could change."""
    plan = plan_instance(request(), COMPACT, inventory.snapshot())
    inventory.reserve(plan)
    before = inventory.fingerprint()
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE instances DROP COLUMN target"))
        connection.execute(text("ALTER TABLE instances DROP COLUMN given_up"))
        connection.execute(text("ALTER TABLE instances DROP COLUMN changed_at"))
        connection.execute(text("DROP TABLE scaling"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    again = Inventory(url)
    assert again.fingerprint() == before
    assert again.instance("acme-1").target is None
    again.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_urls_that_cannot_be_used_are_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"^database_url: "):
        Inventory(url)


def test_a_server_that_does_not_answer_is_told_without_the_password() -> None:
    with pytest.raises(FreeholdError, match="cannot be opened") as refusal:
        Inventory("postgresql://freehold:hunter2@127.0.0.1:13899/freehold")
    assert "hunter2" not in str(refusal.value)


def test_a_failed_migration_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "inventory.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE files (x)")  # in the way of the migration's last table
    with pytest.raises(FreeholdError, match="files"):
        Inventory(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("files",)]


def test_readers_do_not_wait_for_a_writer_and_writers_do(tmp_path: Path, hall: Hall) -> None:
    path = tmp_path / "inventory.db"
    inventory = Inventory(f"sqlite:///{path}")
    inventory.import_hall(hall, {})
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    assert inventory.hosts("acme")
    Timer(0.3, writer.execute, ["COMMIT"]).start()
    began = time.monotonic()
    inventory.take_lease("acme-1", "ScaleUp", "workflow", "run")
    assert time.monotonic() - began > 0.2
    writer.close()
    inventory.close()
