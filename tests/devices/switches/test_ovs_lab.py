"""The Open vSwitch driver against a real switch with neighbours."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from freehold.devices.base import Switch
from freehold.devices.ssh import connect
from freehold.devices.switches import open_switch
from freehold.devices.switches.changes import apply_changes, preview
from freehold.errors import AuthenticationRefused, CommandRejected, DeviceUnreachable, HostKeyMismatch
from freehold.lab import Lab, PowerAction
from freehold.lab.testing import small_lab
from freehold.models.access import Access
from freehold.models.network import Neighbour, PortConfig, PortMode, SwitchChange
from tests.devices.fakes.ssh_device import OneSecret, new_private_key
from tests.devices.switches.lab import reach
from tests.devices.switches.ports import CLOSED, access, port, trunk, vlan

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    with small_lab("devices", "198.18.32.0/24", ["leaf1", "srv-1", "acme-host"]) as lab:
        yield lab


@pytest.fixture
def way(lab: Lab) -> tuple[Access, OneSecret]:
    return reach(lab, "leaf1")


@pytest.fixture
def switch(way: tuple[Access, OneSecret]) -> Iterator[Switch]:
    """A session; whatever a test did, all ports end as they were."""
    with open_switch(*way) as switch:
        before = switch.read()
        yield switch
        undo = [port(name, config) for name, config in before.ports.items()]
        assert all(r.ok for r in apply_changes(switch, undo))
        assert switch.read() == before


EVERYTHING: list[SwitchChange] = [
    port("swp3", access(210, "acme-1 web: srv-3/eth1 #2")),
    port("swp4", access(211, "echo freehold-exit 7 -- ovs-vsctl: sudo:")),
    port("swp5", trunk()),
    port("swp6", trunk(210, 211, 212, description="x")),
    port("swp23", CLOSED),
    port("swp1", CLOSED),
    vlan("swp24", 210),
    vlan("swp24", 211),
]


def test_reads_what_the_hall_says(lab: Lab, switch: Switch) -> None:
    assert switch.read().ports == {p.name: p.initial for p in lab.device("leaf1").ports}
    with pytest.raises(CommandRejected, match="leaf1 has no port swp99"):
        switch.read(["swp1", "swp99"])


def test_what_is_applied_reads_back_and_a_second_time_finds_nothing(switch: Switch) -> None:
    results = apply_changes(switch, EVERYTHING)
    assert [r.error for r in results] == [""] * len(EVERYTHING)
    assert [r.changed for r in results] == [True] * 5 + [False, True, True]
    ports = switch.read().ports
    assert ports["swp4"] == access(211, "echo freehold-exit 7 -- ovs-vsctl: sudo:")
    assert ports["swp5"] == trunk() and ports["swp23"] == CLOSED
    assert ports["swp24"] == trunk(210, 211, description="trunk to leaf2")
    assert all(preview(switch, change).commands == () for change in EVERYTHING)
    assert not any(r.changed for r in apply_changes(switch, EVERYTHING))


def test_a_rejected_transaction_changes_nothing(switch: Switch) -> None:
    before = switch.read()
    with pytest.raises(CommandRejected, match="5000 is not in the valid range"):
        switch.apply(["ovs-vsctl set port swp3 tag=300", "ovs-vsctl set port swp4 tag=5000"])
    with pytest.raises(CommandRejected, match='no row "swp99"'):
        switch.apply(["ovs-vsctl set port swp3 tag=300", "ovs-vsctl set port swp99 tag=10"])
    assert switch.read() == before


def test_a_bad_change_does_not_fail_its_neighbours(switch: Switch) -> None:
    bad = [port("swp99", CLOSED), port("swp5", access(1)), vlan("swp3", 210)]
    results = apply_changes(switch, [bad[0], port("swp3", access(210)), bad[1], port("swp4", access(211)), bad[2]])
    assert [r.error_type for r in results] == ["CommandRejected", "", "CommandRejected", "", "CommandRejected"]
    assert "no port swp99" in results[0].error and "VLAN 1" in results[2].error and "not a trunk" in results[4].error
    assert switch.read().ports["swp4"] == access(211)


def test_a_port_set_up_by_hand_is_told_as_it_is_and_can_be_taken_over(switch: Switch) -> None:
    switch.apply(["ovs-vsctl clear port swp7 tag trunks vlan_mode", "ovs-vsctl set port swp8 protected=false"])
    ports = switch.read(["swp7", "swp8"]).ports
    assert ports["swp7"] == PortConfig(
        mode=PortMode.OTHER, description="tag none / vlan_mode none / trunks none / protected True"
    )
    assert ports["swp8"].mode is PortMode.OTHER
    assert all(r.changed for r in apply_changes(switch, [port("swp7", CLOSED), port("swp8", CLOSED)]))


def test_neighbours_and_mac_table(switch: Switch) -> None:
    wanted = Neighbour(
        local_port="swp1",
        chassis_id="02:0a:00:00:00:15",
        system_name="srv-1",
        port_id="eth1",
        management_address="198.18.32.21",
    )
    deadline = time.monotonic() + 15
    while wanted not in switch.neighbours() and time.monotonic() < deadline:
        time.sleep(0.3)
    found = {n.local_port: n for n in switch.neighbours()}
    assert found["swp1"] == wanted and found["swp23"].system_name == "acme-host"
    assert {(e.port, e.vlan) for e in switch.mac_table()} <= {("swp1", 4094), ("swp2", 4094), ("swp23", 110)}


def test_what_is_applied_survives_a_reboot(lab: Lab, way: tuple[Access, OneSecret]) -> None:
    with open_switch(*way) as switch:
        before = switch.read()
        apply_changes(switch, EVERYTHING)
        changed = switch.read()
    lab.power("leaf1", PowerAction.RESET)
    with open_switch(*way) as switch:
        assert switch.read() == changed
        apply_changes(switch, [port(name, config) for name, config in before.ports.items()])
        assert switch.read() == before


def test_a_login_waits_while_others_hold_the_device_busy(lab: Lab) -> None:
    """A real sshd that takes two logins at a time, beside the server's own."""
    access, secrets = reach(lab, "srv-1")
    narrow = access.model_copy(update={"port": 2222})
    first = connect(access, secrets)
    try:
        _, out, _ = first.exec_command(
            "printf 'Port 2222\\nPidFile /run/narrow.pid\\nMaxStartups 2:100:2\\n' >/run/narrow.conf; "
            "/usr/sbin/sshd -f /run/narrow.conf; "
            "timeout 10 bash -c 'until [ -e /run/narrow.pid ]; do sleep 0.1; done'"
        )
        assert out.channel.recv_exit_status() == 0
        others = [socket.create_connection((str(narrow.address), narrow.port), 10) for _ in range(2)]
        for other in others:
            assert other.recv(3) == b"SSH"  # and then they say nothing
        with pytest.raises(DeviceUnreachable, match="srv-1"):
            connect(narrow, secrets, timeout_s=1)
        with ThreadPoolExecutor(1) as pool:
            login = pool.submit(connect, narrow, secrets)
            time.sleep(1)
            assert not login.done()
            for other in others:
                other.close()
            login.result().close()
        first.exec_command("kill $(cat /run/narrow.pid)")[1].channel.recv_exit_status()
    finally:
        first.close()


def test_a_wrong_host_key_and_a_wrong_key_are_refused(way: tuple[Access, OneSecret]) -> None:
    access, secrets = way
    other = OneSecret(access.credential, new_private_key())
    with pytest.raises(AuthenticationRefused, match="leaf1"):
        connect(access, other)
    wrong = access.host_key[:-6] + ("AAAAAA" if not access.host_key.endswith("AAAAAA") else "BBBBBB")
    with pytest.raises(HostKeyMismatch, match=r"SHA256:.* holds SHA256:"):
        connect(access.model_copy(update={"host_key": wrong}), secrets)


def test_no_private_key_is_in_a_process_list(way: tuple[Access, OneSecret]) -> None:
    access, secrets = way
    body = secrets.value.splitlines()[2].encode()
    with open_switch(access, secrets) as switch:
        switch.read()
        for process in Path("/proc").glob("[0-9]*"):
            for file in ("cmdline", "environ"):
                try:
                    assert body not in (process / file).read_bytes()
                except OSError:
                    continue
