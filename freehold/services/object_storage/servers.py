"""Desired state of an instance's servers: one function per program, put together by role and stage."""

from __future__ import annotations

from freehold.models.plan import NetworkPurpose, PlannedServer
from freehold.models.server import Directory, File, Filesystem
from freehold.services.object_storage import programs
from freehold.services.object_storage.blueprint import Objects, Role
from freehold.services.object_storage.layout import NODE, Layout, devices
from freehold.services.object_storage.parts import UNITS, Part, answers, drop_in, network_unit, periodic, served, text

_FOLDER = "object_storage"
_CERTIFICATE = "/etc/haproxy/freehold.pem"


def base(layout: Layout, server: PlannedServer) -> list[Part]:
    """Disks, addresses of the back network, and the firewall around all that follows."""
    back = server.nic(NetworkPurpose.BACK)
    return [
        _firewall(layout, server),
        *(_disk(server, device, disk) for device, disk in devices(server).items()),
        *([_network(back.nic, str(back.address), "back")] if back and back.address else []),
    ]


def storage(layout: Layout, server: PlannedServer) -> list[Part]:
    """What every server of the instance needs of Swift, and what its role as a storage or web server adds."""
    parts = [programs.rings(layout)]
    if Role.STORAGE in server.roles:
        if layout.tier.objects is Objects.MARIADB:
            parts.append(programs.mariadb(layout))
        parts += [
            programs.databases(layout, server),
            programs.objects(layout, server),
            programs.updates(layout),
            programs.rsync(layout, server),
        ]
    if Role.WEB in server.roles:
        parts += [programs.memcached(layout), programs.proxy(layout)]
    return parts


def endpoint(layout: Layout, server: PlannedServer) -> list[Part]:
    """The address in the customer's network, and who answers there."""
    if Role.ENDPOINT not in server.roles:
        return []
    nic = layout.front_nic(server)
    address = layout.plan.endpoint.address
    config = text(
        "/etc/haproxy/haproxy.cfg", f"{_FOLDER}/endpoint/haproxy.cfg.j2",
        endpoint=address.ip, endpoint_port=layout.plan.endpoint.port, certificate=_CERTIFICATE,
        management=layout.management(server), ports=layout.blueprint.ports,
        proxies=[(server.server, f"127.0.0.1:{layout.blueprint.ports.proxy}")],
    )  # fmt: skip
    certificate = File(path=_CERTIFICATE, content=layout.secret("tls"), mode=0o600)
    waits = drop_in("haproxy.service", after=(network_unit(nic.nic),))
    ready = answers(f"http://{layout.management(server)}:{layout.blueprint.ports.endpoint_metrics}/metrics")
    haproxy = served("haproxy.service", waits, ready=ready, reload_on=(config.path, certificate.path))
    return [
        _network(nic.nic, str(address), "front"),
        Part(packages=("haproxy",), files=(certificate, config, waits), units=(haproxy,)),
    ]


def monitoring(layout: Layout, server: PlannedServer) -> list[Part]:
    """Figures of the machine and, where the account is known, of the customer's use."""
    management, ports, intervals = layout.management(server), layout.blueprint.ports, layout.blueprint.intervals
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
    if Role.STORAGE not in server.roles:
        return [exporter]
    usage = text(
        "/usr/local/lib/freehold/usage", f"{_FOLDER}/monitoring/usage.py.j2", mode=0o755,
        customer=layout.customer,
        capacity_bytes=layout.plan.request.capacity_gib << 30,
    )  # fmt: skip
    program = Part(
        directories=(Directory(path="/usr/local/lib/freehold"),),
        files=(usage,),
        purge=("/var/lib/prometheus/node-exporter/freehold_usage.prom",),
    )
    timer = periodic(
        "freehold-usage", "totals of the account", (usage.path,), intervals.usage,
        user="root", after=("swift-account.service",), timeout_s=30, first_s=1,
    )  # fmt: skip
    return [exporter, program, timer]


# -- parts of the base


def _firewall(layout: Layout, server: PlannedServer) -> Part:
    front, back = server.nic(NetworkPurpose.FRONT), server.nic(NetworkPurpose.BACK)
    rules = text(
        "/etc/freehold/firewall.nft", "base/firewall.nft.j2", mode=0o600,
        front=front.nic if front else None, endpoint=layout.plan.endpoint.address.ip,
        endpoint_port=layout.plan.endpoint.port,
        back=back.nic if back else None, back_prefix=layout.back_prefix if back else None,
        back_address=layout.back_address(server) if back else None, back_ports=layout.blueprint.ports.back,
        management=layout.management(server), management_ports=layout.blueprint.ports.management,
    )  # fmt: skip
    unit = text(f"{UNITS}/freehold-firewall.service", "base/firewall.service.j2")
    return Part(
        packages=("nftables",),
        directories=(Directory(path="/etc/freehold", mode=0o700),),
        files=(rules, unit),
        units=(served("freehold-firewall.service", unit, reload_on=(rules.path,)),),
    )


def _network(nic: str, address: str, purpose: str) -> Part:
    batch = text(f"/etc/freehold/network/{nic}", "base/network.j2", nic=nic, address=address, purpose=purpose)
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
