"""Machines as Freehold sees them: SSH with checked host keys, accounts, serial numbers, disks, power."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import paramiko
import pytest

from freehold.errors import NotFound
from freehold.lab import Lab, PowerAction
from freehold.lab.testing import ssh
from freehold.models.hall import load_hall
from tests.lab.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]


@pytest.mark.parametrize("device", ["leaf1", "srv-1", "acme-host"])
def test_boots_whole_and_answers_under_its_own_host_key(lab: Lab, device: str) -> None:
    assert until(lambda: ssh(lab, device, "systemctl is-system-running")[1] == "running", 10) < 10
    assert ssh(lab, device, "hostname") == (0, device)
    assert ssh(lab, device, "cat /etc/freehold-lab/product_serial") == (0, lab.device(device).serial)


def test_another_host_key_is_noticed(lab: Lab, tmp_path: Path) -> None:
    key = next(k for k in (lab.handover / "known_hosts").read_text().splitlines() if "198.18.9.12 " in k)
    (tmp_path / "known_hosts").write_text(key.replace("198.18.9.12", "198.18.9.11") + "\n")
    client = paramiko.SSHClient()
    client.load_host_keys(str(tmp_path / "known_hosts"))
    with pytest.raises(paramiko.BadHostKeyException):
        client.connect("198.18.9.11", username="freehold", key_filename=str(lab.handover / "id_ed25519"), timeout=10)


def test_the_switch_account_may_do_its_work_and_nothing_else(lab: Lab) -> None:
    assert ssh(lab, "leaf1", "sudo -n ovs-vsctl get bridge br0 datapath_type") == (0, "netdev")
    assert ssh(lab, "leaf1", "sudo -n ovs-appctl fdb/show br0")[0] == 0
    for refused in ("id", "cat /etc/shadow", "ovs-appctl exit", "lldpcli configure system hostname x", "bash -c id"):
        code, said = ssh(lab, "leaf1", f"sudo -n {refused}")
        assert code != 0 and "password is required" in said, refused


def test_no_service_runs_that_no_role_turned_on(lab: Lab) -> None:
    _, running = ssh(lab, "srv-1", "systemctl list-units --type=service --state=running --no-legend --plain")
    assert {line.split()[0].removesuffix(".service") for line in running.splitlines()} == {
        "dbus",
        "lldpd",
        "ssh",
        "systemd-journald",
    }


def test_an_ordinary_user_reaches_the_management_network(lab: Lab) -> None:
    address = str(lab.device("srv-1").management.address)
    told = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", f"read -r x </dev/tcp/{address}/22; echo $x"],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    assert told.stdout.startswith("SSH-2.0")


def test_machines_do_not_reach_one_another_over_management(lab: Lab) -> None:
    address = lab.device("srv-1").management.address
    assert ssh(lab, "acme-host", f"timeout 2 bash -c '</dev/tcp/{address}/22'")[0] != 0


def test_a_disk_is_formatted_mounted_and_erased(lab: Lab) -> None:
    make = "mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && echo hello >/mnt/f && umount /mnt && blkid -o value -s TYPE"
    assert ssh(lab, "srv-1", f"{make} /dev/vdb") == (0, "ext4")
    size = lab.device("srv-1").disks[0].size_gib << 30
    assert ssh(lab, "srv-1", "blockdev --getsize64 /dev/vdb") == (0, str(size))
    code, said = ssh(lab, "srv-1", "blkdiscard --force /dev/vdb && head -c 4096 /dev/vdb | tr -d '\\0' | wc -c")
    assert code == 0 and said.splitlines()[-1] == "0"


def test_a_spare_costs_nothing_until_it_is_switched_on(lab: Lab) -> None:
    machine = lab.machine("srv-3")
    assert not machine.running() and not machine.folder.exists()
    lab.power("srv-3", PowerAction.ON)
    assert ssh(lab, "srv-3", "hostname") == (0, "srv-3")
    lab.power("srv-3", PowerAction.OFF)
    assert not machine.running()
    with pytest.raises(OSError):
        socket.create_connection((str(lab.device("srv-3").management.address), 22), timeout=1)


def test_files_and_disks_outlive_reboot_and_power_cut(lab: Lab) -> None:
    ssh(
        lab,
        "srv-1",
        "mkfs.ext4 -q -F /dev/vdb; mount /dev/vdb /mnt; echo data >/mnt/f; umount /mnt; echo kept >/root/f; sync",
    )
    id_before = ssh(lab, "srv-1", "cat /proc/sys/kernel/random/boot_id; systemctl show --value -p UserspaceTimestamp")[
        1
    ]
    ssh(lab, "srv-1", "systemctl reboot")
    until(lambda: _answer(lab, "srv-1", "systemctl show --value -p UserspaceTimestamp") not in ("", id_before[37:]), 20)
    assert ssh(lab, "srv-1", "cat /root/f") == (0, "kept")
    lab.power("srv-1", PowerAction.RESET)
    assert ssh(lab, "srv-1", "cat /root/f; mount /dev/vdb /mnt; cat /mnt/f; umount /mnt") == (0, "kept\ndata")


def _answer(lab: Lab, device: str, command: str) -> str:
    try:
        return ssh(lab, device, command, timeout_s=3)[1]
    except (OSError, paramiko.SSHException, EOFError):
        return ""


def test_the_handover_is_whole_and_the_key_is_private(lab: Lab) -> None:
    assert load_hall(lab.handover / "hall.yaml") == lab.hall
    assert (lab.handover / "id_ed25519").stat().st_mode & 0o777 == 0o600
    known = (lab.handover / "known_hosts").read_text().splitlines()
    assert len(known) == len(set(known)) == len(lab.hall.devices)


def test_an_unknown_device_is_answered_with_the_known_ones(lab: Lab) -> None:
    with pytest.raises(NotFound, match=r"no device 'srv-99' in this hall; there are .*srv-1"):
        lab.power("srv-99", PowerAction.ON)
