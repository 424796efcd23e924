"""Arista EOS running-configuration: read into models, written from templates, differences by hier-config."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hier_config import HConfig, HConfigChild, MatchRule, get_hconfig
from hier_config.models import IdempotentCommandsRule, NegationDefaultWithRule
from hier_config.platforms.arista_eos.driver import HConfigDriverAristaEOS
from hier_config.platforms.driver_base import HConfigDriverRules
from pydantic import ValidationError

from freehold import templates
from freehold.errors import CommandRejected
from freehold.models.network import QUARANTINE_VLAN, PortConfig, PortMode

CLOSED_LIST = "freehold-closed"
"""MAC access list of closed ports: it drops all frames, while LLDP is taken out for the CPU before it."""

_DEFAULT_VLAN = 1
_TEMPLATES = {PortMode.CLOSED: "close_port.j2", PortMode.ACCESS: "open_port.j2", PortMode.TRUNK: "trunk.j2"}
_ACCESS, _ALLOWED, _TRUNK = "switchport access vlan ", "switchport trunk allowed vlan ", "switchport mode trunk"
_GUARD = f"mac access-group {CLOSED_LIST} in"
_OURS = ("description ", _ACCESS, _ALLOWED, _TRUNK, _GUARD)
_FORWARDING = ("switchport", "no switchport", "shutdown", "channel-group", "mac access-group", "ip access-group")
"""Beginnings of lines that decide what a port forwards; other lines (MTU, speed, ...) are not Freehold's business."""


class _Driver(HConfigDriverAristaEOS):
    """One value per port and command: a new one replaces the old, and its removal names no value."""

    @staticmethod
    def _instantiate_rules() -> HConfigDriverRules:
        rules = HConfigDriverAristaEOS._instantiate_rules()
        for command in ("description", "switchport access vlan", "switchport trunk allowed vlan", "switchport mode"):
            match = (MatchRule(startswith="interface "), MatchRule(startswith=f"{command} "))
            rules.idempotent_commands.append(IdempotentCommandsRule(match_rules=match))
            rules.negate_with.append(NegationDefaultWithRule(match_rules=match, use=f"no {command}"))
        return rules


@dataclass(frozen=True)
class Running:
    """What Freehold needs to know of a running configuration."""

    ports: Mapping[str, PortConfig] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Per port those lines that decide what it forwards."""
    vlans: frozenset[int] = frozenset()
    has_closed_list: bool = False


def parse_running(text: str) -> Running:
    """Read `show running-config`."""
    config = get_hconfig(_Driver(), text)
    has_list = any("deny any any" in rule.text for rule in _children(config, f"mac access-list {CLOSED_LIST}"))
    lines = {
        section.text.removeprefix("interface "): tuple(
            line.text for line in section.children if line.text.startswith(("description ", *_FORWARDING))
        )
        for section in config.children
        if section.text.startswith("interface Ethernet")
    }
    vlans = {
        vlan
        for section in config.children
        if (match := re.fullmatch(r"vlan ([\d,-]+)", section.text))
        for vlan in _vlan_list(match[1])
    }
    ports = {port: _port(kept, has_list) for port, kept in lines.items()}
    return Running(ports, lines, frozenset(vlans), has_list)


def commands(
    switch: str, running: Running, before: Mapping[str, PortConfig], after: Mapping[str, PortConfig]
) -> tuple[str, ...]:
    """Configuration lines that lead from the ports of `before` to those of `after`, which are the same ports."""
    have = "".join(_section_now(running, port, config) for port, config in before.items())
    want = "".join(_section(switch, port, config) for port, config in after.items())
    remedy = get_hconfig(_Driver(), have).config_to_get_to(get_hconfig(_Driver(), want))
    lines = tuple(line.cisco_style_text() for line in remedy.all_children_sorted())
    return (*_needed(running, list(after.values())), *lines)


def _needed(running: Running, configs: Sequence[PortConfig]) -> list[str]:
    """VLANs and the access list must be there before a port refers to them. They are never removed: others may too."""
    closed = any(config.mode is PortMode.CLOSED for config in configs)
    vlans = {vlan for config in configs for vlan in (config.vlan, *config.trunk_vlans) if vlan}
    vlans |= {QUARANTINE_VLAN} if closed else set()
    return templates.render(
        "switches/arista_eos",
        "needed.j2",
        closed_list=CLOSED_LIST,
        missing_list=closed and not running.has_closed_list,
        missing_vlans=sorted(vlans - running.vlans - {_DEFAULT_VLAN}),
    ).splitlines()


def _section_now(running: Running, port: str, config: PortConfig) -> str:
    """The port's lines as the device has them; a `config` that it does not have (a plan on a plan) is written anew."""
    if running.ports.get(port) == config:
        return "\n   ".join([f"interface {port}", *running.lines[port]]) + "\n"
    return _section("", port, config)


def _section(switch: str, port: str, config: PortConfig) -> str:
    if config.mode not in _TEMPLATES:
        raise CommandRejected(
            f"{switch}/{port}: it was set up by hand ({config.description}) and cannot be set so again"
        )
    return templates.render(
        "switches/arista_eos",
        _TEMPLATES[config.mode],
        port=port,
        config=config,
        quarantine_vlan=QUARANTINE_VLAN,
        default_vlan=_DEFAULT_VLAN,
        closed_list=CLOSED_LIST,
    )


def _port(lines: Sequence[str], has_closed_list: bool) -> PortConfig:
    """The port as a model; what fits none of ours is told as it is and never taken for one of ours."""
    values = {start: line.removeprefix(start) for line in lines for start in _OURS if line.startswith(start)}
    foreign = [line for line in lines if not line.startswith(_OURS)]
    try:
        config = None if foreign else _ours(values, has_closed_list)
    except (ValidationError, ValueError):  # a description or a VLAN that no model allows
        config = None
    shown = re.sub(r"[^A-Za-z0-9 ._:/#-]", " ", " / ".join(foreign or lines))[:64].strip()
    return config or PortConfig(mode=PortMode.OTHER, description=shown or None)


def _ours(values: Mapping[str, str], has_closed_list: bool) -> PortConfig | None:
    description = values.get("description ")
    vlan = int(values.get(_ACCESS, _DEFAULT_VLAN))
    if _GUARD in values:
        is_closed = has_closed_list and _TRUNK not in values and vlan == QUARANTINE_VLAN and not description
        return PortConfig() if is_closed else None
    if _TRUNK not in values:
        return PortConfig(mode=PortMode.ACCESS, vlan=vlan, description=description)
    if _ALLOWED not in values:  # all VLANs
        return None
    vlans = () if values[_ALLOWED] == "none" else tuple(_vlan_list(values[_ALLOWED]))
    return PortConfig(mode=PortMode.TRUNK, trunk_vlans=vlans, description=description)


def _vlan_list(text: str) -> list[int]:
    """`10,20-22` as numbers, sorted."""
    ranges = [part.partition("-") for part in text.split(",")]
    return sorted({vlan for first, _, last in ranges for vlan in range(int(first), int(last or first) + 1)})


def _children(config: HConfig, section: str) -> Sequence[HConfigChild]:
    found = config.get_child(equals=section)
    return tuple(found.children) if found else ()
