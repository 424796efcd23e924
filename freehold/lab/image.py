"""The base image: one Debian tree that every machine of every lab has as the lower layer of its overlay.

Built once, cached by a hash of what it is made of, and never changed afterwards.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import platformdirs

from freehold.errors import FreeholdError
from freehold.locks import file_lock

SUITE = "trixie"


def _words(text: str) -> list[str]:
    return text.split()


BOOTSTRAP_PACKAGES = _words(
    "ca-certificates dbus e2fsprogs iproute2 lldpd openssh-server procps python3 sudo systemd systemd-sysv"
)

# Everything that a role of any service or switch may turn on, so that no machine ever installs packages.
PACKAGES = _words("""
    openvswitch-switch ethtool nftables tcpdump frr strongswan-swanctl charon-systemd
    libcharon-extra-plugins dnsmasq-base iputils-ping netcat-openbsd curl openssl
    swift-proxy swift-account swift-container swift-object rsync memcached xfsprogs
    mariadb-server python3-mysqldb python3-boto3 haproxy keepalived
    prometheus-node-exporter prometheus-mysqld-exporter
""")

ENABLED_UNITS = ("ssh.service", "lldpd.service", "systemd-tmpfiles-clean.timer")

# These start by dependency, not by being enabled, and have nothing to do in a machine without a kernel of its own.
MASKED_UNITS = _words("""
    console-getty.service getty.target getty-static.service systemd-networkd-wait-online.service
    systemd-firstboot.service systemd-udevd.service systemd-udev-trigger.service
    systemd-udevd-kernel.socket systemd-udevd-control.socket systemd-logind.service
    apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer
    man-db.timer xfs_scrub_all.timer systemd-pcrphase.service proc-sys-fs-binfmt_misc.automount
""")

DPKG_SETTINGS = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
"""

# Debian enables the units of a package when it is installed; here only a role turns them on.
FINISH = f"""\
set -e
mkdir -p /etc/systemd/system-preset
printf 'enable %s\\n' {" ".join(ENABLED_UNITS)} >/etc/systemd/system-preset/00-lab.preset
echo 'disable *' >>/etc/systemd/system-preset/00-lab.preset
systemctl preset-all --preset-mode=full 2>&1
systemctl mask {" ".join(MASKED_UNITS)}
rm -f /etc/rc[2-5S].d/S*
rm -f /etc/ssh/ssh_host_* /etc/machine-id /var/lib/dbus/machine-id
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log /usr/sbin/policy-rc.d
"""

Progress = Callable[[str], None]


class ImageBuildFailed(FreeholdError):
    """The base image could not be built; the last words of the tool are in the message."""


def cache_folder() -> Path:
    """Where images are kept: $XDG_CACHE_HOME/freehold."""
    return Path(platformdirs.user_cache_dir("freehold"))


def image_path() -> Path:
    """Where the image of these packages, suite and steps is, built or not."""
    made_of = repr((SUITE, BOOTSTRAP_PACKAGES, PACKAGES, DPKG_SETTINGS, FINISH))
    return cache_folder() / f"image-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}"


def base_image(progress: Progress = print) -> Path:
    """The base image; builds it when it is missing, which takes one to three minutes and needs root."""
    image = image_path()
    if image.is_dir():
        return image
    image.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(image.parent / "image.lock"):
        if not image.is_dir():
            _build(image, progress)
    return image


def _build(image: Path, progress: Progress) -> None:
    if os.geteuid() != 0:
        raise ImageBuildFailed("the base image is missing and only root can build it; run `sudo freehold lab up`")
    begin = time.monotonic()
    root = image.with_suffix(".building")  # whole only after the rename at the end
    shutil.rmtree(root, ignore_errors=True)
    (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
    (root / "etc/dpkg/dpkg.cfg.d/lab").write_text(DPKG_SETTINGS)
    log = image.with_suffix(".log")
    log.write_text("")

    progress(f"Building the base image (Debian {SUITE}), once: about two minutes. Log: {log}")
    include = f"--include={','.join(BOOTSTRAP_PACKAGES)}"
    _run(["debootstrap", "--variant=minbase", include, SUITE, str(root)], log, "debootstrap")
    progress(f"  base system after {time.monotonic() - begin:.0f} s; installing {len(PACKAGES)} packages")

    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")  # keeps packages from starting their services in the tree
    policy.chmod(0o755)
    in_root = ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
    _run([*in_root, "apt-get", "update", "-q"], log, "apt-get update")
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *PACKAGES]
    _run([*in_root, *install], log, "apt-get install")
    _run([*in_root, "sh", "-c", FINISH], log, "finishing the image")

    size = subprocess.run(["du", "-sxm", root], capture_output=True, text=True, check=True).stdout.split()[0]
    root.rename(image)
    progress(f"  base image of {size} MB ready after {time.monotonic() - begin:.0f} s: {image}")


def _run(command: list[str], log: Path, what: str) -> None:
    """Run in mount and process namespaces of its own, so that a killed build leaves nothing mounted or running."""
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
    with log.open("a") as out:
        done = subprocess.run(isolated, stdin=subprocess.DEVNULL, stdout=out, stderr=out, timeout=1800, check=False)
    if done.returncode:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        raise ImageBuildFailed(f"{what} ended with {done.returncode}: {' '.join(last)[:300]}; see {log}")
