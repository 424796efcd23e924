"""A small lab with two servers that are cabled to each other; each test leaves them as it found them, and shows it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from freehold.devices.base import Server
from freehold.devices.real import RealDevices
from freehold.lab.lab import Lab
from freehold.models.access import Access
from freehold.models.hall import Hall
from freehold.models.server import ServerIntent, ServerSnapshot
from freehold.secrets import FileSecrets

DISKS = ("vdb", "vdc")


def _device(name: str, number: int) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "server",
        "serial": f"SRV-{number:04}",
        "site": "north",
        "management": {"address": f"198.18.40.{10 + number}"},
        "nics": [{"name": "eth1", "mac": f"02:00:00:40:00:{number:02x}"}],
        "disks": [{"name": disk, "serial": f"DSK-{number}-{disk}", "size_gib": 1} for disk in DISKS],
    }


HALL = Hall.model_validate(
    {
        "name": "servers",
        "management": "198.18.40.0/24",
        "sites": [{"name": "north", "vlans": [100, 199], "back_prefixes": "10.64.0.0/16"}],
        "racks": [],
        "devices": [_device("s1", 1), _device("s2", 2)],
        "cables": [{"label": "C-1", "a": "s1/eth1", "b": "s2/eth1"}],
    }
)


@dataclass
class Bench:
    """A server to work on, and how it was before the test."""

    access: Access
    secrets: FileSecrets
    devices: RealDevices
    before: ServerSnapshot
    lab: Lab

    def session(self) -> AbstractContextManager[Server]:
        return self.devices.server(self.access)

    def apply(self, intent: ServerIntent) -> str:
        """The diff of bringing the intent about."""
        with self.session() as server:
            return server.apply(intent).diff

    def shell(self, command: str) -> str:
        """What a shell command says on the server."""
        with self.session() as server:
            return str(server.run(SHELL, {"command": command})["out"]).strip()

    def main_pid(self, unit: str) -> int:
        return int(self.shell(f"systemctl show --property=MainPID --value {unit}"))


SHELL = """
import json, subprocess, sys
command = json.load(sys.stdin)["command"]
done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
print(json.dumps({"out": done.stdout}))
"""


@pytest.fixture(scope="package")
def servers_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("booting machines needs root")
    lab = Lab(HALL, "servers", tmp_path_factory.mktemp("lab") / "servers")
    lab.down()  # what a killed run left
    try:
        lab.up()
        yield lab
    finally:
        assert lab.down() == []


@pytest.fixture
def bench(servers_lab: Lab, tmp_path: Path) -> Iterator[Bench]:
    secrets = FileSecrets(tmp_path / "secrets.json")
    secrets.put("lab/key", (servers_lab.handover / "id_ed25519").read_text())
    hosts = dict(line.split(maxsplit=1) for line in (servers_lab.handover / "known_hosts").read_text().splitlines())
    access = Access.model_validate(
        {"device": "s1", "address": "198.18.40.11", "user": "root", "credential": "lab/key",
         "host_key": hosts["198.18.40.11"].strip()}
    )  # fmt: skip
    devices = RealDevices(secrets)
    with devices.server(access) as server:
        before = server.snapshot()
    yield Bench(access, secrets, devices, before, servers_lab)
    with devices.server(access) as server:
        server.remove(ServerIntent(server="s1"))
        for disk in DISKS:
            server.erase(disk)
        after = server.snapshot()
    differing = {
        name: (kept, getattr(after, name)) for name, kept in before if kept != getattr(after, name) and name != "server"
    }
    assert not differing, f"the server is not as it was: {list(differing)}"
