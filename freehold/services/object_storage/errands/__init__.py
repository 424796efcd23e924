"""Programs run on an instance's servers while it changes. They stand alone: servers have Python, not Freehold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from freehold.models.change import Round
from freehold.models.contents import Contents, Part
from freehold.models.plan import PlannedServer
from freehold.services.base import Errand
from freehold.services.object_storage.blueprint import Objects, Role
from freehold.services.object_storage.layout import HAPROXY_CONF, Layout, devices, server_conf
from freehold.services.object_storage.parts import PROGRAMS, behind
from freehold.services.object_storage.way import PREPARE, Stop

PASSES = f"{PROGRAMS}/passes"
"""Where storage servers have that program."""
PASS_LIMIT_S = 6 * 3600
"""Passes that are not through by then are cut off, and go on in the next round."""
FLUSH_LIMIT_S = 600
"""For late updates alone."""
COUNT_LIMIT_S = 3600
SURVEY_LIMIT_S = 600
_SERVES = {
    Role.WEB: ("swift-proxy.service", server_conf("proxy")),
    Role.ENDPOINT: ("haproxy.service", HAPROXY_CONF),
}
"""What serves customers, and where it reads whether they may write."""
PATIENCE_S = 10
"""Between two words about connections that have not ended."""


def of(stop: Stop) -> tuple[tuple[Errand, ...], ...]:
    """What is to be run, and where, until a waypoint is reached. Nobody counts while others still send to it."""
    if stop.closes:
        return (tuple(_endpoint(stop, name) for name in (stop.layout.holder, stop.closes)),)
    storage = stop.everybody.with_role(Role.STORAGE)
    outside = {member.server.server for member in stop.outside}
    moving = [s for s in storage if stop.moves or s.server in outside]
    holding = storage if stop.moves or stop.name == PREPARE else [s for s in storage if s.server in stop.empties]
    groups = (
        tuple(_move(stop.everybody, server, empties=server.server in stop.empties) for server in moving),
        (
            *(_hold(stop, server, stops=server.server in outside) for server in holding),
            *(_proxy(stop, server) for server in stop.idle_proxies()),
        ),
    )
    return tuple(group for group in groups if group)


def finish_writes(layout: Layout) -> tuple[tuple[Errand, ...], ...]:
    """Customers only read by now: what they began before comes to its end, and then into every listing."""
    ends = []
    for server in layout.servers:
        units = {unit: conf for role, (unit, conf) in _SERVES.items() if role in server.roles}
        given = {"units": units, "patience_s": PATIENCE_S}
        ends += [Errand(server=server.server, script=program("finish"), given=given)] if units else []
    return tuple(ends), tuple(_move(layout, server) for server in layout.with_role(Role.STORAGE))


def _move(layout: Layout, server: PlannedServer, *, empties: bool = False) -> Errand:
    given = {
        "passes": _command(layout, passes(layout.objects(server)), PASS_LIMIT_S),
        "limit_s": PASS_LIMIT_S,
        "empties": list(devices(server)) if empties else [],
    }
    return Errand(server=server.server, script=program("move"), given=given, timeout_s=PASS_LIMIT_S + COUNT_LIMIT_S)


def _hold(stop: Stop, server: PlannedServer, *, stops: bool) -> Errand:
    objects, ports = stop.everybody.objects(server), stop.layout.blueprint.ports
    given = {
        "devices": list(devices(server)),
        "objects": objects.value,
        "stop": stops,
        "niceness": stop.layout.blueprint.moving.niceness,
        "updaters": _command(stop.layout, passes(objects, replicate=False), FLUSH_LIMIT_S),
        "ports": [stop.everybody.object_port(server), ports.container, ports.account, ports.replication],
        "patience_s": PATIENCE_S,
    }
    return Errand(server=server.server, script=program("hold"), given=given, timeout_s=COUNT_LIMIT_S)


def _command(layout: Layout, wanted: list[list[str]], limit_s: int) -> list[str]:
    """These passes at once, as Swift's user, behind customers' requests. Cut off at the limit with all that they have
    started: what runs on would keep the next round waiting."""
    program = ["/usr/bin/python3", PASSES, json.dumps({"passes": wanted, "rest_s": 0})]
    stands_back = behind(layout.blueprint.moving.niceness)
    return ["timeout", "--kill-after=60", str(limit_s), "runuser", "-u", "swift", "--", *stands_back, *program]


def passes(objects: Objects, *, replicate: bool = True) -> list[list[str]]:
    """One pass over a storage server. Databases first: objects on their way tell them. Late updates come last."""
    accounts, containers, conf, replication = map(server_conf, ("account", "container", "object", "replication"))
    mariadb = ["freehold_mariadb_objects.__main__", "replicator"]
    replicators = [
        ["swift.account.replicator", accounts, "once"],
        ["swift.container.replicator", containers, "once"],
        [*(mariadb if objects is Objects.MARIADB else ["swift.obj.replicator"]), replication, "once"],
    ]
    updaters = [["swift.obj.updater", conf, "once"], ["swift.container.updater", containers, "once"]]
    return [*(replicators if replicate else ()), *updaters]


def _endpoint(stop: Stop, name: str) -> Errand:
    layout = stop.layout
    given = {
        "nic": layout.front_nic(layout.server(name)).nic,
        "address": str(layout.plan.endpoint.address.ip),
        "port": layout.plan.endpoint.port,
        "close": name == stop.closes,
        "patience_s": PATIENCE_S,
    }
    return Errand(server=name, script=program("connections"), given=given, timeout_s=60)


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
    return Errand(server=server.server, script=program("connections"), given=given, timeout_s=60)


def surveys(layout: Layout) -> tuple[Errand, ...]:
    """What the customer keeps: any storage server can find it out."""
    marks = {name: {"headers": f.headers, "hidden": f.hidden} for name, f in layout.blueprint.features.items()}
    given = {"account": f"AUTH_{layout.customer}", "marks": marks}
    servers = layout.with_role(Role.STORAGE)
    return tuple(
        Errand(server=s.server, script=program("survey"), given=given, timeout_s=SURVEY_LIMIT_S) for s in servers
    )


def contents(answer: Mapping[str, Any]) -> Contents:
    found = [
        Part(name=f"bucket {name}", objects=p["objects"], size_bytes=p["bytes"], features=tuple(p["features"]))
        for name, p in sorted(answer.get("buckets", {}).items())
    ]
    if answer.get("account"):
        found.append(Part(name="the account as a whole", features=tuple(answer["account"])))
    return Contents(parts=tuple(found))


def simulated(answers: Iterable[Mapping[str, Any]]) -> Round | None:
    """What devices that are data only have proven: there is nothing on them."""
    return Round(done=True, words="simulated") if all(answer.get("simulated") for answer in answers) else None


def program(name: str) -> str:
    """An errand's text."""
    return (resources.files("freehold.services.object_storage.errands") / f"{name}.py").read_text()
