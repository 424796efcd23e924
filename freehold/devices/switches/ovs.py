"""Open vSwitch on Linux, reached as a restricted user who may run ovs-vsctl, fdb/show and lldpcli through sudo."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from netmiko.base_connection import BaseConnection
from pydantic import ValidationError

from freehold import templates
from freehold.devices.base import Secrets
from freehold.devices.lldp import SHOW_NEIGHBOURS, parse_neighbours
from freehold.devices.ssh import said
from freehold.devices.switches.changes import differing_ports, only, target
from freehold.devices.switches.terminal import ANSWER_TIMEOUT_S, open_terminal, terminal_errors
from freehold.errors import CommandRejected
from freehold.models.access import Access
from freehold.models.network import (
    QUARANTINE_VLAN,
    MacEntry,
    Neighbour,
    PortConfig,
    PortMode,
    SwitchChange,
    SwitchState,
)

BRIDGE = "br0"
EMPTY_TRUNK_VLAN = 1
"""Never used: Open vSwitch takes a trunk without VLANs for one of all VLANs, so an empty trunk carries this one."""

_DESCRIPTION = "description"
_READ = (
    "sudo ovs-vsctl --timeout=15 --format=json --data=json"
    " --columns=name,tag,trunks,vlan_mode,protected,external_ids list port"
)
_MAC_TABLE = (
    "sudo ovs-vsctl --timeout=15 --format=json --data=json --columns=name,ofport list interface"
    f" && sudo ovs-appctl fdb/show {BRIDGE}"
)
_TEMPLATES = {PortMode.CLOSED: "close_port.j2", PortMode.ACCESS: "open_port.j2", PortMode.TRUNK: "trunk.j2"}
_EXIT = "freehold-exit"


class OvsSwitch:
    """`Switch` over a shell. Commands are ovs-vsctl's; all of one `apply` are one transaction of its database."""

    def __init__(self, access: Access, terminal: BaseConnection) -> None:
        self._access, self._terminal = access, terminal

    def read(self, ports: Collection[str] | None = None) -> SwitchState:
        return only(SwitchState(switch=self._access.device, ports=parse_ports(self._run(_READ))), ports)

    def render(self, before: SwitchState, changes: Sequence[SwitchChange]) -> tuple[str, ...]:
        after = target(before, changes)
        return tuple(
            command
            for port in differing_ports(before, after)
            for command in _commands(before.switch, port, after.ports[port])
        )

    def apply(self, commands: Sequence[str]) -> None:
        if commands:
            operations = " -- ".join(command.removeprefix("ovs-vsctl ") for command in commands)
            self._run(f"sudo ovs-vsctl --timeout=15 {operations}")

    def save(self) -> None:
        """Nothing to do: an ovs-vsctl that returned has its transaction in the database file already."""

    def neighbours(self) -> tuple[Neighbour, ...]:
        with terminal_errors(self._access):
            return parse_neighbours(self._run(f"sudo {SHOW_NEIGHBOURS}"))

    def mac_table(self) -> tuple[MacEntry, ...]:
        return parse_mac_table(self._run(_MAC_TABLE))

    def _run(self, command: str) -> str:
        """The output of a shell command. Its exit status tells whether it worked: errors are text of any form."""
        prompt = re.escape(self._terminal.base_prompt)
        with terminal_errors(self._access):
            # The echo of a long line is broken by the shell's line editor: it cannot be verified.
            answer = self._terminal.send_command(
                f"echo {_EXIT}-begin; {command}; echo {_EXIT} $?",
                expect_string=rf"{_EXIT} \d+\s+(?:.*{prompt})",
                cmd_verify=False,
                strip_command=False,
                strip_prompt=False,
            )
        found = re.search(rf"^{_EXIT}-begin\s*$(.*)^{_EXIT} (\d+)\s*$", str(answer), re.M | re.S)
        output, status = (found[1].strip(), int(found[2])) if found else (str(answer), -1)
        if status != 0:
            raise CommandRejected(f"{self._access.device}: {said(output) or f'exit status {status}'}")
        return output


@contextmanager
def open_switch(access: Access, secrets: Secrets, timeout_s: float = ANSWER_TIMEOUT_S) -> Iterator[OvsSwitch]:
    with open_terminal(access, secrets, "ovs_linux", timeout_s) as terminal:
        yield OvsSwitch(access, terminal)


def parse_ports(text: str) -> dict[str, PortConfig]:
    """Ports by name, from the rows of table Port; the bridge's own port is none of the switch's."""
    return {row["name"]: _config(row) for row in sorted(_rows(text), key=lambda r: r["name"]) if row["name"] != BRIDGE}


def parse_mac_table(text: str) -> tuple[MacEntry, ...]:
    """MAC addresses by port name, from the interfaces' numbers and `fdb/show`."""
    names = {row["ofport"]: row["name"] for row in _rows(text) if isinstance(row["ofport"], int)}
    learned = re.findall(r"^\s*(\d+)\s+(\d+)\s+([0-9a-f:]{17})\s+\S+\s*$", text, re.M)
    return tuple(
        sorted(
            (MacEntry(port=names[int(n)], vlan=int(vlan), mac=mac) for n, vlan, mac in learned if int(n) in names),
            key=lambda entry: (entry.port, entry.vlan, entry.mac),
        )
    )


def _rows(text: str) -> list[dict[str, Any]]:
    line = next((line for line in text.splitlines() if line.startswith("{")), "")
    try:
        table = json.loads(line)
        return [dict(zip(table["headings"], map(_value, row), strict=True)) for row in table["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandRejected(f"ovs-vsctl answered in an unknown shape: {said(text, 200)!r}") from error


def _value(cell: Any) -> Any:
    """A cell of OVSDB's JSON: sets become lists, maps dicts, the rest is itself."""
    match cell:
        case ["set", list(items)]:
            return items
        case ["map", list(items)]:
            return dict(items)
    return cell


def _config(row: dict[str, Any]) -> PortConfig:
    """The port as a model; what fits none of ours is told as it is and never taken for one of ours."""
    try:
        config = _ours(row)
    except ValidationError:  # a description or a VLAN that no model allows
        config = None
    if config is not None:
        return config
    facts = [f"{name} {_words(row[name]) or 'none'}" for name in ("tag", "vlan_mode", "trunks", "protected")]
    return PortConfig(mode=PortMode.OTHER, description=" / ".join(facts)[:64].strip())


def _ours(row: dict[str, Any]) -> PortConfig | None:
    tag, mode, protected = row["tag"], row["vlan_mode"], row["protected"]
    trunks = row["trunks"] if isinstance(row["trunks"], list) else [row["trunks"]]
    description = row["external_ids"].get(_DESCRIPTION)
    if mode in ("access", []) and isinstance(tag, int) and not trunks:
        if tag == QUARANTINE_VLAN and protected and description is None:
            return PortConfig()
        if not protected:
            return PortConfig(mode=PortMode.ACCESS, vlan=tag, description=description)
    if mode in ("trunk", []) and tag == [] and trunks and not protected:
        vlans = () if trunks == [EMPTY_TRUNK_VLAN] else tuple(sorted(trunks))
        return PortConfig(mode=PortMode.TRUNK, trunk_vlans=vlans, description=description)
    return None


def _words(value: Any) -> str:
    items = value if isinstance(value, list) else [value]
    return re.sub(r"[^A-Za-z0-9 -]", " ", " ".join(map(str, items)))


def _commands(switch: str, port: str, config: PortConfig) -> list[str]:
    if config.mode not in _TEMPLATES:
        raise CommandRejected(
            f"{switch}/{port}: it was set up by hand ({config.description}) and cannot be set so again"
        )
    if EMPTY_TRUNK_VLAN in (config.vlan, *config.trunk_vlans):
        raise CommandRejected(f"{switch}/{port}: VLAN {EMPTY_TRUNK_VLAN} is kept free for empty trunks; use another")
    return templates.render(
        "switches/ovs",
        _TEMPLATES[config.mode],
        port=port,
        config=config,
        quarantine_vlan=QUARANTINE_VLAN,
        empty_trunk_vlan=EMPTY_TRUNK_VLAN,
    ).splitlines()
