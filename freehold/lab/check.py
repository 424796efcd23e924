"""What the lab needs of the computer below it: programs, rights, kernel features, limits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import platformdirs

from freehold.lab import cgroups
from freehold.lab.commands import LabError, run
from freehold.lab.image import image_path
from freehold.models.base import Model

PROGRAMS = {  # program -> Debian package
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "losetup": "mount",
    "nsenter": "util-linux",
}
FREE_GIB_NEEDED = 5


class Limit(Model):
    """A limit of the kernel, by its name for sysctl, that a data centre of many machines needs higher than usual."""

    name: str
    needed: int
    raised: int
    why: str

    @property
    def file(self) -> Path:
        return SYSCTL / self.name.replace(".", "/")


SYSCTL = Path("/proc/sys")
LIMITS = (
    Limit(name="fs.inotify.max_user_instances", needed=1024, raised=4096, why="each machine's systemd takes 5 to 10"),
    # Switches in userspace lost every fifteenth packet with the usual one.
    Limit(name="net.core.rmem_default", needed=4 << 20, raised=4 << 20, why="packets that wait for a switch"),
)


class Finding(Model):
    """One thing the lab needs, whether it is there, and what to do if not."""

    what: str
    why: str
    ok: bool
    do: str


def check(*, raise_limits: bool = False) -> list[Finding]:
    """Try each thing, in namespaces that vanish again. As root, `raise_limits` raises a limit that is too low."""
    root = os.geteuid() == 0
    findings = [Finding(what="root", why="namespaces, mounts, loop devices", ok=root, do="run it with sudo")]
    for program, package in PROGRAMS.items():
        found = shutil.which(program) is not None
        do = f"run scripts/setup as root, or install the Debian package {package}"
        findings.append(Finding(what=program, why="program", ok=found, do=do))
    findings += check_limits(raise_them=raise_limits and root)
    findings.append(_space())
    trees = bool(cgroups.trees()) and any((tree / "cgroup.procs").exists() for tree in cgroups.trees())
    mount = "mount cgroup2 on /sys/fs/cgroup"
    findings.append(Finding(what="control groups version 2", why="processes of a machine", ok=trees, do=mount))
    if root and all(f.ok for f in findings if f.why == "program"):
        findings += [_feature(*feature) for feature in FEATURES]
    return findings


def check_limits(*, raise_them: bool = False) -> list[Finding]:
    """The kernel's limits; as root, those that are too low can be raised."""
    return [_limit(limit, raise_it=raise_them) for limit in LIMITS]


def _limit(limit: Limit, *, raise_it: bool) -> Finding:
    if raise_it and int(limit.file.read_text()) < limit.needed:
        with suppress(OSError):
            limit.file.write_text(str(limit.raised))
    return Finding(
        what=f"{limit.name} >= {limit.needed}",
        why=limit.why,
        ok=int(limit.file.read_text()) >= limit.needed,
        do=f"sysctl -w {limit.name}={limit.raised}",
    )


def _space() -> Finding:
    folder = Path(platformdirs.user_cache_dir("freehold"))
    existing = next(p for p in (folder, *folder.parents) if p.exists())
    needed = 1 if image_path().is_dir() else FREE_GIB_NEEDED
    return Finding(
        what=f"{needed} GiB free in {existing}",
        why="base image and machines",
        ok=shutil.disk_usage(existing).free >> 30 >= needed,
        do="free space there, or set XDG_CACHE_HOME and XDG_STATE_HOME to another disk",
    )


def _scratch(*lines: str) -> Callable[[], object]:
    """Run shell lines in network and mount namespaces that end with them."""
    script = "set -e; mount -t tmpfs tmpfs /mnt; " + "; ".join(lines)
    return lambda: run("unshare", "--net", "--mount", "sh", "-c", script, timeout_s=10)


_VETH = "ip link add name va type veth peer name vb"
_MIRROR = (
    "tc qdisc add dev va clsact; "
    "tc filter add dev va ingress protocol all u32 match u32 0 0 action mirred egress redirect dev vb"
)
_OVERLAY = (
    "mkdir /mnt/l /mnt/u /mnt/w /mnt/m; mount -t overlay o -o lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /mnt/m"
)
_LOOP = "truncate -s 1M /mnt/f; d=$(losetup -f --show /mnt/f); losetup -d $d"

FEATURES: list[tuple[str, str, str, Callable[[], object]]] = [
    ("network namespaces, veth", "network cards", "load the module veth", _scratch(_VETH)),
    ("bridge", "management network", "load the module bridge", _scratch("ip link add name vc type bridge")),
    ("tc clsact, u32, mirred", "cables", "load sch_ingress, cls_u32, act_mirred", _scratch(_VETH, _MIRROR)),
    ("overlay", "the machines' disks", "load the module overlay", _scratch(_OVERLAY)),
    ("loop devices", "data disks", "load the module loop", _scratch(_LOOP)),
    ("nftables", "filters", "load the module nf_tables", _scratch("nft add table inet t")),
    ("/dev/net/tun", "switches", "load the module tun", _scratch("test -c /dev/net/tun", "ip tuntap add t mode tap")),
]


def _feature(what: str, why: str, do: str, attempt: Callable[[], object]) -> Finding:
    try:
        attempt()
    except LabError as error:
        return Finding(what=what, why=why, ok=False, do=f"{do} ({str(error).rpartition(': ')[2]})")
    return Finding(what=what, why=why, ok=True, do="")
