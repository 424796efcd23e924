"""Reads a body for as long as it takes, and notices when it is not what was stored."""

import random

from swift.common.swob import multi_range_iterator
from swift.common.utils import md5

from . import bodies

SLICE = 65536


class BodyBroken(Exception):
    """No DiskFileError: the SSYNC sender takes those for "not opened" and would go on in the middle of a body."""


class Reader:
    """An `app_iter` over one body. The body holds still: it is immutable, and leased while this iterates."""

    def __init__(self, diskfile, etag_validate_frac=1):
        self._diskfile, self._row = diskfile, diskfile.row
        self._validate = random.random() < etag_validate_frac

    def __iter__(self):
        digest, left = md5(usedforsecurity=False), self._row.size
        for piece in self._read(0, self._row.size):
            left -= len(piece)
            if self._validate:
                digest.update(piece)
                # Before the last bytes leave: a reader who misses them does not take garbage for the object.
                if not left and digest.hexdigest() != self._row.etag:
                    self._broken(f"ETag is {self._row.etag}, MD5 of the body {digest.hexdigest()}")
            yield from _slices(piece)

    def app_iter_range(self, start, stop):
        stop = self._row.size if stop is None else min(stop, self._row.size)
        for piece in self._read(start or 0, stop):
            yield from _slices(piece)

    def app_iter_ranges(self, ranges, content_type, boundary, size):
        if not ranges:
            yield b""
            return
        content_type = content_type if isinstance(content_type, bytes) else content_type.encode("utf8")
        boundary = boundary if isinstance(boundary, bytes) else boundary.encode("ascii")
        yield from multi_range_iterator(ranges, content_type, boundary, size, self.app_iter_range)

    def close(self):
        """Closing the iterators that were handed out ends their leases."""

    def _read(self, start, stop):
        """The bytes from start to stop, in pieces of up to a chunk."""
        row, manager = self._row, self._diskfile.manager
        if start >= stop:
            return
        if row.body is None:
            self._broken(f"has no body, but {row.size} bytes in its metadata")
        with manager.leases.hold(row.body):
            for seq in range(start // row.chunk_size, (stop - 1) // row.chunk_size + 1):
                first = seq * row.chunk_size
                chunk = manager.database.run(bodies.chunk, row.body, seq)
                expected, found = min(row.chunk_size, row.size - first), None if chunk is None else len(chunk)
                if found != expected:
                    self._broken(f"chunk {seq} has {found} bytes of {expected}")
                yield chunk[max(0, start - first) : stop - first]

    def _broken(self, reason):
        self._diskfile.quarantine(reason)
        raise BodyBroken(reason)


def _slices(piece):
    return (piece[at : at + SLICE] for at in range(0, len(piece), SLICE))
