"""What is stored about an object, and the transactions that change it. The newest timestamp wins in each of them."""

# ruff: noqa: S608 - only names written in this file are put into SQL; values are parameters

import collections
import json
import time

from swift.common.utils import Timestamp

from . import bodies

COLUMNS = "name, data_ts, tombstone, size, etag, body, metadata, meta_ts, ctype_ts, post_metadata"
HERE = "device = %s AND policy = %s AND hash = %s"

Key = collections.namedtuple("Key", "device policy hash")


class Object(collections.namedtuple("Object", f"{COLUMNS}, chunk_size", defaults=(None,))):
    """One row: an object or a tombstone, as it is on this device."""

    __slots__ = ()

    @property
    def data_timestamp(self):
        return Timestamp(self.data_ts)

    @property
    def meta_timestamp(self):
        """When POST metadata was written, if that is what counts now."""
        return Timestamp(self.meta_ts) if not self.tombstone and _after(self.meta_ts, self.data_ts) else None

    @property
    def ctype_timestamp(self):
        """When POST changed the content type, if that is what counts now."""
        return Timestamp(self.ctype_ts) if self.meta_timestamp and _after(self.ctype_ts, self.data_ts) else None

    def timestamps(self):
        """As Swift's SSYNC sender wants them from `yield_hashes`."""
        found = {"ts_data": self.data_timestamp, "ts_meta": self.meta_timestamp, "ts_ctype": self.ctype_timestamp}
        return {name: timestamp for name, timestamp in found.items() if timestamp}

    def reclaimable(self, reclaim_age):
        return bool(self.tombstone) and time.time() - float(self.data_timestamp) > reclaim_age


def dump(metadata):
    return json.dumps(metadata).encode("ascii")


def load(blob):
    return json.loads(blob)


def get(cursor, key):
    cursor.execute(f"SELECT {COLUMNS}, chunk_size FROM objects LEFT JOIN bodies ON bodies.id = body WHERE {HERE}", key)
    row = cursor.fetchone()
    return Object(*row) if row else None


def partition_rows(cursor, device, policy, partition):
    """All (hash, object) of a partition in the order of their hashes, without the metadata's text."""
    columns = COLUMNS.replace("post_metadata", "NULL").replace(", metadata", ", NULL")
    cursor.execute(
        f"SELECT hash, {columns} FROM objects WHERE device = %s AND policy = %s AND part = %s ORDER BY hash",
        (device, policy, partition),
    )
    return [(row[0], Object(*row[1:])) for row in cursor.fetchall()]


def devices(cursor):
    """All (device, policy) that hold anything."""
    cursor.execute("SELECT DISTINCT device, policy FROM objects ORDER BY device, policy")
    return cursor.fetchall()


def data_after(cursor, device, policy, after, limit):
    """Up to `limit` (Key, object) whose hash follows `after`; no tombstones."""
    cursor.execute(
        f"SELECT hash, {COLUMNS}, chunk_size FROM objects LEFT JOIN bodies ON bodies.id = body "
        "WHERE device = %s AND policy = %s AND hash > %s AND tombstone = 0 ORDER BY hash LIMIT %s",
        (device, policy, after, limit),
    )
    return [(Key(device, policy, row[0]), Object(*row[1:])) for row in cursor.fetchall()]


def partitions(cursor):
    """All (device, policy, partition) that hold anything."""
    cursor.execute("SELECT DISTINCT device, policy, part FROM objects ORDER BY device, policy, part")
    return cursor.fetchall()


def count(cursor):
    cursor.execute("SELECT COUNT(*) FROM objects")
    return cursor.fetchone()[0]


def put(cursor, key, partition, name, metadata, body, content, chunk_size):
    """Make an uploaded body the object, unless something as new is there. Whether it became the object.

    A body of one chunk comes as `content` and is stored here, so that a small object is one transaction.
    """
    timestamp = Timestamp(metadata["X-Timestamp"]).internal
    old = _locked(cursor, key)
    if old and not _after(timestamp, old.data_ts):
        return False
    if content:
        body = bodies.create_owned(cursor, chunk_size, content)
    elif body:
        bodies.own(cursor, body)
    _replace(
        cursor, key, partition, old,
        name=name, data_ts=timestamp, tombstone=0, size=int(metadata["Content-Length"]),
        etag=metadata["ETag"], body=body, metadata=dump(metadata),
    )  # fmt: skip
    return True


def delete(cursor, key, partition, name, timestamp):
    """Leave a tombstone, unless something newer is there. At the same time as data, the tombstone wins."""
    old = _locked(cursor, key)
    if old and (_after(old.data_ts, timestamp) or (old.tombstone and old.data_ts == timestamp)):
        return False
    _replace(
        cursor, key, partition, old,
        name=name, data_ts=timestamp, tombstone=1, size=0, etag=None, body=None, metadata=None,
    )  # fmt: skip
    return True


def post(cursor, key, metadata):
    """Merge POST metadata: the newest metadata and the newest content type win, each by its own timestamp."""
    old = _locked(cursor, key)
    if old is None or not _after(metadata["X-Timestamp"], old.data_ts):
        return False
    merged = merge(load(old.post_metadata) if old.post_metadata else None, metadata)
    cursor.execute(
        f"UPDATE objects SET meta_ts = %s, ctype_ts = %s, post_metadata = %s WHERE {HERE}",
        (merged["X-Timestamp"], merged.get("Content-Type-Timestamp"), dump(merged), *key),
    )
    return True


def merge(old, new):
    """What a disk would show that has a .meta file of each."""
    if old is None:
        return new
    order = [(m["X-Timestamp"], m.get("Content-Type-Timestamp") or "") for m in (old, new)]
    base, other = (new, old) if order[1] >= order[0] else (old, new)
    if _after(other.get("Content-Type-Timestamp"), base.get("Content-Type-Timestamp")):
        base = base | {name: other[name] for name in ("Content-Type", "Content-Type-Timestamp")}
    return base


def forget(cursor, key, timestamps):
    """Drop a row that is in sync elsewhere, if its data and metadata are still of these timestamps."""
    old = _locked(cursor, key)
    if old is None or old.timestamps() != timestamps:
        return False
    _drop(cursor, key, old)
    return True


def quarantine(cursor, key, body, data_ts, reason):
    """Put a broken object aside, with its body, if it is still the one that was found broken."""
    old = _locked(cursor, key)
    if old is None or old.tombstone or (old.body, old.data_ts) != (body, data_ts):
        return False
    columns = COLUMNS.replace("tombstone, ", "")
    cursor.execute(
        f"INSERT INTO quarantined (quarantined_at, reason, device, policy, hash, part, {columns}) "
        f"SELECT UTC_TIMESTAMP(6), %s, device, policy, hash, part, {columns} FROM objects WHERE {HERE}",
        (reason[:1024].encode("ascii", "replace"), *key),
    )
    cursor.execute(f"DELETE FROM objects WHERE {HERE}", key)
    return True


def reclaim_tombstones(cursor, reclaim_age, limit):
    """Drop up to `limit` tombstones that are older than `reclaim_age` seconds. How many."""
    # Timestamps are of fixed width, so their order as text is their order in time.
    cursor.execute(
        "DELETE FROM objects WHERE tombstone = 1 AND data_ts < %s LIMIT %s",
        (Timestamp(max(0, time.time() - reclaim_age)).internal, limit),
    )
    return cursor.rowcount


def drop_quarantined(cursor, age, limit):
    """Drop up to `limit` objects that were quarantined more than `age` seconds ago. How many."""
    cursor.execute(
        "SELECT id, body FROM quarantined WHERE quarantined_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND "
        "LIMIT %s FOR UPDATE",
        (age, limit),
    )
    rows = cursor.fetchall()
    for row, body in rows:
        cursor.execute("DELETE FROM quarantined WHERE id = %s", (row,))
        if body:
            bodies.discard(cursor, body)
    return len(rows)


def _locked(cursor, key):
    cursor.execute(f"SELECT {COLUMNS} FROM objects WHERE {HERE} FOR UPDATE", key)
    row = cursor.fetchone()
    return Object(*row) if row else None


def _replace(cursor, key, partition, old, **columns):
    """Write a new state over the old one. POST metadata that is newer than the new data stays, as it would on disk."""
    columns["part"] = partition
    if old is None:
        # No ON DUPLICATE KEY: a row that appeared meanwhile must be compared, so the transaction is run again.
        names = ["device", "policy", "hash", *columns]
        marks = ", ".join(["%s"] * len(names))
        cursor.execute(f"INSERT INTO objects ({', '.join(names)}) VALUES ({marks})", (*key, *columns.values()))
        return
    if not _after(old.meta_ts, columns["data_ts"]):
        columns |= {"meta_ts": None, "ctype_ts": None, "post_metadata": None}
    assignments = ", ".join(f"{name} = %s" for name in columns)
    cursor.execute(f"UPDATE objects SET {assignments} WHERE {HERE}", (*columns.values(), *key))
    if old.body:
        bodies.release(cursor, old.body)


def _drop(cursor, key, old):
    cursor.execute(f"DELETE FROM objects WHERE {HERE}", key)
    if old.body:
        bodies.release(cursor, old.body)


def _after(one, other):
    """Whether a timestamp is later than another; having none is earlier than any."""
    return bool(one) and (not other or Timestamp(one) > Timestamp(other))
