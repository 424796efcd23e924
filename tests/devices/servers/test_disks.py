"""Disks: only empty ones are formatted, only idle ones are erased, and the record says what was found."""

from __future__ import annotations

from datetime import datetime

import pytest

from freehold.errors import CommandRejected
from freehold.lab.models import PowerAction
from freehold.models.server import Filesystem, ServerIntent
from tests.devices.servers.conftest import Bench

pytestmark = pytest.mark.lab


def _on(disk: str, label: str = "data", kind: str = "ext4") -> ServerIntent:
    return ServerIntent(
        server="s1", filesystems=(Filesystem(disk=disk, mountpoint="/srv/data", label=label, type=kind),)
    )


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_both_filesystems(bench: Bench, kind: str) -> None:
    if f"\t{kind}\n" not in bench.shell("cat /proc/filesystems") + "\n":
        pytest.skip(f"this kernel has no {kind}")
    assert bench.apply(_on("vdb", kind=kind)).endswith("format, mount, mount at boot")
    assert bench.shell("findmnt -no FSTYPE /srv/data") == kind


def test_a_foreign_disk_keeps_its_data(bench: Bench) -> None:
    bench.shell("mkfs.ext4 -q -L precious /dev/vdb")
    uuid = bench.shell("blkid -s UUID -o value /dev/vdb")
    with pytest.raises(CommandRejected, match="disk vdb already carries ext4 'precious'"):
        bench.apply(_on("vdb"))
    assert bench.shell("blkid -s UUID -o value /dev/vdb") == uuid
    with pytest.raises(CommandRejected, match="s1 has no disk vdz"):
        bench.apply(_on("vdz"))


def test_our_own_filesystem_is_taken_as_it_is(bench: Bench) -> None:
    bench.apply(_on("vdb"))
    bench.shell("echo kept >/srv/data/file")
    with bench.session() as server:
        server.remove(_on("vdb"))
    assert bench.apply(_on("vdb")).endswith(": mount, mount at boot")
    assert bench.shell("cat /srv/data/file") == "kept"


def test_mounted_again_after_a_reboot(bench: Bench) -> None:
    bench.apply(_on("vdb"))
    bench.lab.power("s1", PowerAction.RESET)
    assert bench.shell("findmnt -no SOURCE /srv/data || cat /etc/fstab") == "/dev/vdb"
    assert bench.apply(_on("vdb")) == ""


def test_erasing_leaves_a_record(bench: Bench) -> None:
    bench.apply(_on("vdb"))
    bench.shell("head -c 50M /dev/urandom >/srv/data/random; sync")
    with bench.session() as server:
        with pytest.raises(CommandRejected, match="disk vdb is mounted at /srv/data and is not erased"):
            server.erase("vdb")
        server.remove(_on("vdb"))
        assert server.snapshot().disks["vdb"] == "ext4 data"
        record = server.erase("vdb")
        assert server.snapshot().disks["vdb"] == ""
    assert record.clean and (record.server, record.disk, record.serial) == ("s1", "vdb", "DSK-1-vdb")
    assert record.size_bytes == 1 << 30 and record.sampled_bytes == 6 << 20
    assert datetime.fromisoformat(record.started_at) < datetime.fromisoformat(record.finished_at)
    assert bench.shell("cmp -n 1073741824 /dev/zero /dev/vdb && echo zero") == "zero"


def test_another_disk_under_the_same_name_is_not_erased(bench: Bench) -> None:
    bench.shell("mkfs.ext4 -q -L data /dev/vdb")
    with bench.session() as server:
        with pytest.raises(CommandRejected, match="disk vdb has serial DSK-1-vdb, not DSK-9-vdb as in the inventory"):
            server.erase("vdb", "DSK-9-vdb")
        assert server.snapshot().disks["vdb"] == "ext4 data"
        assert server.erase("vdb", "DSK-1-vdb").clean


def test_disks_in_use_or_unknown_are_not_erased(bench: Bench) -> None:
    with bench.session() as server:
        for disk, words in {"vdz": "no disk vdz", "../etc/passwd": "no disk", "null": "no disk"}.items():
            with pytest.raises(CommandRejected, match=words):
                server.erase(disk)
    # Mounted where only another program sees it: the kernel refuses.
    bench.shell("mkfs.ext4 -q /dev/vdc")
    hidden = "setsid unshare --mount sh -c 'mount /dev/vdc /mnt; touch /run/hidden; sleep 60' >/dev/null 2>&1 & echo $!"
    process = bench.shell(f"{hidden}; while ! [ -e /run/hidden ]; do sleep 0.1; done; rm /run/hidden")
    try:
        with bench.session() as server, pytest.raises(CommandRejected, match="disk vdc is in use"):
            server.erase("vdc")
    finally:
        bench.shell(f"pkill -9 -s {process}; while pgrep -s {process} >/dev/null; do sleep 0.1; done")
