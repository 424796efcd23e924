"""Desired state of an instance's servers: one function per program, put together by role and stage."""

from __future__ import annotations

from dataclasses import replace

from freehold.errors import BadInput
from freehold.models.plan import NetworkPurpose, PlannedServer
from freehold.models.server import Directory, File, Filesystem
from freehold.services.object_storage import programs
from freehold.services.object_storage.blueprint import Objects, Role
from freehold.services.object_storage.layout import HAPROXY_CONF, NODE, Layout, devices
from freehold.services.object_storage.parts import (
    PROGRAMS,
    UNITS,
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
_CERTIFICATE = "/etc/haproxy/freehold.pem"
_PREFERENCE = "/etc/freehold/endpoint-preference"
_FIGURES = "/var/lib/prometheus/node-exporter"
"""Files that the node exporter shows."""


def base(layout: Layout, server: PlannedServer) -> list[Part]:
    """Disks, addresses of the back network, and the firewall around all that follows."""
    back = server.nic(NetworkPurpose.BACK)
    return [
        _firewall(layout, server),
        *(_disk(server, device, disk) for device, disk in devices(server).items()),
        *([_network(back.nic, (str(back.address),), "back")] if back and back.address else []),
    ]


def storage(layout: Layout, server: PlannedServer) -> list[Part]:
    """What every server of the instance needs of Swift, and what its role as a storage or web server adds."""
    parts = [programs.rings(layout)]
    if Role.STORAGE in server.roles:
        if layout.objects(server) is Objects.MARIADB:
            parts.append(programs.mariadb(layout))
        parts += [
            programs.databases(layout, server),
            *programs.objects(layout, server),
            programs.passes(layout, server),
            programs.rsync(layout, server),
        ]
    if Role.WEB in server.roles:
        parts += [programs.memcached(layout, server), programs.proxy(layout, server)]
    return parts


def endpoint(layout: Layout, server: PlannedServer) -> list[Part]:
    """Who answers at the address in the customer's network, and which of several servers has it."""
    if Role.ENDPOINT not in server.roles:
        return []
    nic, address = layout.front_nic(server), layout.plan.endpoint.address.ip
    own = f"{layout.front_address(server)}/{layout.plan.endpoint.address.network.prefixlen}"
    return [
        _network(nic.nic, (own,), "front"),
        # Every candidate knows the address, so that its programs start and old connections live on; one announces it.
        _network("lo", (f"{address}/32",), "endpoint"),
        _haproxy(layout, server, nic.nic),
        _keepalived(layout, server, nic.nic),
    ]


def _haproxy(layout: Layout, server: PlannedServer, front: str) -> Part:
    config = text(
        HAPROXY_CONF, f"{_FOLDER}/endpoint/haproxy.cfg.j2",
        endpoint=layout.plan.endpoint.address.ip, endpoint_port=layout.plan.endpoint.port, certificate=_CERTIFICATE,
        newest=layout.generations[-1].replicas > 1, frozen=layout.frozen,
        management=layout.management(server), ports=layout.blueprint.ports,
        proxies=[(s.server, f"{layout.proxy_address(s)}:{layout.blueprint.ports.proxy}")
                 for s in layout.proxies(server)],
    )  # fmt: skip
    certificate = File(path=_CERTIFICATE, content=layout.secret("tls"), mode=0o600)
    waits = drop_in("haproxy.service", after=(network_unit(front), network_unit("lo")), migrates=True)
    ready = answers(f"http://{layout.management(server)}:{layout.blueprint.ports.endpoint_metrics}/metrics")
    haproxy = served("haproxy.service", waits, ready=ready, reload_on=(config.path, certificate.path))
    return Part(packages=("haproxy",), files=(certificate, config, waits), units=(haproxy,))


def _keepalived(layout: Layout, server: PlannedServer, front: str) -> Part:
    """Announces the address; between several servers the number in a file decides, which is read when it changes."""
    candidates = layout.with_role(Role.ENDPOINT)
    back = server.nic(NetworkPurpose.BACK)
    if back is None:
        raise BadInput(f"{server.server}: the plan has no back NIC for it, over which endpoint servers see each other")
    address = layout.plan.endpoint.address.ip
    preference = text(
        _PREFERENCE, f"{_FOLDER}/endpoint/preference.j2",
        preferred=server.server == layout.holder, resigned=server.server in layout.resigned,
    )  # fmt: skip
    config = text(
        "/etc/keepalived/keepalived.conf", f"{_FOLDER}/endpoint/keepalived.conf.j2",
        server=server.server, front=front, back=back.nic, address=address, preference=preference.path,
        own=layout.back_address(server), priority=100 - candidates.index(server),
        peers=[layout.back_address(s) for s in candidates if s is not server],
        metrics=f"http://{layout.management(server)}:{layout.blueprint.ports.endpoint_metrics}/metrics",
    )  # fmt: skip
    waits = drop_in(
        "keepalived.service",
        after=(network_unit(front), network_unit(back.nic), "haproxy.service"),
        keeps_off=("/etc/iproute2",),  # it would leave a file there that nothing takes away again
    )
    announced = ("sh", "-c", f"ip -o -4 address show dev {front} | grep -qF ' {address}/32 '")
    unit = served(
        "keepalived.service", waits, reload_on=(config.path,), ready=announced if len(candidates) == 1 else ()
    )
    return Part(packages=("keepalived",), files=(preference, config, waits), units=(unit,))


def monitoring(layout: Layout, server: PlannedServer) -> list[Part]:
    """Figures of the machine and, where the account is known, of the customer's use."""
    management, ports = layout.management(server), layout.blueprint.ports
    options = text(
        "/etc/default/prometheus-node-exporter", f"{_FOLDER}/monitoring/node-exporter.default.j2",
        management=management, ports=ports,
    )  # fmt: skip
    ready = answers(f"http://{management}:{ports.server_metrics}/metrics")
    waits = drop_in("prometheus-node-exporter.service")
    exporter = Part(
        packages=("prometheus-node-exporter", "curl"),
        files=(options, waits),
        units=(served("prometheus-node-exporter.service", options, waits, ready=ready),),
    )
    return [
        exporter,
        *(_usage(layout) if Role.STORAGE in server.roles else []),
        *([_latency(layout)] if Role.ENDPOINT in server.roles else []),
    ]


def _usage(layout: Layout) -> list[Part]:
    usage = text(
        f"{PROGRAMS}/usage", f"{_FOLDER}/monitoring/usage.py.j2", mode=0o755,
        customer=layout.customer,
        capacity_bytes=layout.plan.request.capacity_gib << 30,
    )  # fmt: skip
    program = Part(files=(usage,), purge=(f"{_FIGURES}/freehold_usage.prom",))
    timer = periodic(
        "freehold-usage", "totals of the account", (usage.path,), layout.blueprint.intervals.usage,
        user="root", after=("swift-account.service",), timeout_s=30, first_s=1,
    )  # fmt: skip
    return [program, timer]


def _latency(layout: Layout) -> Part:
    program = text(
        f"{PROGRAMS}/latency", f"{_FOLDER}/monitoring/latency.py.j2", mode=0o755, ports=layout.blueprint.ports
    )
    running = daemon("freehold-latency", "how long customers wait", program.path, program)
    return replace(running, purge=(f"{_FIGURES}/freehold_latency.prom",))


# -- parts of the base


def _firewall(layout: Layout, server: PlannedServer) -> Part:
    front, back = server.nic(NetworkPurpose.FRONT), server.nic(NetworkPurpose.BACK)
    peer = layout.peer(server)
    rules = text(
        "/etc/freehold/firewall.nft", "base/firewall.nft.j2", mode=0o600,
        front=front.nic if front else None, endpoint=layout.plan.endpoint.address.ip,
        endpoint_port=layout.plan.endpoint.port,
        peer=layout.front_address(peer) if peer else None, peer_mac=layout.front_nic(peer).mac if peer else None,
        back=back.nic if back else None, back_prefix=layout.back_prefix if back else None,
        back_address=layout.back_address(server) if back else None, back_ports=_back_ports(layout, server),
        elects=Role.ENDPOINT in server.roles,
        management=layout.management(server), management_ports=layout.blueprint.ports.management,
    )  # fmt: skip
    unit = text(f"{UNITS}/freehold-firewall.service", "base/firewall.service.j2")
    return Part(
        packages=("nftables",),
        directories=(Directory(path="/etc/freehold", mode=0o700),),
        files=(rules, unit),
        units=(served("freehold-firewall.service", unit, reload_on=(rules.path,)),),
    )


def _back_ports(layout: Layout, server: PlannedServer) -> tuple[int, ...]:
    """What the instance's other servers may ask this one for."""
    ports = layout.blueprint.ports
    found = ports.back if Role.STORAGE in server.roles else ()
    shared = (ports.proxy, ports.memcached) if len(layout.proxies(server)) > 1 and Role.WEB in server.roles else ()
    return (*found, *shared)


def _network(nic: str, addresses: tuple[str, ...], purpose: str) -> Part:
    batch = text(f"/etc/freehold/network/{nic}", "base/network.j2", nic=nic, addresses=addresses, purpose=purpose)
    unit = text(f"{UNITS}/freehold-network@.service", "base/network@.service.j2")
    return Part(
        packages=("iproute2", "procps"),
        directories=(Directory(path="/etc/freehold/network", mode=0o700),),
        files=(batch, unit),
        units=(served(network_unit(nic), batch, unit),),
    )


def _disk(server: PlannedServer, device: str, disk: str) -> Part:
    return Part(
        packages=("e2fsprogs", "swift-object"),  # the latter brings the user swift
        directories=(Directory(path=NODE),),
        filesystems=(
            Filesystem(disk=disk, mountpoint=f"{NODE}/{device}", label=f"fh-{device}", owner="swift", group="swift"),
        ),
    )
