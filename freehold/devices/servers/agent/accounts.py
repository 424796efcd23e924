"""Packages and users."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .memory import Memory
from .tools import Refused, must, run
from .units import unit_files

APT_TIMEOUT_S = 900
_APT = ("apt-get", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive", "SYSTEMCTL_SKIP_SYSV": "1"}
_POLICY = Path("/usr/sbin/policy-rc.d")


def installed() -> dict[str, str]:
    """Installed packages and their versions."""
    told = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Package}\t${Version}\n").out
    rows = [line.split("\t") for line in told.splitlines()]
    return {name: version for status, name, version in rows if status[1:2] == "i"}


def install(memory: Memory, names: list[str]) -> None:
    """Install packages without starting or enabling anything: that is decided unit by unit."""
    new = _would_install(names)
    before = unit_files("enabled")
    for name in new:
        memory.note("packages", name, "absent")
    try:
        if not _POLICY.exists():
            memory.note("notes", "policy", True)
            _POLICY.write_text("#!/bin/sh\nexit 101\n")
            _POLICY.chmod(0o755)
        must(
            *_APT, "-o", "Dpkg::Options::=--force-confold", "install", *names, timeout_s=APT_TIMEOUT_S, settings=_QUIET
        )
    finally:
        allow_starts(memory)
    if added := sorted(unit_files("enabled").keys() - before.keys()):
        must("systemctl", "disable", *added, settings=_QUIET)


def allow_starts(memory: Memory) -> None:
    """Take our policy file away, also the one that a killed run left."""
    if "policy" in memory["notes"]:
        _POLICY.unlink(missing_ok=True)
        memory.drop("notes", "policy")


def purge_packages(memory: Memory) -> Iterator[str]:
    ours = sorted(set(memory["packages"]) & set(installed()))
    if ours:
        must("apt-get", "-q", "-y", "purge", *ours, timeout_s=APT_TIMEOUT_S, settings=_QUIET)
        yield from (f"- package {name}" for name in ours)
    memory["packages"].clear()
    memory.save()


def describe_user(name: str) -> dict[str, Any]:
    try:
        primary = pwd.getpwnam(name).pw_gid
    except KeyError:
        return {"exists": False, "groups": []}
    groups = {group.gr_name for group in grp.getgrall() if name in group.gr_mem or group.gr_gid == primary}
    return {"exists": True, "groups": sorted(groups)}


def make_user(memory: Memory, wanted: dict[str, Any]) -> None:
    name = wanted["name"]
    seen = describe_user(name)
    own_group = any(group.gr_name == name for group in grp.getgrall())
    missing = sorted(set(wanted["groups"]) - set(seen["groups"]))
    added = memory["users"].get(name, {}).get("groups", [])
    memory.note("users", name, {"exists": seen["exists"], "own_group": own_group})
    memory["users"][name]["groups"] = sorted({*added, *missing})
    memory.save()
    if not seen["exists"]:
        group = ("--gid", name) if own_group else ("--user-group",)
        shell = ("--shell", "/usr/sbin/nologin")
        must("useradd", "--system", "--no-create-home", "--home-dir", wanted["home"], *shell, *group, name)
    for group_name in missing:
        must("gpasswd", "-a", name, group_name)


def remove_users(memory: Memory) -> Iterator[str]:
    for name, before in reversed(list(memory["users"].items())):
        seen = describe_user(name)
        for group in sorted(set(before["groups"]) & set(seen["groups"])):
            must("gpasswd", "-d", name, group)
        if not before["exists"] and seen["exists"]:
            must("userdel", name)
            yield f"- user {name}"
        if not before["own_group"] and any(group.gr_name == name for group in grp.getgrall()):
            must("groupdel", name)
        memory.drop("users", name)


def _would_install(names: list[str]) -> list[str]:
    simulated = run(*_APT, "-s", "install", *names, settings=_QUIET)
    if simulated.code:
        must("apt-get", "-q", "update", timeout_s=APT_TIMEOUT_S, settings=_QUIET)
        simulated = run(*_APT, "-s", "install", *names, settings=_QUIET)
    if simulated.code:
        raise Refused(f"packages {' '.join(names)} cannot be installed: {simulated.words}")
    listed = {line.split()[1] for line in simulated.out.splitlines() if line.startswith("Inst ")}
    return sorted(listed - set(installed()))
