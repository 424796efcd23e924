"""What a server is made of, and its fingerprint. Both change nothing."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from .accounts import describe_user, installed
from .disks import LAB_FACTS, disk_names, signatures, size_of
from .files import describe
from .tools import Refused, mounts, must, run
from .units import unit_files

# What changes by itself, or with every login, or with every package that comes and goes.
IGNORED = {
    *("/etc/ld.so.cache", "/etc/resolv.conf", "/etc/mtab", "/etc/adjtime", "/etc/.pwd.lock", "/etc/.updated"),
    *(f"/etc/{name}-" for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")),
    *("/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/log/faillog", "/var/log/journal", "/var/log/apt"),
    *("/var/log/dpkg.log", "/var/log/alternatives.log", "/var/log/private", "/var/lib/private", "/var/cache/private"),
    *("/var/log/README", "/var/lib/lastlog", "/var/lib/wtmpdb", "/var/cache/ldconfig", "/var/cache/debconf"),
}
SHALLOW = ("/var/lib", "/var/log", "/var/cache", "/var/spool", "/home")
DEEP = ("/opt", "/srv", "/usr/local")
_SYSTEM_MOUNTS = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108
_PASSING_UNITS = ("user@", "user-runtime-dir@", "session-", "run-", "init.scope", "ssh@", "sshd@", "systemd-hostnamed",
                  "systemd-timedated", "systemd-localed", "systemd-tmpfiles-clean.service")  # fmt: skip
_FIRST_EPHEMERAL_PORT = 32768


def facts() -> dict[str, Any]:
    return {
        "serial": _serial(),
        "memory_mib": _memory_mib(),
        "cores": os.cpu_count() or 1,
        "nics": _nics(),
        "disks": {name: size_of(name) for name in disk_names()},
        "os": _os_name(),
    }


def snapshot() -> dict[str, Any]:
    return {
        "files": dict(sorted(_files_below("/etc"))),
        "enabled_units": sorted(map(" ".join, unit_files("enabled", "enabled-runtime", "masked").items())),
        "running_units": _running(),
        "users": sorted(_users()),
        "packages": sorted(f"{name} {version}" for name, version in installed().items()),
        "disks": {name: _signature_text(name) for name in disk_names()},
        "mounts": sorted(
            point for _, point in mounts() if not f"{point}/".startswith(tuple(f"{m}/" for m in _SYSTEM_MOUNTS))
        ),
        "addresses": sorted(_addresses()),
        "listeners": sorted(_listeners()),
        "leftovers": sorted(_leftovers()),
    }


def _serial() -> str:
    for place in (LAB_FACTS / "product_serial", Path("/sys/class/dmi/id/product_serial")):
        try:
            return place.read_text().strip()
        except OSError:
            continue
    raise Refused("this server tells no serial number (/sys/class/dmi/id/product_serial)")


def _memory_mib() -> int:
    line = next(row for row in Path("/proc/meminfo").read_text().splitlines() if row.startswith("MemTotal:"))
    return int(line.split()[1]) // 1024


def _nics() -> dict[str, str]:
    ethernet = "1"
    cards = [p for p in Path("/sys/class/net").iterdir() if (p / "type").exists()]
    found = {p.name: (p / "address").read_text().strip() for p in cards if (p / "type").read_text().strip() == ethernet}
    return dict(sorted(found.items()))


def _os_name() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return ""


def _files_below(root: str) -> list[tuple[str, str]]:
    """Every entry below a folder with "sha256 mode owner:group"."""
    found = []
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            if str(path) in IGNORED or "__pycache__" in path.parts:
                continue
            seen = describe(path)
            if seen["kind"] == "absent":
                continue
            held = {"link": f"-> {seen.get('target')}", "directory": "directory", "other": "other"}.get(seen["kind"])
            found.append((str(path), f"{held or _digest(path)} {seen['mode']:04o} {seen['owner']}:{seen['group']}"))
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _running() -> list[str]:
    kinds = "--type=service,socket,timer"
    listed = must("systemctl", "list-units", "--no-legend", "--plain", "--state=active,failed", kinds)
    rows = [line.split() for line in listed.splitlines() if line.strip()]
    return sorted(name for name, _, _, state, *_ in rows if not _passes(name, state))


def _passes(unit: str, state: str) -> bool:
    """Units that come and go by themselves, and those that only the first boot runs."""
    return unit.startswith(_PASSING_UNITS) or (state == "exited" and unit.startswith(("systemd-", "ldconfig")))


def _users() -> list[str]:
    rows = [(u.pw_name, u.pw_uid, u.pw_gid, u.pw_dir, u.pw_shell) for u in pwd.getpwall()]
    return [":".join((*map(str, row), ",".join(describe_user(row[0])["groups"]))) for row in rows]


def _signature_text(name: str) -> str:
    return ", ".join(f"{row['type']} {row['label']}".strip() for row in signatures(name))


def _addresses() -> list[str]:
    cards = json.loads(must("ip", "-json", "address", "show"))
    return [
        f"{card['ifname']} {address['local']}/{address['prefixlen']}"
        for card in cards
        for address in card.get("addr_info", [])
        if card.get("ifname") and address.get("scope") == "global" and not address.get("temporary")
    ]


def _listeners() -> set[str]:
    """Sockets that wait for strangers; ports that the kernel picks by itself come and go."""
    found = set()
    for protocol in ("tcp", "udp"):
        for line in run("ss", "--no-header", "--listening", "--numeric", f"--{protocol}").out.splitlines():
            local = line.split()[3]
            port = local.rpartition(":")[2]
            if protocol == "tcp" or (port.isdigit() and int(port) < _FIRST_EPHEMERAL_PORT):
                found.add(f"{protocol} {local}")
    return found


def _leftovers() -> list[str]:
    shallow = [p for root in SHALLOW if Path(root).is_dir() for p in Path(root).iterdir()]
    kept = [f"{p} {stat.S_IMODE(p.lstat().st_mode):04o}" for p in shallow if not _passing(p)]
    return kept + [f"{path} {what}" for root in DEEP for path, what in _files_below(root)]


def _passing(path: Path) -> bool:
    return str(path) in IGNORED or path.suffix in (".gz", ".1", ".old")
