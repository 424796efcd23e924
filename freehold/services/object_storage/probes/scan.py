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
AT_ONCE = 128
"""Packets in one go. Some thousands overflow the queues on the way: a third of them is lost before anyone sees them."""
PAUSES_S = (0.005, 0.02, 0.08)
"""Between two goes; the longer ones when packets were lost nevertheless."""
CONTROL_EVERY = 1024
_SPARE_FILES = 128
"""Of those that may be open: for the control, and for what is open anyway."""
_PENDING = (errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK)


class PacketsLost(Exception):
    """What certainly answers was not heard every time, so the silence of the rest proves nothing."""


def open_ports(address: str, ports: Iterable[int] = ALL_PORTS, control: Target | None = None) -> list[int]:
    """The ports of an address on which a connection came about. Raises PacketsLost."""
    return [port for _, port in answering(((address, port) for port in ports), control)]


def answering(targets: Iterable[Target], control: Target | None = None) -> list[Target]:
    """The targets on which a connection came about.

    Between them goes the control, a target that certainly answers: best one on the way to the others, else a port of
    this host. Raises PacketsLost when it does not answer each time, however slowly all are tried.
    """
    if control is None:
        with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
            return answering(targets, listener.getsockname())
    wanted, size = list(targets), _batch_size()
    found: set[Target] = set()
    for start in range(0, len(wanted), size):
        found |= _answering_of(wanted[start : start + size], control)
    return sorted(found & set(wanted))


def _answering_of(targets: list[Target], control: Target) -> set[Target]:
    tried = [control]
    for start in range(0, len(targets), CONTROL_EVERY):
        tried += [*targets[start : start + CONTROL_EVERY], control]
    asked = tried.count(control)
    for pause_s in PAUSES_S:
        found = _connected(tried, pause_s)
        heard = found.count(control)
        if heard == asked:
            return set(found)
    raise PacketsLost(f"port {control[1]} of {control[0]} must answer and did so {heard} of {asked} times")


def _batch_size() -> int:
    """As many sockets at once as this process may open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = BATCH + _SPARE_FILES
    if hard != resource.RLIM_INFINITY:
        limit = min(hard, limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - _SPARE_FILES


def _is_connected(sock: socket.socket) -> bool:
    """A socket may be writable with no error to tell, and yet have no peer: who answers has one."""
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        return False
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _connected(targets: list[Target], pause_s: float) -> list[Target]:
    """Those on which a connection came about within PATIENCE_S of the last one's first packet."""
    found: list[Target] = []
    waiting: dict[int, tuple[socket.socket, Target]] = {}
    with select.epoll() as poll:

        def look(timeout_s: float) -> None:
            for descriptor, _ in poll.poll(timeout_s, 4096):
                sock, target = waiting.pop(descriptor)
                if _is_connected(sock):
                    found.append(target)
                poll.unregister(descriptor)
                sock.close()

        try:
            for number, target in enumerate(targets, 1):
                sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                if sock.connect_ex(target) in (0, *_PENDING):
                    waiting[sock.fileno()] = (sock, target)
                    poll.register(sock, select.EPOLLOUT)
                else:
                    sock.close()
                if number % AT_ONCE == 0:
                    time.sleep(pause_s)
                    look(0)
            end = time.monotonic() + PATIENCE_S
            while waiting and (left := end - time.monotonic()) > 0:
                look(left)
        finally:
            for sock, _ in waiting.values():
                sock.close()
    return found
