"""The database behind the inventory: SQLite or PostgreSQL by URL, migrated when it is opened.

There is one writer at a time on both: SQLite by BEGIN IMMEDIATE, PostgreSQL by an advisory lock. So a
transaction may look before it writes; the keys of the tables would refuse what it overlooked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from freehold.errors import BadInput, Conflict
from freehold.inventory.schema import REVISION

log = structlog.get_logger(__name__)

BUSY_TIMEOUT_S = 30
_READING = "freehold_reading"
_WRITER_LOCK = 0x46524545  # any number that is ours


class Database:
    """An engine and its two kinds of transaction."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        options: dict[str, Any] = {_READING: True}
        if self._engine.dialect.name == "postgresql":
            options["isolation_level"] = "REPEATABLE READ"
        self._reading = self._engine.execution_options(**options)
        try:
            self._migrate()
        except OperationalError as error:
            shown = self._engine.url.render_as_string(hide_password=True)
            raise Conflict(f"The inventory at {shown} cannot be opened: {error.orig}.") from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Everything read in it is of one moment."""
        with Session(self._reading) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """All or nothing, one at a time."""
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self._engine.dispose()

    def _migrate(self) -> None:
        with self._reading.connect() as connection:
            if _revision(connection) == REVISION:
                return
        with self._engine.begin() as connection:
            found = _revision(connection)
            if found == REVISION:  # another process was faster
                return
            _upgrade(connection, found)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise BadInput("database_url: not a database URL; write sqlite:////path/to/file or postgresql://...") from error
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise BadInput("database_url: the inventory needs a file; write sqlite:////path/to/file")
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.get_backend_name() == "postgresql":
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"), connect_args={"connect_timeout": 10}, pool_pre_ping=True
        )
        event.listen(engine, "begin", _begin_postgresql)
        return engine
    raise BadInput(f"database_url: {parsed.get_backend_name()!r} is not supported; use sqlite or postgresql")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    if not connection.get_execution_options().get(_READING):
        connection.execute(text(f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _WRITER_LOCK})


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Connection, found: str | None) -> None:
    # Imported here: every command opens the inventory, few migrate it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Conflict(f"The inventory was written by a newer Freehold (schema {found}, known is {REVISION}): update.")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISION)
    log.info("inventory migrated", before=found, after=REVISION)
