"""Transactions on MariaDB that neither block eventlet's hub nor outlive a lost connection."""

import collections
import contextlib
import warnings

import MySQLdb
from eventlet import tpool
from MySQLdb.constants import ER
from swift.common.exceptions import DiskFileNoSpace
from swift.common.swob import HTTPException

from .schema import SchemaError, migrate

DEFAULT_CHUNK_SIZE = 1 << 20
DEFAULT_LEASE_SECONDS = 300
# A statement carries one chunk, of which each byte may be a quote to be doubled, or one object's metadata.
PACKET_OVERHEAD = 64 << 10
ATTEMPTS = 5
LOST_RACES = {ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.DUP_ENTRY}
FULL = {1021, ER.RECORD_FILE_FULL}  # MySQLdb has no name for ER_DISK_FULL


class DatabaseUnavailable(HTTPException):
    """Answered as 503: the proxy tries another replica and does not shut the device out, as it would after 507.

    It is no DiskFileError, because SSYNC reads those as "this object is not here", goes on, and counts the
    object as in sync.
    """

    def __init__(self, reason):
        super().__init__(status=503, body=f"{reason}\n", content_type="text/plain")
        self.reason = reason

    def __str__(self):
        return self.reason


class Database:
    """A pool of connections; `run` is the only way in."""

    def __init__(self, conf, logger):
        self.logger = logger
        self.chunk_size = int(conf.get("mariadb_chunk_size", DEFAULT_CHUNK_SIZE))
        if self.chunk_size < 1:
            raise ValueError(f"mariadb_chunk_size is {self.chunk_size}: it must be at least 1 byte")
        # A lease that was not renewed for this long lapses: its process is dead or cut off.
        self.lease_seconds = int(conf.get("lease_seconds", DEFAULT_LEASE_SECONDS))
        timeout = int(conf.get("mariadb_timeout", 60))
        self._options = {
            "unix_socket": conf.get("mariadb_socket", "/run/mysqld/mysqld.sock"),
            "user": conf.get("mariadb_user", "swift"),
            "db": conf.get("mariadb_database", "swift_objects"),
            "charset": "latin1",
            "connect_timeout": min(timeout, 5),
            "read_timeout": timeout,
            "write_timeout": timeout,
            "autocommit": True,
        }
        # deque.append and .pop are atomic, and native threads may take no lock that eventlet has patched
        self._idle = collections.deque()
        self._prepared = False

    def run(self, work, *args):
        """Run `work(cursor, *args)` as one transaction in a native thread.

        It is run again when it lost a race against another transaction, so it must have no other effect.
        """
        try:
            return tpool.execute(self._transaction, work, args)
        except (DatabaseUnavailable, DiskFileNoSpace) as error:
            # Said here and not where it happens: eventlet has patched the locks of log handlers, and of two native
            # threads that want one at once, one would wait for ever.
            self.logger.error("%s", error)
            raise

    def _transaction(self, work, args):
        for attempt in range(1, ATTEMPTS + 1):
            connection = self._connection()
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    connection.begin()
                    result = work(cursor, *args)
                    connection.commit()
            except BaseException as error:
                # Closing rolls back, and a connection that failed is never handed out again.
                _close(connection)
                if not isinstance(error, MySQLdb.Error):
                    raise
                if _code(error) not in LOST_RACES or attempt == ATTEMPTS:
                    raise _translated(error) from error
            else:
                self._idle.append(connection)
                return result
        raise AssertionError("unreachable")

    def _connection(self):
        """A connection that answers: idle ones are asked first, since a restarted server leaves dead ones behind."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._connect()
            try:
                connection.ping()
                return connection
            except MySQLdb.Error:
                _close(connection)

    def _connect(self):
        try:
            connection = MySQLdb.connect(**self._options)
        except MySQLdb.Error as error:
            raise _translated(error) from error
        try:
            with contextlib.closing(connection.cursor()) as cursor, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
                cursor.execute(
                    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES', innodb_lock_wait_timeout = 5"
                )
                cursor.execute("SET @lease_seconds = %s", (self.lease_seconds,))
                if not self._prepared:
                    self._check_packet(cursor)
                    migrate(cursor)
                    self._prepared = True
        except (MySQLdb.Error, SchemaError) as error:
            _close(connection)
            raise _translated(error) from error
        return connection

    def _check_packet(self, cursor):
        cursor.execute("SELECT @@max_allowed_packet")
        allowed = int(cursor.fetchone()[0])
        needed = 2 * max(self.chunk_size, DEFAULT_CHUNK_SIZE) + PACKET_OVERHEAD
        if allowed < needed:
            raise SchemaError(
                f"max_allowed_packet is {allowed} bytes, but mariadb_chunk_size {self.chunk_size} needs {needed} "
                "(twice the chunk for doubled quotes, and some for the statement): raise the one or lower the other"
            )


def _translated(error):
    if isinstance(error, MySQLdb.Error) and _code(error) in FULL:
        return DiskFileNoSpace(f"MariaDB has no space left: {error}")
    return DatabaseUnavailable(f"MariaDB failed: {error}")


def _code(error):
    return error.args[0] if error.args else None


def _close(connection):
    with contextlib.suppress(MySQLdb.Error):
        connection.close()
