"""Reading Open vSwitch: answers as its programs gave them, and states that are none of ours."""

from __future__ import annotations

import json

import pytest

from freehold.devices.lldp import parse_neighbours
from freehold.devices.switches import open_switch
from freehold.devices.switches.ovs import parse_mac_table, parse_ports
from freehold.errors import BadInput, CommandRejected
from freehold.models.access import Access
from freehold.models.network import MacEntry, Neighbour, PortConfig, PortMode, SwitchState
from tests.devices.fakes.ssh_device import OneSecret
from tests.devices.switches.ports import CLOSED, access, offline, port, trunk

HEADINGS = ["name", "tag", "trunks", "vlan_mode", "protected", "external_ids"]
NONE: list[object] = ["set", []]
NO_IDS: list[object] = ["map", []]


def _ports(*rows: list[object]) -> dict[str, PortConfig]:
    return parse_ports(json.dumps({"data": rows, "headings": HEADINGS}))


def _described(text: str) -> list[object]:
    return ["map", [["description", text], ["other", "x"]]]


def test_ports_of_ours() -> None:
    assert _ports(
        ["swp3", NONE, ["set", [10, 20]], "trunk", False, _described("to leaf2")],
        ["swp2", 10, NONE, NONE, False, _described("acme 1 # x")],
        ["swp1", 4094, NONE, "access", True, NO_IDS],
        ["swp5", NONE, 30, "trunk", False, NO_IDS],
        ["swp4", NONE, 1, "trunk", False, NO_IDS],
        ["br0", NONE, NONE, NONE, False, NO_IDS],
    ) == {
        "swp1": CLOSED,
        "swp2": access(10, "acme 1 # x"),
        "swp3": trunk(10, 20, description="to leaf2"),
        "swp4": trunk(),
        "swp5": trunk(30),
    }


@pytest.mark.parametrize(
    "settings",
    [
        [NONE, NONE, NONE, False, NO_IDS],  # carries all VLANs
        [4094, NONE, "access", False, NO_IDS],  # closed ports that can talk to one another
        [4094, NONE, "access", True, _described("acme 1")],
        [10, NONE, "access", True, NO_IDS],
        [10, ["set", [20, 30]], "native-untagged", False, NO_IDS],
        [NONE, ["set", [10, 4094]], "trunk", False, NO_IDS],
        [0, NONE, "access", False, NO_IDS],
        [10, NONE, "access", False, _described('quotes " and $(commands)')],
    ],
)
def test_what_is_none_of_ours_is_never_taken_for_it(settings: list[object]) -> None:
    config = _ports(["swp1", *settings])["swp1"]
    assert config.mode is PortMode.OTHER
    assert config.description is not None and config.description.startswith("tag ")


def test_a_port_that_was_set_up_by_hand_cannot_be_set_so_again() -> None:
    other = PortConfig(mode=PortMode.OTHER, description="tag none")
    switch = offline("ovs")
    state = SwitchState(switch="leaf1", ports={"swp1": CLOSED})
    with pytest.raises(CommandRejected, match="leaf1/swp1: it was set up by hand"):
        switch.render(state, [port("swp1", other)])


def test_vlan_1_is_kept_for_empty_trunks() -> None:
    state = SwitchState(switch="leaf1", ports={"swp1": CLOSED})
    for config in (access(1), trunk(1), trunk(1, 10)):
        with pytest.raises(CommandRejected, match="leaf1/swp1: VLAN 1 is kept free"):
            offline("ovs").render(state, [port("swp1", config)])


def test_mac_table() -> None:
    answer = """\
{"data":[["swp1",1],["swp9",["set",[]]],["br0",65534],["swp23",12]],"headings":["name","ofport"]}
 port  VLAN  MAC                Age
   12   110  02:0b:00:00:01:33    0
    1  4094  02:0b:00:00:01:15  299
LOCAL     0  3e:7e:5c:6a:4f:47    1
"""
    assert parse_mac_table(answer) == (
        MacEntry(port="swp1", vlan=4094, mac="02:0b:00:00:01:15"),
        MacEntry(port="swp23", vlan=110, mac="02:0b:00:00:01:33"),
    )


def test_an_answer_of_another_shape_is_an_error_with_its_words() -> None:
    with pytest.raises(CommandRejected, match="unknown shape: 'Segmentation fault'"):
        parse_ports("Segmentation fault")
    with pytest.raises(ValueError, match="unknown shape"):
        parse_neighbours('{"lldp": [{"interface": [{}]}]}')


def test_lldp_neighbours() -> None:
    chassis = {
        "id": [{"type": "mac", "value": "02:0a:00:00:00:15"}],
        "name": [{"value": "srv-1"}],
        "mgmt-ip": [{"value": "192.0.2.21"}],
    }
    there = {"name": "swp1", "chassis": [chassis], "port": [{"id": [{"type": "ifname", "value": "eth1"}]}]}
    assert parse_neighbours(json.dumps({"lldp": [{"interface": [there, {"name": "swp0"}]}]})) == (
        Neighbour(local_port="swp0"),
        Neighbour(
            local_port="swp1",
            chassis_id="02:0a:00:00:00:15",
            system_name="srv-1",
            port_id="eth1",
            management_address="192.0.2.21",
        ),
    )
    assert parse_neighbours('{"lldp": [{}]}') == ()


def test_an_unknown_dialect_is_said_with_those_there_are() -> None:
    given = {"device": "leaf1", "address": "192.0.2.1", "user": "freehold", "host_key": "", "credential": "key"}
    with pytest.raises(BadInput, match="leaf1: dialect 'pigeon' is not known; known are ovs, arista-eos"):
        open_switch(Access.model_validate({**given, "dialect": "pigeon"}), OneSecret("key", ""))
