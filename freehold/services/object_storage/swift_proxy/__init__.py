"""Swift's own proxy, but for what it says while replicas differ. Runs on the server, with Swift's own Python.

What was deleted is gone: asked for the newest of all replicas, Swift leaves out one that is older than a deletion, yet
counts its answer all the same. Of two answers one is a quorum, and the customer gets an empty object with status 200
(`best_response` in swift/proxy/controllers/base.py, up to 2.38).

A listing is complete: asked for the newest, Swift compares when buckets were made, not what they list, and takes the
last answer, which may come from a server that hears of nothing any more. So listings are not asked for like that.
Asked first are servers that had them before the rings changed, as others may wait for their copy yet; and after their
like those that did not answer lately or had no room, as they may have missed something. Asked last of all are those
that were silent for longer than a copy takes.
"""

import itertools
import time
from pathlib import Path

from swift.common.error_limiter import ErrorLimiter
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

_failed = {}
"""By address, since when a server fails, and when it failed last."""
_find_source = base.GetOrHeadHandler._find_source
_node_iter = base.NodeIter.__init__
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

    return begin


def failing(count):
    """Of Swift's two ways to count a failure of a server: no answer, and no room."""

    def note(limiter, node):
        now, (since, last) = time.monotonic(), _failed.get(node["ip"], (0, -PAUSE_S))
        _failed[node["ip"]] = since if now - last < PAUSE_S else now, now
        return count(limiter, node)

    return note


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
    base.NodeIter.__init__ = node_iter({kind: Ring(str(BEFORE), ring_name=kind) for kind in LISTINGS})
    return server.app_factory(global_conf, **local_conf)
