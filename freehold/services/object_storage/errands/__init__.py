"""Programs run on an instance's servers while it changes. They stand alone: servers have Python, not Freehold."""

from __future__ import annotations

from importlib import resources

from freehold.models.plan import PlannedServer
from freehold.services.base import Errand
from freehold.services.object_storage.blueprint import Role
from freehold.services.object_storage.layout import devices
from freehold.services.object_storage.way import PREPARE, Stop

PASS_LIMIT_S = 6 * 3600
"""One pass over everything that a server holds."""
PATIENCE_S = 10
"""Between two words about connections that have not ended."""


def of(stop: Stop) -> tuple[Errand, ...]:
    """What is to be run, and where, until a waypoint is reached."""
    if stop.closes:
        return tuple(_endpoint(stop, name) for name in (stop.layout.holder, stop.closes))
    if stop.name == PREPARE:
        return tuple(_move(stop, s, passes=False) for s in stop.layout.with_role(Role.STORAGE))
    outside = {member.server.server for member in stop.outside}
    moves = tuple(
        _move(stop, s, passes=stop.moves and s.server not in outside, stops=s.server in outside)
        for s in stop.everybody.with_role(Role.STORAGE)
        if stop.moves or s.server in stop.empties
    )
    return (*moves, *(_proxy(stop, server) for server in stop.idle_proxies()))


def _move(stop: Stop, server: PlannedServer, *, passes: bool, stops: bool = False) -> Errand:
    given = {
        "passes": passes,
        "devices": list(devices(server)),
        "objects": stop.everybody.objects(server).value,
        "stop": stops,
        "limit_s": PASS_LIMIT_S,
    }
    return Errand(server=server.server, script=_program("move"), given=given, timeout_s=5 * PASS_LIMIT_S)


def _endpoint(stop: Stop, name: str) -> Errand:
    layout = stop.layout
    given = {
        "nic": layout.front_nic(layout.server(name)).nic,
        "address": str(layout.plan.endpoint.address.ip),
        "port": layout.plan.endpoint.port,
        "close": name == stop.closes,
        "patience_s": PATIENCE_S,
    }
    return Errand(server=name, script=_program("connections"), given=given, timeout_s=60)


def _proxy(stop: Stop, server: PlannedServer) -> Errand:
    """The endpoint servers send it nothing any more; what they sent before comes to its end."""
    given = {
        "nic": "",
        "address": stop.everybody.proxy_address(server),
        "port": stop.layout.blueprint.ports.proxy,
        "clients": [stop.layout.back_address(s) for s in stop.layout.with_role(Role.ENDPOINT)],
        "close": False,
        "patience_s": PATIENCE_S,
    }
    return Errand(server=server.server, script=_program("connections"), given=given, timeout_s=60)


def _program(name: str) -> str:
    return (resources.files("freehold.services.object_storage.errands") / f"{name}.py").read_text()
