"""Ports of our own for a stack that must disturb no other one."""

from __future__ import annotations

import random
import socket

from freehold.errors import StackError
from freehold.settings import LOOPBACK

_RANGE = range(15_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections, which could take one before we listen on it."""


def is_free(port: int) -> bool:
    """Whether we could listen on a loopback port now."""
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """So many different ports on which nobody listens now. Raises StackError when there are too few."""
    found = []
    for port in random.sample(_RANGE, len(_RANGE)):
        if is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StackError(f"There are no {count} free ports between {_RANGE.start} and {_RANGE.stop} on {LOOPBACK}.")
