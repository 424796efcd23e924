"""LLDP neighbours as lldpd tells them: the same on a switch that runs Linux and on a server."""

from __future__ import annotations

import json
from typing import Any

from freehold.models.network import Neighbour

SHOW_NEIGHBOURS = "lldpcli -f json0 show neighbors"


def parse_neighbours(text: str) -> tuple[Neighbour, ...]:
    """Read the answer to `SHOW_NEIGHBOURS`, sorted by port. Raises ValueError when it is something else."""
    try:
        interfaces = [i for root in json.loads(text)["lldp"] for i in root.get("interface", [])]
        return tuple(sorted(map(_neighbour, interfaces), key=lambda n: (n.local_port, n.chassis_id, n.port_id)))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"lldpcli answered in an unknown shape: {error!r}") from error


def _neighbour(interface: dict[str, Any]) -> Neighbour:
    chassis: dict[str, Any] = next(iter(interface.get("chassis", [])), {})
    port: dict[str, Any] = next(iter(interface.get("port", [])), {})
    return Neighbour(
        local_port=interface["name"],
        chassis_id=_value(chassis, "id"),
        system_name=_value(chassis, "name"),
        port_id=_value(port, "id"),
        management_address=_value(chassis, "mgmt-ip"),
    )


def _value(part: dict[str, Any], name: str) -> str:
    return next((str(entry["value"]) for entry in part.get(name, [])), "")
