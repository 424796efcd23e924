"""Arista EOS over its command line. Changes go through a configuration session, so that they are all or nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from netmiko.base_connection import BaseConnection

from freehold.devices.base import Secrets
from freehold.devices.ssh import said
from freehold.devices.switches import eos_config
from freehold.devices.switches.changes import differing_ports, only, target
from freehold.devices.switches.terminal import ANSWER_TIMEOUT_S, open_terminal, terminal_errors
from freehold.errors import CommandRejected
from freehold.models.access import Access
from freehold.models.network import MacEntry, Neighbour, SwitchChange, SwitchState

SESSION = "freehold"
_ERROR = r"^\s*% .*$"
_EXEC_PROMPT, _CONFIG_PROMPT = "#", r"\(config[^)]*\)#"


class AristaEosSwitch:
    """`Switch` over EOS's command line. Commands are configuration lines."""

    def __init__(self, access: Access, terminal: BaseConnection) -> None:
        self._access, self._terminal = access, terminal
        self._running: eos_config.Running | None = None

    def read(self, ports: Collection[str] | None = None) -> SwitchState:
        self._running = eos_config.parse_running(self._ask("show running-config"))
        return only(SwitchState(switch=self._access.device, ports=dict(self._running.ports)), ports)

    def render(self, before: SwitchState, changes: Sequence[SwitchChange]) -> tuple[str, ...]:
        after = target(before, changes)
        ports = differing_ports(before, after)
        if not ports:
            return ()
        if self._running is None:  # which VLANs are there is not part of `before`
            self.read()
        assert self._running is not None
        return eos_config.commands(
            before.switch, self._running, {p: before.ports[p] for p in ports}, {p: after.ports[p] for p in ports}
        )

    def apply(self, commands: Sequence[str]) -> None:
        if not commands:
            return
        # What a lost connection may have left behind must not be committed with ours.
        self._send(f"no configure session {SESSION}")
        self._ask(f"configure session {SESSION}", _CONFIG_PROMPT)
        try:
            # All lines at once: waiting for the echo of each would take a hundred times as long.
            self._ask("\n".join([*commands, "end"]))
            self._ask(f"configure session {SESSION} commit")
        except CommandRejected:
            self._send(f"configure session {SESSION} abort")
            raise

    def save(self) -> None:
        """Copy the running configuration to the startup configuration."""
        self._ask("write memory")

    def neighbours(self) -> tuple[Neighbour, ...]:
        found = self._ask_json("show lldp neighbors detail")["lldpNeighbors"]
        neighbours = [_neighbour(port, n) for port, entry in found.items() for n in entry.get("lldpNeighborInfo", [])]
        return tuple(sorted(neighbours, key=lambda n: (n.local_port, n.chassis_id, n.port_id)))

    def mac_table(self) -> tuple[MacEntry, ...]:
        rows = self._ask_json("show mac address-table")["unicastTable"]["tableEntries"]
        entries = [MacEntry(port=r["interface"], vlan=r["vlanId"], mac=_mac(r["macAddress"])) for r in rows]
        return tuple(sorted(entries, key=lambda e: (e.port, e.vlan, e.mac)))

    def _send(self, command: str, prompt: str = _EXEC_PROMPT) -> str:
        """The device's answer, whatever it is."""
        # At the beginning of a line: a description may well hold the device's name and a #.
        expected = rf"(?:^|\n){re.escape(self._terminal.base_prompt)}{prompt}\s*$"
        with terminal_errors(self._access):
            return str(self._terminal.send_command(command, expect_string=expected, cmd_verify=False))

    def _ask(self, command: str, prompt: str = _EXEC_PROMPT) -> str:
        """The device's answer. Raises CommandRejected with the line that it did not like."""
        answer = self._send(command, prompt)
        if error := re.search(_ERROR, answer, re.M):
            line = answer[: error.start()].rstrip().rpartition("\n")[2].rpartition("#")[2] or command.partition("\n")[0]
            raise CommandRejected(f"{self._access.device}: {line.strip()}: {said(error[0])}")
        return answer

    def _ask_json(self, command: str) -> dict[str, Any]:
        answer = self._ask(f"{command} | json")
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError as error:
            raise CommandRejected(f"{self._access.device}: {command}: no JSON: {said(answer, 200)}") from error
        return found


@contextmanager
def open_switch(access: Access, secrets: Secrets, timeout_s: float = ANSWER_TIMEOUT_S) -> Iterator[AristaEosSwitch]:
    with open_terminal(access, secrets, "arista_eos", timeout_s) as terminal:
        with terminal_errors(access):
            terminal.enable()
        yield AristaEosSwitch(access, terminal)


def _neighbour(port: str, entry: dict[str, Any]) -> Neighbour:
    interface = entry.get("neighborInterfaceInfo", {})
    chassis = str(entry.get("chassisId", ""))
    addresses = [a.get("address", "") for a in entry.get("managementAddresses", [])]
    return Neighbour(
        local_port=port,
        chassis_id=_mac(chassis) if entry.get("chassisIdType") == "macAddress" else chassis,
        system_name=entry.get("systemName", ""),
        port_id=str(interface.get("interfaceId_v2") or interface.get("interfaceId", "")).strip('"'),
        management_address=next(iter(addresses), ""),
    )


def _mac(text: str) -> str:
    digits = re.sub(r"[^0-9a-f]", "", text.lower())
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
