"""Short words for port configurations and changes."""

from __future__ import annotations

from netmiko import ConnectHandler

from freehold.devices.switches import eos_config
from freehold.devices.switches.arista_eos import AristaEosSwitch
from freehold.devices.switches.ovs import OvsSwitch
from freehold.models.access import Access
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


def offline(dialect: str) -> OvsSwitch | AristaEosSwitch:
    """A driver that can render but has no device behind it."""
    given = {"device": "leaf1", "address": "192.0.2.1", "user": "freehold", "host_key": "", "credential": "key"}
    access = Access.model_validate(given)
    if dialect == "ovs":
        return OvsSwitch(access, ConnectHandler(device_type="ovs_linux", host="none", auto_connect=False))
    switch = AristaEosSwitch(access, ConnectHandler(device_type="arista_eos", host="none", auto_connect=False))
    switch._running = eos_config.Running(vlans=frozenset({1}))
    return switch
