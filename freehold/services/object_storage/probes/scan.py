"""Which TCP ports answer. Needs no privilege and no program, only sockets."""

from __future__ import annotations

import errno
import resource
import select
import socket
import time
from collections.abc import Iterable

Target = tuple[str, int]

ALL_PORTS = range(1, 65536)
# Longer than a second: a lost first packet is sent again after one.
PATIENCE_S = 1.3
BATCH = 32768
_SPARE_FILES = 64
_PENDING = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)


def open_ports(address: str, ports: Iterable[int] = ALL_PORTS) -> list[int]:
    """The ports of an address on which a connection came about."""
    return [port for _, port in answering((address, port) for port in ports)]


def answering(targets: Iterable[Target], patience_s: float = PATIENCE_S) -> list[Target]:
    """The targets on which a connection came about. Waits `patience_s` for each batch of them."""
    wanted = list(targets)
    size = _batch_size()
    found: list[Target] = []
    for start in range(0, len(wanted), size):
        found += _answering_of(wanted[start : start + size], patience_s)
    return sorted(found)


def sees_an_open_port() -> bool:
    """Whether this program finds a port that certainly answers: otherwise its silence proves nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        target = listener.getsockname()
        return answering([target]) == [target]


def _batch_size() -> int:
    """As many sockets at once as this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = BATCH + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        limit = min(hard, limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - _SPARE_FILES


def _answering_of(targets: list[Target], patience_s: float) -> list[Target]:
    found: list[Target] = []
    waiting: dict[int, tuple[socket.socket, Target]] = {}
    poll = select.epoll()
    try:
        for target in targets:
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            error = sock.connect_ex(target)
            if error in _PENDING:
                waiting[sock.fileno()] = (sock, target)
                poll.register(sock, select.EPOLLOUT)
                continue
            if error == 0:
                found.append(target)
            sock.close()
        end = time.monotonic() + patience_s
        while waiting and (left := end - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left, 1024):
                sock, target = waiting.pop(descriptor)
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(target)
                poll.unregister(descriptor)
                sock.close()
    finally:
        poll.close()
        for sock, _ in waiting.values():
            sock.close()
    return found
