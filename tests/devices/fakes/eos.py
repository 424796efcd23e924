"""As much of Arista EOS's command line as a port driver meets, with real state behind it."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass, field
from itertools import groupby

INVALID = "% Invalid input"
SINGLE = ("description", "switchport access vlan", "switchport trunk allowed vlan", "switchport mode", "mtu")
"""Port commands that hold one value."""
FLAGS = ("shutdown", "no switchport")
ORDER = (*SINGLE, "mac access-group", *FLAGS)


@dataclass
class Config:
    """A configuration: running, startup, or a session's candidate."""

    ports: dict[str, dict[str, str]] = field(default_factory=dict)
    vlans: set[int] = field(default_factory=lambda: {1})
    lists: dict[str, list[str]] = field(default_factory=dict)

    def text(self) -> str:
        lines = ["! Command: show running-config", "hostname leaf1", "!", f"vlan {compress(self.vlans - {1})}", "!"]
        for name, rules in self.lists.items():
            lines += [f"mac access-list {name}", *(f"   {10 * n} {rule}" for n, rule in enumerate(rules, 1)), "!"]
        for port, settings in self.ports.items():
            held = sorted(settings.items(), key=lambda item: ORDER.index(item[0]))
            lines += [f"interface {port}", *(f"   {name} {value}".rstrip() for name, value in held), "!"]
        return "\n".join([*lines, "interface Management1", "   ip address 192.0.2.9/24", "!", "end"])


@dataclass
class Eos:
    """The switch: what it runs, what it would start with, and what its neighbours say."""

    running: Config
    startup: Config = field(default_factory=Config)
    sessions: dict[str, Config] = field(default_factory=dict)
    neighbours: dict[str, tuple[str, str]] = field(default_factory=dict)
    refused: str = "a line that nobody types"
    """Configuration lines that hold this are refused."""
    saves: int = 0

    @classmethod
    def with_ports(cls, count: int) -> Eos:
        return cls(Config({f"Ethernet{n}": {} for n in range(1, count + 1)}))

    def login(self) -> EosCommandLine:
        return EosCommandLine(self)


class EosCommandLine:
    """One login: exec mode, configuration mode or a configuration session, and the section one is in."""

    def __init__(self, switch: Eos) -> None:
        self._switch = switch
        self._privileged = False
        self._config: Config | None = None
        self._session = ""
        self._section = ""

    def prompt(self) -> str:
        if self._config is None:
            return "leaf1#" if self._privileged else "leaf1>"
        section = "-" + re.sub(r"\W", "", self._section)[:6] if self._section else ""
        return f"leaf1(config{f'-s-{self._session[:6]}' if self._session else ''}{section})#"

    def answer(self, line: str) -> str | None:
        if not line or line.startswith("!"):
            return ""
        return self._exec(line) if self._config is None else self._configure(self._config, line)

    def _exec(self, line: str) -> str | None:  # noqa: PLR0911, PLR0912 (a table of commands)
        switch = self._switch
        match line.split():
            case ["terminal", "width", width]:
                return f"Width set to {width} columns."
            case ["terminal", "length", "0"]:
                return "Pagination disabled."
            case ["exit" | "logout"]:
                return None
            case ["enable"]:
                self._privileged = True
                return ""
            case _ if not self._privileged:
                return f"{INVALID} (privileged mode required)"
            case ["show", "running-config"]:
                return switch.running.text()
            case ["show", "lldp", "neighbors", "detail", "|", "json"]:
                return json.dumps({"lldpNeighbors": _neighbours(switch)})
            case ["show", "mac", "address-table", "|", "json"]:
                return json.dumps({"unicastTable": {"tableEntries": _mac_table(switch)}})
            case ["write", "memory"]:
                switch.startup = copy.deepcopy(switch.running)
                switch.saves += 1
                return "Copy completed successfully."
            case ["configure", "terminal"] | ["configure"]:
                self._config = switch.running
                return ""
            case ["configure", "session", name]:
                self._session = name
                self._config = switch.sessions.setdefault(name, copy.deepcopy(switch.running))
                return ""
            case ["configure", "session", name, "commit"] if name in switch.sessions:
                switch.running = switch.sessions.pop(name)
                return ""
            case ["configure", "session", name, "abort"] if name in switch.sessions:
                del switch.sessions[name]
                return ""
            case ["no", "configure", "session", name]:
                return "" if switch.sessions.pop(name, None) else f"% Session {name} does not exist"
        return f"{INVALID} (at token 0: '{line.split(maxsplit=1)[0]}')"

    def _configure(self, config: Config, line: str) -> str:
        if self._switch.refused in line:
            return f"{INVALID} (at token {len(line.split()) - 1}: '{line.rsplit(maxsplit=1)[-1]}')"
        if line in ("exit", "end", "commit", "abort"):
            return self._leave(line)
        if section := re.fullmatch(r"interface (\S+)|vlan ([\d,-]+)|mac access-list (\S+)", line):
            return self._enter(config, line, *section.groups())
        if self._section.startswith("interface "):
            return _set(config.ports[self._section.removeprefix("interface ")], line)
        if self._section.startswith("mac access-list "):
            config.lists[self._section.removeprefix("mac access-list ")].append(line)
            return ""
        return INVALID

    def _enter(self, config: Config, line: str, port: str | None, vlans: str | None, access_list: str | None) -> str:
        if port and port not in config.ports:
            return f"{INVALID} (at token 1: '{port}')"
        config.vlans |= expand(vlans or "")
        if access_list:
            config.lists.setdefault(access_list, [])
        self._section = line
        return ""

    def _leave(self, line: str) -> str:
        if line == "exit" and self._section:
            self._section = ""
            return ""
        if line == "commit" and self._session:
            self._switch.running = self._switch.sessions.pop(self._session)
        if line == "abort":
            self._switch.sessions.pop(self._session, None)
        self._config, self._session, self._section = None, "", ""
        return ""


def _set(port: dict[str, str], line: str) -> str:
    positive = line.removeprefix("no ")
    name = next((name for name in (*SINGLE, "mac access-group", "shutdown") if positive.startswith(name)), None)
    if positive == "switchport":
        port.update({"no switchport": ""}) if line != positive else port.pop("no switchport", None)
        return ""
    if name is None:
        return f"{INVALID} (at token 0: '{line.split(maxsplit=1)[0]}')"
    value = positive.removeprefix(name).strip()
    if line != positive or (name == "switchport mode" and value == "access"):
        port.pop(name, None)
        return ""
    if "vlan" in name and value != "none":
        vlans = expand(value)
        if not vlans or not vlans <= set(range(1, 4095)):
            return f"{INVALID} (at token {len(name.split())}: '{value}')"
        value = compress(vlans)
    port[name] = value
    return ""


def _neighbours(switch: Eos) -> dict[str, object]:
    return {
        port: {
            "lldpNeighborInfo": [
                {
                    "chassisIdType": "macAddress",
                    "chassisId": "020a.0000.0015",
                    "systemName": name,
                    "managementAddresses": [{"addressType": "ipv4", "address": "192.0.2.21"}],
                    "neighborInterfaceInfo": {
                        "interfaceIdType": "interfaceName",
                        "interfaceId": f'"{nic}"',
                        "interfaceId_v2": nic,
                    },
                }
            ]
            if (name, nic) != ("", "")
            else []
        }
        for port, (name, nic) in switch.neighbours.items()
    }


def _mac_table(switch: Eos) -> list[dict[str, object]]:
    return [
        {"macAddress": "02:0b:00:00:01:15", "interface": port, "entryType": "dynamic", "vlanId": 10}
        for port in switch.neighbours
    ]


def expand(text: str) -> set[int]:
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        return set()
    ranges = [part.partition("-") for part in text.split(",")]
    return {vlan for first, _, last in ranges for vlan in range(int(first), int(last or first) + 1)}


def compress(vlans: set[int]) -> str:
    """`10,20-22`, as EOS shows it."""
    runs = [list(run) for _, run in groupby(enumerate(sorted(vlans)), key=lambda pair: pair[1] - pair[0])]
    return ",".join(str(run[0][1]) if len(run) == 1 else f"{run[0][1]}-{run[-1][1]}" for run in runs)
