"""What is observed on hosts to prove that an instance serves its customer, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from ipaddress import IPv4Address, IPv4Network

from freehold.models.plan import Plan
from freehold.services.base import Probe
from freehold.services.object_storage.layout import Layout

_PROBES = "freehold.services.object_storage.probes"


def customer_probe(plan: Plan, credentials: Mapping[str, str], host: str) -> Probe:
    return Probe(
        name="s3-round-trip",
        host=host,
        claim=f"{plan.request.customer} uses {plan.endpoint.url} over S3, and nothing else of the instance answers",
        script=program("customer"),
        given={
            **credentials,
            "address": str(plan.endpoint.address.ip),
            "port": plan.endpoint.port,
            "instance": plan.instance,
        },
        timeout_s=180,
    )


def stranger_probe(layout: Layout, host: str, address: str) -> Probe:
    plan = layout.plan
    endpoint = plan.endpoint.address
    return Probe(
        name="stranger-refused",
        host=host,
        claim=f"{host} reaches nothing of {plan.instance}, not even with an address of its network",
        script=program("stranger"),
        given={
            "address": str(endpoint.ip),
            "port": plan.endpoint.port,
            "own_address": address,
            "temporary": f"{_temporary(endpoint.network, endpoint.ip)}/{endpoint.network.prefixlen}",
            "servers": _servers(layout),
        },
        timeout_s=90,
    )


def program(name: str) -> str:
    """A probe as one text: the module it shares with the other one, then itself."""
    folder = resources.files(_PROBES)
    shared = (folder / "scan.py").read_text()
    module = f"{_PROBES}.scan"
    return (
        "import sys, types\n"
        f"_shared = sys.modules[{module!r}] = types.ModuleType({module!r})\n"
        f"exec(compile({shared!r}, 'scan.py', 'exec'), _shared.__dict__)\n"
        f"exec(compile({(folder / f'{name}.py').read_text()!r}, '{name}.py', 'exec'))\n"
    )


def _temporary(network: IPv4Network, endpoint: IPv4Address) -> IPv4Address:
    """An address of the customer's network for a stranger to try with: the last one, or the one before it."""
    last = network.broadcast_address - 1
    return last if last != endpoint else last - 1


def _servers(layout: Layout) -> list[dict[str, object]]:
    """What authenticates nobody behind the endpoint: the servers' addresses and ports on the back network."""
    ports = sorted({*layout.blueprint.ports.back, layout.blueprint.ports.proxy, layout.blueprint.ports.memcached})
    found: list[dict[str, object]] = []
    for server in layout.plan.servers:
        if any(nic.address for nic in server.nics if nic.network.value == "back"):
            found.append({"address": layout.back_address(server), "ports": ports})
    return found
