"""The programs of the service: what each of Swift's servers, MariaDB, rsync, memcached and the proxies needs."""

from __future__ import annotations

import base64
import json
from importlib import resources

from freehold.models.plan import NetworkPurpose, PlannedServer
from freehold.models.server import Directory, File, Setup
from freehold.services.object_storage import errands
from freehold.services.object_storage.blueprint import Objects
from freehold.services.object_storage.layout import CONF, NODE, Layout, devices, server_conf
from freehold.services.object_storage.parts import (
    Part,
    answers,
    daemon,
    drop_in,
    network_unit,
    periodic,
    served,
    text,
)

_FOLDER = "object_storage"
_PYTHON = "/usr/local/lib/python3.13"
_MARIADB_OBJECTS = f"{_PYTHON}/dist-packages/freehold_mariadb_objects"
_SWIFT_PROXY = f"{_PYTHON}/dist-packages/freehold_swift_proxy"
# Where a middleware is not called in the pipeline as in Swift's list of plug-ins.
_EGGS = {"cache": "memcache"}


def _swift_conf(layout: Layout) -> File:
    return text(
        "/etc/swift/swift.conf", f"{_FOLDER}/storage/swift.conf.j2", mode=0o640, group="swift",
        hash_prefix=layout.secret("hash-prefix"), hash_suffix=layout.secret("hash-suffix"),
    )  # fmt: skip


def _ring_path(name: str) -> str:
    return f"/etc/swift/{name}.ring.gz"


def rings(layout: Layout) -> Part:
    """Storage servers read rings again by themselves, and only to pass on what is not theirs."""
    rings = tuple(
        File(path=_ring_path(name), content=_encoded(ring.ring), base64=True) for name, ring in layout.rings.items()
    )
    return Part(directories=(Directory(path=CONF),), files=(_swift_conf(layout), *rings), purge=("/var/cache/swift",))


def mariadb(layout: Layout) -> Part:
    mount = f"{NODE}/d1"
    datadir = f"{mount}/mariadb"
    rights = File(path="/etc/freehold-objects.sql", content=_packaged("setup.sql"))
    config = text(
        "/etc/mysql/mariadb.conf.d/60-freehold.cnf", f"{_FOLDER}/storage/mariadb.cnf.j2",
        datadir=datadir, init_file=rights.path, mariadb=layout.blueprint.mariadb,
    )  # fmt: skip
    waits = drop_in("mariadb.service", mounts=(mount,))
    # The rename comes last: a kill before it leaves nothing that looks like a database.
    make = (
        f"rm -rf {datadir}.new && mariadb-install-db --user=mysql --datadir={datadir}.new --skip-test-db "
        f"--auth-root-authentication-method=socket >/dev/null && mv {datadir}.new {datadir}"
    )
    ready = ("runuser", "-u", "swift", "--", "mariadb", "--execute", "SELECT 1", "swift_objects")
    return Part(
        packages=("mariadb-server", "python3-mysqldb"),
        files=(rights, config, waits),
        setups=(Setup(name="mariadb", check=("test", "-d", datadir), apply=("sh", "-c", make), timeout_s=120),),
        units=(served("mariadb.service", rights, config, waits, ready=ready),),
    )


def databases(layout: Layout, server: PlannedServer) -> Part:
    """The account and container servers, whose databases are files on the first disk."""
    files, units = [], []
    for kind in ("account", "container"):
        config = _server_conf(layout, server, kind)
        waits = _waits(server, f"swift-{kind}.service", command=f"/usr/bin/swift-{kind}-server {config.path}")
        ready = answers(f"http://{layout.back_address(server)}:{getattr(layout.blueprint.ports, kind)}/healthcheck")
        files += [config, waits]
        units.append(served(f"swift-{kind}.service", _swift_conf(layout), config, waits, ready=ready))
    return Part(packages=("swift-account", "swift-container", "curl"), files=tuple(files), units=tuple(units))


def objects(layout: Layout, server: PlannedServer) -> list[Part]:
    """The object server, on MariaDB or on disks, and another for what other servers send, which customers' requests
    do not wait for."""
    mariadb = layout.objects(server) is Objects.MARIADB
    after = ("mariadb.service",) if mariadb else ()
    program = _program("mariadb_objects", _MARIADB_OBJECTS) if mariadb else ()
    config, ready = _object_server(layout, server, "object", layout.object_port(server))
    waits = _waits(server, "swift-object.service", *after, command=f"/usr/bin/swift-object-server {config.path}")
    serving = Part(
        packages=("swift-object", "curl"),
        directories=_folders(_MARIADB_OBJECTS) if program else (),
        files=(*program, config, waits),
        units=(served("swift-object.service", *program, _swift_conf(layout), config, waits, ready=ready),),
        purge=(f"{_MARIADB_OBJECTS}/__pycache__",) if program else (),
    )
    config, ready = _object_server(layout, server, "replication", layout.blueprint.ports.replication)
    receiving = daemon(
        "freehold-replication", "objects that other servers send", f"/usr/bin/swift-object-server {config.path}",
        *program, _swift_conf(layout), config,
        user="swift", after=(*_back_network(server), *after), mounts=_mounts(server), ready=ready,
        niceness=layout.blueprint.moving.niceness,
    )  # fmt: skip
    return [serving, receiving]


def _object_server(layout: Layout, server: PlannedServer, name: str, port: int) -> tuple[File, tuple[str, ...]]:
    """A configuration, and how one sees that its server runs."""
    config = text(
        server_conf(name), f"{_FOLDER}/storage/object-server.conf.j2",
        back_address=layout.back_address(server), devices=NODE, port=port, replication=name == "replication",
        objects=layout.objects(server).value, senders=layout.blueprint.moving.senders,
    )  # fmt: skip
    return config, answers(f"http://{layout.back_address(server)}:{port}/healthcheck")


def passes(layout: Layout, server: PlannedServer) -> Part:
    """What daemons would do all the time is done now and then: replicas that a server missed while it was away, late
    updates of listings and totals, and the care for objects in MariaDB."""
    every, moving, after = (
        layout.blueprint.intervals,
        layout.blueprint.moving,
        ("swift-account.service", "swift-container.service"),
    )
    program = File(path=errands.PASSES, content=_encoded(errands.program("passes").encode()), base64=True)
    interval_s = moving.passes if layout.moving else every.passes
    wanted = {
        "passes": errands.passes(layout.objects(server), replicate=layout.tier(server).replicas > 1),
        # A procedure makes passes, too, while data moves. No two are farther apart than twice the interval.
        "rest_s": interval_s // 2 if layout.moving else 0,
    }
    command = f"/usr/bin/python3 {program.path} '{json.dumps(wanted)}'"
    parts = [
        periodic(
            "freehold-passes", "late replicas, listings and totals", (command,), interval_s,
            after=after, niceness=moving.niceness,
        )
    ]  # fmt: skip
    if layout.objects(server) is Objects.MARIADB:
        for name, description, interval_s in (
            ("collector", "objects nobody needs any more", every.collector),
            ("auditor", "objects read and checked", every.auditor),
        ):
            command = f"/usr/bin/python3 -m freehold_mariadb_objects {name} {server_conf('object')} once"
            parts.append(
                periodic(
                    f"freehold-{name}", description, (command,), interval_s,
                    after=("mariadb.service",), timeout_s=86400, first_s=interval_s,
                )
            )  # fmt: skip
    return Part(
        directories=tuple(folder for part in parts for folder in part.directories),
        files=(program, *(file for part in parts for file in part.files)),
        units=tuple(unit for part in parts for unit in part.units),
    )


def rsync(layout: Layout, server: PlannedServer) -> Part:
    config = text(
        "/etc/rsyncd.conf", f"{_FOLDER}/storage/rsyncd.conf.j2",
        back_address=layout.back_address(server), back_prefix=layout.back_prefix, devices=NODE,
        ports=layout.blueprint.ports,
    )  # fmt: skip
    waits = _waits(server, "rsync.service")
    return Part(packages=("rsync",), files=(config, waits), units=(served("rsync.service", config, waits),))


def memcached(layout: Layout, server: PlannedServer) -> Part:
    config = text(
        "/etc/memcached.conf", f"{_FOLDER}/web/memcached.conf.j2",
        address=layout.proxy_address(server), ports=layout.blueprint.ports,
        cache_mib=layout.software(server).cache_mib,
    )  # fmt: skip
    waits = drop_in("memcached.service", after=_back_network(server))
    return Part(packages=("memcached",), files=(config, waits), units=(served("memcached.service", config, waits),))


def proxy(layout: Layout, server: PlannedServer) -> Part:
    """Reloaded, not restarted, when what it reads changes: its workers end their requests while new ones begin."""
    fellows = layout.proxies(server)
    config = text(
        server_conf("proxy"), f"{_FOLDER}/web/proxy-server.conf.j2", mode=0o640, group="swift",
        middleware=layout.blueprint.middleware(layout.software(server).features, layout.frozen), eggs=_EGGS,
        ports=layout.blueprint.ports, region=layout.blueprint.region,
        address=layout.proxy_address(server), caches=[layout.proxy_address(s) for s in fellows],
        replicas=layout.generations[-1].replicas, workers=layout.software(server).workers,
        customer=layout.customer, secret_key=layout.secret("s3-key"),
    )  # fmt: skip
    waits = drop_in(
        "swift-proxy.service", after=("memcached.service", *_back_network(server)),
        command=f"/usr/bin/swift-proxy-server {config.path}", reload="/usr/bin/swift-reload $MAINPID",
    )  # fmt: skip
    ready = answers(f"http://{layout.proxy_address(server)}:{layout.blueprint.ports.proxy}/info")
    program = _program("swift_proxy", _SWIFT_PROXY)
    before = tuple(
        File(path=f"{CONF}/before/{name}.ring.gz", content=_encoded(ring.ring), base64=True)
        for name, ring in layout.rings_before.items()
    )
    read = (config.path, *map(_ring_path, layout.rings), *(file.path for file in (*before, *program)))
    return Part(
        packages=("swift-proxy", "curl"),
        directories=(Directory(path=f"{CONF}/before"), *_folders(_SWIFT_PROXY)),
        files=(*before, *program, config, waits),
        units=(served("swift-proxy.service", _swift_conf(layout), waits, ready=ready, reload_on=read),),
        purge=(f"{_SWIFT_PROXY}/__pycache__",),
    )


def _server_conf(layout: Layout, server: PlannedServer, kind: str) -> File:
    return text(
        server_conf(kind), f"{_FOLDER}/storage/{kind}-server.conf.j2",
        back_address=layout.back_address(server), devices=NODE, ports=layout.blueprint.ports,
    )  # fmt: skip


def _waits(server: PlannedServer, unit: str, *after: str, command: str = "") -> File:
    return drop_in(unit, after=(*_back_network(server), *after), mounts=_mounts(server), command=command)


def _mounts(server: PlannedServer) -> tuple[str, ...]:
    return tuple(f"{NODE}/{device}" for device in devices(server))


def _back_network(server: PlannedServer) -> tuple[str, ...]:
    back = server.nic(NetworkPurpose.BACK)
    return (network_unit(back.nic),) if back else ()


def _folders(package: str) -> tuple[Directory, ...]:
    return tuple(Directory(path=path) for path in (_PYTHON, f"{_PYTHON}/dist-packages", package))


def _program(name: str, path: str) -> tuple[File, ...]:
    """A Python package of ours beside Swift's. As bytes: a plan shows that it comes, not its source."""
    folder = resources.files("freehold.services.object_storage") / name
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".py"))
    return tuple(
        File(path=f"{path}/{file}", content=_encoded((folder / file).read_bytes()), base64=True) for file in names
    )


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _packaged(name: str) -> str:
    return (resources.files("freehold.services.object_storage.mariadb_objects") / name).read_text()
