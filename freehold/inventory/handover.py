"""The folder in which the builder of a hall hands it over: `hall.yaml`, `known_hosts`, `id_ed25519`."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from freehold.errors import BadInput
from freehold.models.hall import Hall

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SSH_PORT = 22


def load_hall(path: Path) -> Hall:
    """Read a hall file. Raises BadInput that names the field, the value and what is allowed."""
    try:
        data = yaml.load(path.read_text(), Loader=_LOADER)  # noqa: S506 -- a safe loader, in C where there is one
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no such file; give a hall file or a hand-over folder.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path}: cannot be read as YAML: {' '.join(str(error).split())}.") from error
    try:
        return Hall.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "hall"
        given = "" if isinstance(first["input"], dict | list) else f" (given: {first['input']!r})"
        more = f"; {error.error_count() - 1} more" if error.error_count() > 1 else ""
        raise BadInput(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}{given}{more}.") from error


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
