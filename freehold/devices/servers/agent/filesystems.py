"""Filesystems on whole disks: formatted when the disk is empty, mounted now and after each boot."""

from __future__ import annotations

import base64
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .disks import describe_disk, signatures
from .files import describe, make_directory, own, write
from .memory import Memory
from .tools import Refused, mounts, must, replace_file, run
from .units import daemon_reload

FSTAB = Path("/etc/fstab")
_UDEV = Path("/run/udev/control")
_UMOUNT_S = 20

# In a container systemd leaves disks of fstab alone, as it has no udev to wait for.
_BOOT_UNIT = Path("/etc/systemd/system/freehold-mounts.service")
_BOOT_UNIT_TEXT = """\
[Unit]
Description=Filesystems in fstab
DefaultDependencies=no
After=systemd-remount-fs.service
Before=local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mount --all --types ext4,xfs

[Install]
WantedBy=local-fs.target
"""


def describe_filesystem(wanted: dict[str, Any]) -> dict[str, Any]:
    point = wanted["mountpoint"]
    return describe_disk(wanted["disk"]) | {"comes_back": comes_back(point), "root": describe(Path(point))}


def make_filesystem(memory: Memory, wanted: dict[str, Any]) -> None:
    """Format if told so, mount now and after each boot. Looks again itself: data is never formatted over."""
    name, point = wanted["disk"], wanted["mountpoint"]
    device = f"/dev/{name}"
    if wanted["format"]:
        if signatures(name):
            raise Refused(f"disk {name} is not empty any more and is not formatted")
        quiet = ("-q", "-F") if wanted["type"] == "ext4" else ("-q",)
        must(f"mkfs.{wanted['type']}", *quiet, "-L", wanted["label"], device, timeout_s=600)
    if not wanted["is_mounted"]:
        make_directory(memory, {"path": point, "owner": "root", "group": "root", "mode": 0o755})
    source = _stable_name(wanted["label"], name)
    memory.note("filesystems", point, {"disk": name, "fstab_existed": FSTAB.exists()})
    _write_fstab(point, f"{source} {point} {wanted['type']} noatime,nofail 0 2")
    if _in_container():
        _mount_at_boot(memory)
    if not wanted["is_mounted"]:
        must("mount", "-o", "noatime", "-t", wanted["type"], device, point)
    own(wanted | {"path": point})  # after mounting: this is the root of the filesystem itself


def unmount_all(memory: Memory) -> Iterator[str]:
    for point, before in sorted(memory["filesystems"].items(), reverse=True):
        end = time.monotonic() + _UMOUNT_S
        while any(at == point for _, at in mounts()):
            done = run("umount", point)
            if done.code and time.monotonic() > end:
                raise Refused(f"{point} cannot be unmounted: {done.words} {_users_of(point)}")
            time.sleep(0.3 if done.code else 0)
        _write_fstab(point, None)
        if not before["fstab_existed"] and FSTAB.exists() and not FSTAB.read_text().strip():
            FSTAB.unlink()
        yield f"- filesystem on {before['disk']} at {point}"
        memory.drop("filesystems", point)


def comes_back(point: str) -> bool:
    """Whether the filesystem is mounted again after a reboot."""
    in_fstab = FSTAB.exists() and any(line.split()[1:2] == [point] for line in FSTAB.read_text().splitlines())
    return in_fstab and (not _in_container() or _BOOT_UNIT.exists())


def _in_container() -> bool:
    return run("systemd-detect-virt", "--container", "--quiet").code == 0


def _mount_at_boot(memory: Memory) -> None:
    content = base64.b64encode(_BOOT_UNIT_TEXT.encode()).decode()
    owner = {"owner": "root", "group": "root", "mode": 0o644}
    write(memory, {"path": str(_BOOT_UNIT), "content": content, "secrets": [], "restart": [], "reload": []} | owner)
    daemon_reload(memory)
    memory.note("units", _BOOT_UNIT.name, {"active": "inactive", "file_state": "disabled"})
    must("systemctl", "enable", _BOOT_UNIT.name)


def _write_fstab(point: str, line: str | None) -> None:
    old = FSTAB.read_text() if FSTAB.exists() else ""
    kept = [row for row in old.splitlines(keepends=True) if row.split()[1:2] != [point]]
    new = "".join(kept) + (f"{line}\n" if line else "")
    if new != old:
        status = FSTAB.stat() if FSTAB.exists() else None
        replace_file(FSTAB, new.encode(), stat.S_IMODE(status.st_mode) if status else 0o644)


def _stable_name(label: str, name: str) -> str:
    """By label where udev leads from it to this disk after each boot; disks change their names between boots."""
    if _UDEV.exists():
        run("udevadm", "settle", "--timeout=10", timeout_s=20)
    link, device = Path("/dev/disk/by-label", label), Path("/dev", name)
    same = link.is_block_device() and link.stat().st_rdev == device.stat().st_rdev
    return f"LABEL={label}" if same else str(device)


def _users_of(point: str) -> str:
    holders = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(link.readlink()).startswith(point):
                holders.add((link.parent / "comm").read_text().strip())
        except OSError:
            continue
    return f"In use by: {', '.join(sorted(holders))}." if holders else ""
