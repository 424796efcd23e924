"""Swift's DiskFile on MariaDB: what its object server, SSYNC sender and SSYNC receiver call."""

import contextlib
import time

import eventlet
from swift.common.exceptions import (
    DiskFileCollision,
    DiskFileDeleted,
    DiskFileExpired,
    DiskFileNoSpace,
    DiskFileNotExist,
    DiskFileNotOpen,
    DiskFileQuarantined,
)
from swift.common.request_helpers import is_sys_meta
from swift.common.swob import HTTPException
from swift.common.utils import Timestamp, hash_path, md5
from swift.obj.diskfile import DATAFILE_SYSTEM_META, RESERVED_DATAFILE_META

from . import bodies, objects
from .reader import Reader

CHUNKS_ON_THEIR_WAY = 2
STORE_ERRORS = (HTTPException, DiskFileNoSpace)
KEPT_BY_POST = RESERVED_DATAFILE_META | DATAFILE_SYSTEM_META


class Writer:
    """Takes an upload in: chunks into a leased body, and at `put` the body becomes the object's.

    Chunks are on their way to the database while the next one is received.
    """

    def __init__(self, diskfile):
        self._diskfile, self._database = diskfile, diskfile.manager.database
        self._leases, self._chunk_size = diskfile.manager.leases, diskfile.manager.database.chunk_size
        self._buffer, self._size, self._md5 = bytearray(), 0, md5(usedforsecurity=False)
        self._body, self._chunks, self._owned = None, 0, False
        self._on_their_way, self._error = eventlet.GreenPool(CHUNKS_ON_THEIR_WAY), None

    def open(self):
        return self

    def write(self, data):
        self._buffer += data
        self._size += len(data)
        self._md5.update(data)
        # The last chunk stays in memory until `put`, which may then be the only transaction.
        while len(self._buffer) > self._chunk_size:
            self._flush()
        return self._size

    def chunks_finished(self):
        if self._body and self._buffer:
            self._flush()
        self._on_their_way.waitall()
        self._check()
        return self._size, self._md5.hexdigest()

    def put(self, metadata):
        """Become the object. A newer object that came meanwhile stays, as it would on a disk."""
        df, metadata = self._diskfile, dict(metadata, name=self._diskfile.name)
        self._owned = self._database.run(
            objects.put, df.key, df.partition, df.name_bytes, metadata,
            self._body, bytes(self._buffer), self._chunk_size,
        )  # fmt: skip

    def commit(self, timestamp):
        """Nothing is left to do: `put` was durable."""

    def close(self):
        self._on_their_way.waitall()
        if self._body is None:
            return
        self._leases.drop(self._body)
        body, self._body = self._body, None
        if not self._owned:
            # The request has failed already; if this fails too, the lease lapses and the body with it.
            with contextlib.suppress(*STORE_ERRORS):
                self._database.run(bodies.discard, body)

    def _flush(self):
        if self._body is None:
            self._body = self._database.run(bodies.create_leased, self._chunk_size)
            self._leases.take(self._body)
        self._on_their_way.spawn_n(self._store, self._chunks, bytes(self._buffer[: self._chunk_size]))
        del self._buffer[: self._chunk_size]
        self._chunks += 1
        self._check()

    def _store(self, seq, content):
        try:
            self._database.run(bodies.add_chunk, self._body, seq, content)
        except STORE_ERRORS as error:
            self._error = error

    def _check(self):
        if self._error:
            raise self._error


class DiskFile:
    """One object on this device, by its path or, from SSYNC, by its hash."""

    fragments = None
    reader_cls = Reader
    writer_cls = Writer

    def __init__(self, manager, device, partition, policy, account, container, obj, open_expired=False, **_):
        self.manager = manager
        self.device, self.partition, self.policy = device, int(partition), policy
        self.account, self.container, self.obj = account, container, obj
        self.name = f"/{account}/{container}/{obj}"
        self.key = objects.Key(device, int(policy), hash_path(account, container, obj))
        self.row = None
        self.fault = None
        self._open_expired = open_expired
        self._metadata = self._datafile_metadata = self._metafile_metadata = None

    @property
    def name_bytes(self):
        return self.name.encode("utf8", "surrogateescape")

    def open(self, modernize=False, current_time=None):
        self.row = row = self.manager.database.run(objects.get, self.key)
        if row is None:
            raise DiskFileNotExist
        if row.tombstone:
            raise DiskFileDeleted({"X-Timestamp": row.data_ts})
        try:
            self._merge(objects.load(row.metadata), objects.load(row.post_metadata) if row.meta_timestamp else None)
            delete_at = int(self._metadata["X-Delete-At"]) if "X-Delete-At" in self._metadata else None
            whole = int(self._metadata["Content-Length"]) == row.size and self._metadata["ETag"] == row.etag
        except (KeyError, ValueError) as error:
            self.quarantine(f"metadata is unreadable: {error!r}")
            raise DiskFileQuarantined(str(error)) from error
        if not whole:
            self.quarantine("size or checksum in the metadata differs from what was stored beside it")
            raise DiskFileQuarantined("size or checksum differ")
        if self._metadata["name"] != self.name:
            raise DiskFileCollision("Client path does not match path stored in object metadata")
        now = time.time() if current_time is None else current_time
        if delete_at is not None and delete_at <= now and not self._open_expired:
            raise DiskFileExpired(metadata=self._metadata)
        return self

    def _merge(self, data, post):
        self._datafile_metadata, self._metafile_metadata = data, post
        if post is None:
            self._metadata = dict(data)
            return
        kept = {k: v for k, v in data.items() if k.lower() in KEPT_BY_POST or is_sys_meta("object", k)}
        self._metadata = post | kept | {"name": data["name"]}
        if self.row.ctype_timestamp is None:
            self._metadata["Content-Type"] = data["Content-Type"]
            self._metadata.pop("Content-Type-Timestamp", None)

    def quarantine(self, reason):
        if self.manager.quarantine(self.key, self.row, reason):
            self.fault = reason

    def __enter__(self):
        self._opened()
        return self

    def __exit__(self, *_):
        """The reader goes on after this; nothing is held here."""

    def _opened(self):
        if self._metadata is None:
            raise DiskFileNotOpen
        return self._metadata

    def get_metadata(self):
        return self._opened()

    def get_datafile_metadata(self):
        self._opened()
        return self._datafile_metadata

    def get_metafile_metadata(self):
        self._opened()
        return self._metafile_metadata

    def read_metadata(self, current_time=None):
        with self.open(current_time=current_time):
            return self.get_metadata()

    @property
    def content_length(self):
        return int(self._opened()["Content-Length"])

    @property
    def content_type(self):
        return self._opened()["Content-Type"]

    @property
    def timestamp(self):
        return Timestamp(self._opened()["X-Timestamp"])

    @property
    def data_timestamp(self):
        self._opened()
        return self.row.data_timestamp

    @property
    def durable_timestamp(self):
        """The receiver asks this of objects that could not be opened, too."""
        return self.row.data_timestamp if self._metadata else None

    @property
    def content_type_timestamp(self):
        self._opened()
        return self.row.ctype_timestamp or self.row.data_timestamp

    def reader(self, keep_cache=False, cooperative_period=0, etag_validate_frac=1, **_):
        self._opened()
        return self.reader_cls(self, etag_validate_frac)

    def writer(self, size=None):
        return self.writer_cls(self)

    @contextlib.contextmanager
    def create(self, size=None):
        writer = self.writer(size)
        try:
            yield writer.open()
        finally:
            writer.close()

    def write_metadata(self, metadata):
        self.manager.database.run(objects.post, self.key, dict(metadata))

    def delete(self, timestamp):
        self.manager.database.run(
            objects.delete, self.key, self.partition, self.name_bytes, Timestamp(timestamp).internal
        )
