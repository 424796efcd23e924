"""Host keys from the folder in which a hall is handed over: `hall.yaml`, `known_hosts`, `id_ed25519`."""

from __future__ import annotations

from pathlib import Path

from freehold.errors import BadInput
from freehold.models.hall import Hall

SSH_PORT = 22


def load_host_keys(path: Path, hall: Hall) -> dict[str, str]:
    """Device -> host key, from a file in the format of OpenSSH's known_hosts with management addresses."""
    devices = {(str(d.management.address), d.management.port): d.name for d in hall.devices}
    keys: dict[str, str] = {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}.") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith(("|", "@")):
            raise BadInput(f"{path} line {number}: write `address key-type key` without hash or marker.")
        for name in fields[0].split(","):
            device = devices.get(_address(name))
            if device:
                keys[device] = f"{fields[1]} {fields[2]}"
    if missing := sorted({d.name for d in hall.devices} - keys.keys()):
        raise BadInput(f"{path}: has no host key for {', '.join(missing[:5])}{' ...' if len(missing) > 5 else ''}.")
    return keys


def _address(name: str) -> tuple[str, int]:
    if name.startswith("["):
        address, _, port = name[1:].partition("]:")
        return address, int(port) if port.isdigit() else SSH_PORT
    return name, SSH_PORT
