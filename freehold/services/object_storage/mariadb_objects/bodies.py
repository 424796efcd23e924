"""Bodies: the bytes of objects in chunks, and the leases that keep those which no object has."""

# ruff: noqa: S608 - only names written in this file are put into SQL; values are parameters

import collections
import contextlib

import eventlet
from swift.common.swob import HTTPException

from . import prepared
from .database import DatabaseUnavailable

RENEWALS_PER_LEASE = 5
# Each connection sets @lease_seconds, so that every statement means the same lease.
ONE_LEASE_FROM_NOW = "UTC_TIMESTAMP(6) + INTERVAL @lease_seconds SECOND"


def create_leased(cursor, chunk_size):
    """A body for an upload: it lives as long as its lease is renewed, until an object has it."""
    cursor.execute(f"INSERT INTO bodies (chunk_size, expires_at) VALUES (%s, {ONE_LEASE_FROM_NOW})", (chunk_size,))
    return cursor.lastrowid


def create_owned(cursor, chunk_size, content):
    """A body of one chunk for the object that this transaction writes."""
    cursor.execute("INSERT INTO bodies (chunk_size) VALUES (%s)", (chunk_size,))
    body = cursor.lastrowid
    add_chunk(cursor, body, 0, content)
    return body


def add_chunk(cursor, body, seq, content):
    insert = b"INSERT INTO chunks (body, seq, data) VALUES (%d, %d, %s)"
    if prepared.available(cursor.connection):
        prepared.execute(cursor.connection, insert % (body, seq, b"?"), content)
    else:
        # Connections are of a single-byte character set and in NO_BACKSLASH_ESCAPES mode (see Database): a quote is
        # the only byte that means anything in a string, and doubling it is far faster than the driver's escaping.
        quoted = content.replace(b"'", b"''")
        cursor.connection.query(insert % (body, seq, b"_binary'%s'" % quoted))


def own(cursor, body):
    """The object that this transaction writes has the body from now on."""
    cursor.execute("UPDATE bodies SET expires_at = NULL WHERE id = %s AND expires_at IS NOT NULL", (body,))
    if cursor.rowcount != 1:
        raise DatabaseUnavailable("the upload took longer than its lease and was collected: it must be repeated")


def release(cursor, body):
    """No object has the body any more. Those who read it now have one lease's time to renew the lease."""
    cursor.execute(f"UPDATE bodies SET expires_at = {ONE_LEASE_FROM_NOW} WHERE id = %s", (body,))


def discard(cursor, body):
    """Nobody needs the body: the next collection takes it."""
    cursor.execute("UPDATE bodies SET expires_at = UTC_TIMESTAMP(6) WHERE id = %s", (body,))


def chunk(cursor, body, seq):
    cursor.execute("SELECT data FROM chunks WHERE body = %s AND seq = %s", (body, seq))
    row = cursor.fetchone()
    return row[0] if row else None


def collect(cursor, limit):
    """Remove up to `limit` bodies whose lease has lapsed, with their chunks. How many."""
    cursor.execute(
        "SELECT id FROM bodies WHERE expires_at < UTC_TIMESTAMP(6) ORDER BY expires_at LIMIT %s FOR UPDATE", (limit,)
    )
    lapsed = [row[0] for row in cursor.fetchall()]
    for body in lapsed:
        cursor.execute("DELETE FROM chunks WHERE body = %s", (body,))
        cursor.execute("DELETE FROM bodies WHERE id = %s", (body,))
    return len(lapsed)


def count_leased(cursor):
    """How many bodies wait for their lease to lapse."""
    cursor.execute("SELECT COUNT(*) FROM bodies WHERE expires_at IS NOT NULL")
    return cursor.fetchone()[0]


def renew(cursor, held):
    marks = ", ".join(["%s"] * len(held))
    cursor.execute(
        f"UPDATE bodies SET expires_at = {ONE_LEASE_FROM_NOW} WHERE id IN ({marks}) AND expires_at IS NOT NULL", held
    )


class Leases:
    """Renews the leases on the bodies that this process writes or reads, however slow its clients are."""

    def __init__(self, database):
        self.database = database
        self._held = collections.Counter()
        self._keeper = None

    @contextlib.contextmanager
    def hold(self, body):
        self.take(body)
        try:
            yield
        finally:
            self.drop(body)

    def take(self, body):
        self._held[body] += 1
        if self._keeper is None:
            self._keeper = eventlet.spawn(self._keep)

    def drop(self, body):
        self._held[body] -= 1
        if self._held[body] <= 0:
            del self._held[body]

    def _keep(self):
        try:
            while True:
                eventlet.sleep(self.database.lease_seconds / RENEWALS_PER_LEASE)
                if not self._held:
                    return
                with contextlib.suppress(HTTPException):  # logged; the next round tries again
                    self.database.run(renew, sorted(self._held))
        finally:
            self._keeper = None
