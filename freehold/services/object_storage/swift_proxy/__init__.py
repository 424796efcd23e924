"""Swift's own proxy, but for what it says while replicas differ. Runs on the server, with Swift's own Python.

What was deleted is gone: asked for the newest of all replicas, Swift leaves out one that is older than a deletion, yet
counts its answer all the same. Of two answers one is a quorum, and the customer gets an empty object with status 200
(`best_response` in swift/proxy/controllers/base.py, up to 2.38).

A listing is complete: asked for the newest, Swift compares when buckets were made, not what they list, and takes the
last answer, which may come from a server that hears of nothing any more. So listings are not asked for like that.
Asked first are servers that had them before the rings changed, as others may wait for their copy yet; and after their
like those that did not answer lately or had no room, as they may have missed something. Asked last of all are those
that were silent for longer than a copy takes. While a listing's server is away, who had it before is told what is
written, too: it may be the only one left that has it.

Nobody waits for a server that is gone. Swift itself tries ten times whether it accepts a connection, soon ten times
again, and has listings told by object servers, which try it at each write; each time a customer waits. Here one waits
once; then it is asked for nothing, and nobody tells it, until it accepts connections. What it missed the others'
replicators tell it.
"""

import errno
import itertools
import sys
import time
from pathlib import Path

import eventlet
from eventlet.green import socket
from swift.common.error_limiter import ErrorLimiter
from swift.common.exceptions import ConnectionTimeout
from swift.common.http import is_success
from swift.common.ring import Ring
from swift.proxy import server
from swift.proxy.controllers import base

BEFORE = Path("/etc/swift/freehold/before")
"""The rings before their last change, while data moves."""
LISTINGS = ("account", "container")
AWAY_S = 600
"""Twice the time between two passes of a storage server: by then, who was away has been told what it missed."""
LONG_S = 60
"""Twice the time between two passes while data moves: what was to be copied is there by then."""
PAUSE_S = 120
"""Between two failures of a server that is away; Swift itself does not ask it for a minute after some."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT)
"""What the kernel says of a server that is gone, often sooner than a proxy loses its patience."""
SURE_S = 10
"""Silent for so long, a server is so to all proxies: none reads there what nobody tells it."""
PROBE_S = 1
"""Between two questions whether a silent server accepts connections again, and as long for its answer."""

_failed = {}
"""By address, since when a server fails, and when it failed last."""
_silent = {}
"""By address, since when a server accepts no connection."""
_find_source = base.GetOrHeadHandler._find_source
_node_iter, _container_info = base.NodeIter.__init__, base.Controller.container_info
_increment, _limit = ErrorLimiter.increment, ErrorLimiter.limit


def find_source(handler):
    if handler.server_type.lower() in LISTINGS:
        handler.newest = False
    found = _find_source(handler)
    if not found:
        counts = [not is_success(status) for status in handler.statuses]
        for answers in (handler.statuses, handler.reasons, handler.bodies, handler.source_headers):
            answers[:] = itertools.compress(answers, counts)
    return found


def node_iter(rings):
    """How NodeIter begins when it knows the rings before: a function in its place."""

    def begin(nodes, server_type, app, ring, partition, *arguments, **named):
        _node_iter(nodes, server_type, app, ring, partition, *arguments, **named)
        if server_type.lower() in rings:
            known = {place(node) for node in rings[server_type.lower()].get_part_nodes(partition)}
            nodes.primary_nodes.sort(key=lambda node: (was_long_away(node), place(node) not in known, was_away(node)))
        nodes.primary_nodes[:] = answering(nodes.primary_nodes)

    return begin


def container_info(before):
    """How proxies learn whom to tell what is written."""

    def told(controller, account, container, request):
        info = _container_info(controller, account, container, request)
        nodes = info["nodes"] or ()
        if any(map(was_away, nodes)):
            known = {place(node) for node in nodes}
            others = (node for node in before.get_part_nodes(info["partition"]) if place(node) not in known)
            info["nodes"] = answering([*nodes, *others], SURE_S)
        return info

    return told


def failing(count):
    """Of Swift's two ways to count a failure of a server: no answer, and no room."""

    def note(limiter, node):
        note_failure(node["ip"])
        error = sys.exc_info()[1]
        if isinstance(error, ConnectionTimeout) or getattr(error, "errno", None) in UNREACHABLE:
            note_silence(node["ip"], node["port"])
        return count(limiter, node)

    return note


def note_failure(ip):
    now, (since, last) = time.monotonic(), _failed.get(ip, (0, -PAUSE_S))
    _failed[ip] = since if now - last < PAUSE_S else now, now


def answering(nodes, patience_s=0):
    """Without those that were silent for longer; all when none is left, as then it is rather we who hear nothing."""
    latest = time.monotonic() - patience_s
    return [node for node in nodes if node["ip"] not in _silent or _silent[node["ip"]] > latest] or nodes


def note_silence(ip, port):
    if ip not in _silent:
        _silent[ip] = time.monotonic()
        eventlet.spawn_n(await_answer, ip, port)


def await_answer(ip, port):
    """Ends when it accepts connections or refuses them, which costs nobody time; or for a customer to find out anew."""
    try:
        for _ in range(AWAY_S // PROBE_S):
            eventlet.sleep(PROBE_S)
            try:
                return socket.create_connection((ip, port), timeout=PROBE_S).close()
            except ConnectionRefusedError:
                return None
            except OSError:
                note_failure(ip)
    finally:
        del _silent[ip]


def was_away(node):
    _, last = _failed.get(node["ip"], (0, -AWAY_S))
    return time.monotonic() - last < AWAY_S


def was_long_away(node):
    since, last = _failed.get(node["ip"], (0, 0))
    return was_away(node) and last - since >= LONG_S


def place(node):
    return node["ip"], node["port"], node["device"]


def app_factory(global_conf, **local_conf):
    """paste.app_factory"""
    # The classes themselves are named in Swift's own methods, so they cannot be replaced by heirs.
    base.GetOrHeadHandler._find_source = find_source
    ErrorLimiter.increment, ErrorLimiter.limit = failing(_increment), failing(_limit)
    rings = {kind: Ring(str(BEFORE), ring_name=kind) for kind in LISTINGS}
    base.NodeIter.__init__ = node_iter(rings)
    base.Controller.container_info = container_info(rings["container"])
    return server.app_factory(global_conf, **local_conf)
