"""A small lab for tests: on its own name and prefix, and gone with the process that asked for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

import paramiko

from freehold.lab import fleet
from freehold.lab.check import check_limits
from freehold.lab.halls import part, rebase
from freehold.lab.lab import Lab
from freehold.models.hall import load_hall

HALL = Path(__file__).parents[2] / "halls" / "lab.yaml"


@contextmanager
def small_lab(
    name: str, management: str, on: Iterable[str], off: Iterable[str] = (), hall: Path = HALL
) -> Iterator[Lab]:
    """Boot these devices of the hall and take them down at the end. What an earlier, killed run left is removed first.

    As a fixture: `@pytest.fixture(scope="session")` and `with small_lab(...) as lab: yield lab`.
    """
    fleet.sweep()
    check_limits(raise_them=True)
    lab = Lab(part(rebase(load_hall(hall), IPv4Network(management)), on, off), name)
    fleet.own(lab.state)
    try:
        lab.up()
        yield lab
    finally:
        left = lab.down()
        assert not left, f"the lab left behind: {', '.join(left)}"


def ssh(lab: Lab, device: str, command: str, timeout_s: float = 20) -> tuple[int, str]:
    """Run a command as Freehold would reach the device: handed-over key, host key checked. Exit code and output."""
    management = lab.device(device).management
    client = paramiko.SSHClient()
    client.load_host_keys(str(lab.handover / "known_hosts"))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    try:
        client.connect(
            str(management.address),
            management.port,
            management.user,
            key_filename=str(lab.handover / "id_ed25519"),
            timeout=timeout_s,
            allow_agent=False,
            look_for_keys=False,
        )
        _, out, _ = client.exec_command(f"({command}) 2>&1", timeout=timeout_s)
        text = out.read().decode()
        return out.channel.recv_exit_status(), text.strip()
    finally:
        client.close()
