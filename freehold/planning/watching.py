"""Ports that carry an instance's traffic, and whether what is plugged there is still what was proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from freehold.models.base import Choice
from freehold.models.cabling import Sight
from freehold.models.instance import Instance, InstanceState
from freehold.models.network import PortConfig, PortRef
from freehold.models.plan import Plan


class Plugged(Choice):
    """What one look at a port shows."""

    RIGHT = "right"
    STRANGE = "strange"  # something else is plugged there
    NOTHING = "nothing"  # it carries nothing
    UNKNOWN = "unknown"  # it was not seen, or only the right card's address was


@dataclass(frozen=True)
class Watched:
    """A port of an instance: what must be plugged there, and how it is when it is open."""

    instance: str
    port: PortRef
    card: PortRef
    mac: str
    open: PortConfig
    serves: bool
    """Whether nothing but the watch decides about it; else a procedure opens it, and the watch only closes."""


def watched(instances: Iterable[Instance]) -> tuple[Watched, ...]:
    """The ports of all instances that may carry traffic now. One that is being ended has its ports closed anyway."""
    found: dict[PortRef, Watched] = {}
    for instance in instances:
        if instance.state not in (InstanceState.DECOMMISSIONING, InstanceState.GONE):
            for plan in filter(None, (instance.plan, instance.target)):
                for port in _ports(instance, plan):
                    found.setdefault(port.port, port)
    return tuple(found.values())


def _ports(instance: Instance, plan: Plan) -> Iterator[Watched]:
    configs = {(p.switch, p.change.port): p.change.config for p in plan.ports}
    for server in plan.servers:
        for nic in server.nics:
            if config := configs.get((nic.switch, nic.switch_port)):
                yield Watched(
                    instance=instance.name,
                    port=PortRef(device=nic.switch, port=nic.switch_port),
                    card=PortRef(device=server.server, port=nic.nic),
                    mac=nic.mac,
                    open=config,
                    serves=instance.state is InstanceState.ACTIVE,
                )


def plugged(port: Watched, sight: Sight | None) -> Plugged:
    """What is not known is never taken for strange: a reading that is missing closes nothing."""
    if sight is None or not sight.answered:
        return Plugged.UNKNOWN
    if sight.neighbours:
        return Plugged.RIGHT if sight.neighbours == (port.card,) else Plugged.STRANGE
    if set(sight.macs) - {port.mac}:
        return Plugged.STRANGE
    return Plugged.UNKNOWN if sight.macs else Plugged.NOTHING


def strange_words(port: Watched, sight: Sight) -> str:
    """`leaf1/swp1 sees srv-9/eth1 instead of srv-1/eth1`."""
    seen = [str(n) for n in sight.neighbours] or [f"address {mac}" for mac in sight.macs if mac != port.mac]
    return f"{port.port} sees {' and '.join(seen)} instead of {port.card}"
