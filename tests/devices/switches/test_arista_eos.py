"""The EOS driver against a stateful command line: what it sends, reads, undoes, and survives."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import pytest

from freehold.devices.switches import open_switch
from freehold.devices.switches.arista_eos import open_switch as open_eos
from freehold.devices.switches.changes import apply_changes, preview
from freehold.errors import CommandRejected, DeviceUnreachable
from freehold.models.network import MacEntry, Neighbour, PortConfig, PortMode, SwitchChange
from tests.devices.fakes.eos import Eos
from tests.devices.fakes.ssh_device import SshDevice, running
from tests.devices.switches.ports import CLOSED, access, port, trunk, vlan


@pytest.fixture
def eos() -> Eos:
    return Eos.with_ports(8)


@pytest.fixture
def device(eos: Eos) -> Iterator[SshDevice]:
    with running(eos.login, "arista-eos") as device:
        yield device


BATCH = [
    port("Ethernet1", access(10, "acme-1 leaf1# 1")),
    port("Ethernet2", CLOSED),
    port("Ethernet3", trunk()),
    port("Ethernet4", trunk(10, 11, 12, 30, description="to leaf2")),
    vlan("Ethernet3", 20),
]


def test_what_is_applied_reads_back_and_a_second_time_finds_nothing(eos: Eos, device: SshDevice) -> None:
    with open_switch(device.access, device.secrets) as switch:
        results = apply_changes(switch, BATCH)
        state = switch.read()
        assert preview(switch, port("Ethernet1", access(10, "acme-1 leaf1# 1"))).commands == ()
        sent = len(device.lines)
        again = apply_changes(switch, BATCH)
    # the trunk that was opened empty got its VLAN from a later change, and both answers say what is true
    assert [r.error_type for r in results] == ["", "", "Conflict", "", ""]
    assert not any(r.changed for r in again if r.ok) and [r.ok for r in again] == [True, True, False, True, True]
    assert device.lines[sent:].count("show running-config") == 1 and not eos.sessions
    assert state.ports["Ethernet1"] == access(10, "acme-1 leaf1# 1")
    assert state.ports["Ethernet2"] == CLOSED
    assert state.ports["Ethernet3"] == trunk(20)
    assert state.ports["Ethernet4"] == trunk(10, 11, 12, 30, description="to leaf2")
    assert (
        device.lines.count("configure session freehold commit") == 1 and eos.saves == 1 and eos.startup == eos.running
    )
    assert eos.running.vlans == {1, 10, 11, 12, 20, 30, 4094}


def test_undo_restores_the_ports_exactly(eos: Eos, device: SshDevice) -> None:
    eos.running.ports["Ethernet4"] |= {
        "switchport mode": "trunk",
        "switchport trunk allowed vlan": "5-7",
        "mtu": "9000",
    }
    before = copy.deepcopy(eos.running.ports)
    with open_switch(device.access, device.secrets) as switch:
        was = switch.read()
        assert all(r.ok for r in apply_changes(switch, [*BATCH[:2], vlan("Ethernet4", 6, present=False)]))
        assert eos.running.ports != before
        undo = [port(name, config) for name, config in was.ports.items()]
        assert all(r.ok for r in apply_changes(switch, undo))
        assert switch.read() == was
    assert eos.running.ports == before


def test_the_device_rejects_one_change_and_its_neighbours_go_through(eos: Eos, device: SshDevice) -> None:
    eos.refused = "3333"
    changes = [port(f"Ethernet{n}", access(3333 if n == 3 else 10 + n)) for n in range(1, 6)]
    with open_switch(device.access, device.secrets) as switch:
        results = apply_changes(switch, changes)
        ports = switch.read().ports
    assert [r.error_type for r in results] == ["", "", "CommandRejected", "", ""]
    assert results[2].error == "leaf1: vlan 3333: % Invalid input (at token 1: '3333')"
    assert ports["Ethernet3"] == access(1) and ports["Ethernet5"] == access(15)
    assert eos.saves == 1 and not eos.sessions and 3333 not in eos.running.vlans


def test_a_rejected_apply_leaves_the_device_as_before(eos: Eos, device: SshDevice) -> None:
    before = copy.deepcopy(eos.running)
    with open_switch(device.access, device.secrets) as switch:
        with pytest.raises(CommandRejected, match="Invalid input"):
            switch.apply(["interface Ethernet1", "switchport access vlan 10", "interface Ethernet99"])
        with pytest.raises(CommandRejected, match="no port Ethernet99"):
            switch.read(["Ethernet1", "Ethernet99"])
    assert eos.running == before and not eos.sessions


def test_a_port_set_up_by_hand_is_told_as_it_is_and_can_be_taken_over(eos: Eos, device: SshDevice) -> None:
    eos.running.ports["Ethernet1"] = {"shutdown": "", "no switchport": ""}
    eos.running.ports["Ethernet2"] = {"switchport mode": "trunk"}
    with open_switch(device.access, device.secrets) as switch:
        was = switch.read(["Ethernet1", "Ethernet2"]).ports
        assert was["Ethernet1"] == PortConfig(mode=PortMode.OTHER, description="shutdown / no switchport")
        assert was["Ethernet2"].mode is PortMode.OTHER  # all VLANs pass
        assert all(r.ok for r in apply_changes(switch, [port("Ethernet1", CLOSED), port("Ethernet2", trunk())]))
        (back,) = apply_changes(switch, [port("Ethernet1", was["Ethernet1"])])
    assert back.error_type == "CommandRejected" and "set up by hand" in back.error


def test_a_port_guarded_by_a_list_that_is_gone_is_not_closed(eos: Eos, device: SshDevice) -> None:
    with open_switch(device.access, device.secrets) as switch:
        apply_changes(switch, [port("Ethernet1", CLOSED)])
        eos.running.lists.clear()
        assert switch.read().ports["Ethernet1"].mode is PortMode.OTHER


def test_neighbours_and_mac_table(eos: Eos, device: SshDevice) -> None:
    eos.neighbours = {"Ethernet2": ("srv-1", "eth1"), "Ethernet3": ("", "")}
    with open_switch(device.access, device.secrets) as switch:
        assert switch.neighbours() == (
            Neighbour(
                local_port="Ethernet2",
                chassis_id="02:0a:00:00:00:15",
                system_name="srv-1",
                port_id="eth1",
                management_address="192.0.2.21",
            ),
        )
        assert switch.mac_table()[0] == MacEntry(port="Ethernet2", vlan=10, mac="02:0b:00:00:01:15")


@pytest.mark.parametrize(
    "cut",
    [
        "show running-config",
        "configure session freehold",
        "switchport access",
        "end",
        "configure session freehold commit",
        "write",
    ],
)
@pytest.mark.parametrize("when", ["drop_at", "drop_after"])
def test_a_cut_connection_is_told_and_repeating_ends_as_wanted(
    eos: Eos, device: SshDevice, cut: str, when: str
) -> None:
    changes = [port("Ethernet1", access(10)), port("Ethernet2", access(20))]
    setattr(device.faults, when, cut)
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match="leaf1"), open_switch(device.access, device.secrets) as switch:
        apply_changes(switch, changes)
    assert time.monotonic() - began < 15  # told at once, not when the time for an answer is over
    with open_switch(device.access, device.secrets) as switch:
        assert all(r.ok for r in apply_changes(switch, changes, unsaved=True))
    assert eos.running.ports["Ethernet1"] == {"switchport access vlan": "10"}
    assert eos.startup == eos.running and not eos.sessions


def test_what_another_login_left_in_the_session_is_not_committed(eos: Eos, device: SshDevice) -> None:
    eos.sessions["freehold"] = copy.deepcopy(eos.running)
    eos.sessions["freehold"].ports["Ethernet8"]["switchport access vlan"] = "666"
    with open_switch(device.access, device.secrets) as switch:
        apply_changes(switch, [port("Ethernet1", access(10))])
    assert eos.running.ports["Ethernet8"] == {}


def test_a_device_that_stops_answering_does_not_hold_us(device: SshDevice) -> None:
    device.faults.stall_at = "show running-config"
    began = time.monotonic()
    with pytest.raises(DeviceUnreachable, match="leaf1"), open_eos(device.access, device.secrets, 1) as switch:
        switch.read()
    assert time.monotonic() - began < 15


def test_a_change_for_another_switch_is_refused(device: SshDevice) -> None:
    with open_switch(device.access, device.secrets) as switch:
        (result,) = apply_changes(switch, [SwitchChange(switch="leaf2")])
    assert result.error == "the change is for leaf2, the session is with leaf1"
