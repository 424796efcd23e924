"""Only one process at a time; a lock goes with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """The file is made, with the folders above it, and stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)):
        yield


@contextmanager
def folder_lock(path: Path) -> Iterator[None]:
    """The lock is the folder itself: it leaves no file. Raises FileNotFoundError when there is none."""
    with _held(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)):
        yield


@contextmanager
def _held(descriptor: int) -> Iterator[None]:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
