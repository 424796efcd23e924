"""Which TCP ports of an address answer. Needs no privilege and no program, only sockets."""

from __future__ import annotations

import errno
import resource
import select
import socket
import time
from collections.abc import Iterable

ALL_PORTS = range(1, 65536)
# Longer than a second: a lost first packet is sent again after one.
PATIENCE_S = 1.4
BATCH = 16384
_PENDING = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)


def open_ports(address: str, ports: Iterable[int] = ALL_PORTS, patience_s: float = PATIENCE_S) -> list[int]:
    """The ports on which a connection came about. Waits `patience_s` for each batch of ports."""
    wanted = list(ports)
    size = _batch_size(len(wanted))
    found: list[int] = []
    for start in range(0, len(wanted), size):
        found += _open_of(address, wanted[start : start + size], patience_s)
    return sorted(found)


def sees_an_open_port() -> bool:
    """Whether this program finds a port that certainly answers: otherwise its silence proves nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        return open_ports("127.0.0.1", [port]) == [port]


def _batch_size(wanted: int) -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = BATCH + 64 if hard == resource.RLIM_INFINITY else min(hard, BATCH + 64)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(1, min(wanted, limit - 64))


def _open_of(address: str, ports: list[int], patience_s: float) -> list[int]:
    found: list[int] = []
    waiting: dict[int, tuple[socket.socket, int]] = {}
    poll = select.epoll()
    try:
        for port in ports:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            error = sock.connect_ex((address, port))
            if error in _PENDING:
                waiting[sock.fileno()] = (sock, port)
                poll.register(sock, select.EPOLLOUT)
                continue
            if error == 0:
                found.append(port)
            sock.close()
        end = time.monotonic() + patience_s
        while waiting and (left := end - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left, 1024):
                sock, port = waiting.pop(descriptor)
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(port)
                poll.unregister(descriptor)
                sock.close()
    finally:
        poll.close()
        for sock, _ in waiting.values():
            sock.close()
    return found
