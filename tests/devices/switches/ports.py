"""Short words for port configurations and changes."""

from __future__ import annotations

from freehold.models.network import PortChange, PortConfig, PortMode, SwitchChange, TrunkChange

CLOSED = PortConfig()


def access(vlan: int, description: str | None = None) -> PortConfig:
    return PortConfig(mode=PortMode.ACCESS, vlan=vlan, description=description)


def trunk(*vlans: int, description: str | None = None) -> PortConfig:
    return PortConfig(mode=PortMode.TRUNK, trunk_vlans=vlans, description=description)


def port(name: str, config: PortConfig, switch: str = "leaf1") -> SwitchChange:
    return SwitchChange(switch=switch, ports=(PortChange(port=name, config=config),))


def vlan(name: str, vlan: int, *, present: bool = True, switch: str = "leaf1") -> SwitchChange:
    return SwitchChange(switch=switch, trunks=(TrunkChange(port=name, vlan=vlan, present=present),))
