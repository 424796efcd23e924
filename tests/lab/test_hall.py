"""Halls: what is wrong with one is said in a sentence; moved and cut to a part they stay whole."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from freehold.errors import BadInput
from freehold.lab import Lab
from freehold.lab.halls import part, rebase
from freehold.lab.testing import HALL
from freehold.models.hall import DeviceKind, Disk, Hall, SwitchPort, load_hall

Spoil = Callable[[dict[str, Any]], object]


def test_the_hall_of_the_lab_has_what_two_compact_and_one_distributed_instance_need() -> None:
    hall = load_hall(HALL)
    north = [d for d in hall.devices if d.site == "north"]
    servers = [d for d in north if d.kind is DeviceKind.SERVER]
    assert len([d for d in servers if d.position]) >= 2 + 5 and [d for d in servers if not d.position]
    assert {d.position.rack for d in servers if d.position} == {"r1", "r2"}
    assert {d.customer for d in hall.devices if d.kind is DeviceKind.HOST} == {c.name for c in hall.customers}
    assert not any(d.powered for d in hall.devices if d.site == "south")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda h: h["devices"][0].update(colour="red"), "devices.0.colour: Extra inputs are not permitted"),
        (lambda h: h["devices"][2].update(site="east"), "srv-1: site 'east' is not one of ['north', 'south']"),
        (lambda h: h["devices"][2].update(serial="FHSW0001"), "serial 'FHSW0001' is given twice"),
        (lambda h: h["customers"][1].update(name="acme"), "customer 'acme' is given twice"),
        (
            lambda h: h["customers"][1]["networks"][0].update(vlan=110),
            "VLAN of a customer '110 at north' is given twice",
        ),
        (lambda h: h["devices"][2]["nics"][0].update(mac="zz"), "devices.2.nics.0.mac: "),
        (lambda h: h["cables"][0].update(a="leaf1"), "'leaf1' is not a port; write it as device/port"),
        (lambda h: h["cables"][0].update(a="leaf1/swp99"), "cable N-101: there is no port leaf1/swp99"),
        (lambda h: h.pop("management"), "management: Field required"),
    ],
)
def test_a_wrong_hall_is_refused_in_one_sentence(tmp_path: Path, spoil: Spoil, said: str) -> None:
    data = yaml.safe_load(HALL.read_text())
    spoil(data)
    file = tmp_path / "hall.yaml"
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(BadInput) as error:
        load_hall(file)
    message = str(error.value)
    assert message.startswith(f"{file}: ") and said in message and "\n" not in message


@pytest.mark.parametrize(("text", "said"), [("a: [", "is not YAML"), ("- 1", "must be a mapping"), ("", "must be a")])
def test_a_file_that_is_no_hall_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "hall.yaml").write_text(text)
    with pytest.raises(BadInput, match=said):
        load_hall(tmp_path / "hall.yaml")
    with pytest.raises(BadInput, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_hall(tmp_path / "nowhere.yaml")


def test_moving_the_management_network_keeps_host_parts_and_all_else() -> None:
    hall = load_hall(HALL)
    moved = rebase(hall, IPv4Network("198.18.77.128/25"))
    assert str(moved.device("srv-1").management.address) == "198.18.77.149"
    assert rebase(moved, hall.management) == hall
    assert Hall.model_validate(moved.model_dump(mode="json")) == moved
    with pytest.raises(BadInput, match=r"management 198\.18\.77\.0/28: has no room for 198\.18\.0\.\d+"):
        rebase(hall, IPv4Network("198.18.77.0/28"))


def test_a_part_of_a_hall_has_the_cables_between_its_devices() -> None:
    hall = part(load_hall(HALL), ["leaf1", "srv-1"], off=["srv-3"])
    assert {c.label for c in hall.cables} == {"N-101", "N-102", "N-105", "N-106"}
    assert [(d.name, d.powered) for d in hall.devices] == [("leaf1", True), ("srv-1", True), ("srv-3", False)]
    assert Hall.model_validate(hall.model_dump(mode="json")) == hall
    with pytest.raises(BadInput, match="device 'srv-99': is not in hall lab"):
        part(hall, ["srv-99"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dialect": "arista-eos"}, "leaf1: the lab cannot build a switch of dialect arista-eos, only ovs"),
        ({"ports": (SwitchPort(name="Ethernet1/3"),)}, "leaf1: the lab cannot build a port called Ethernet1/3"),
        ({"disks": (Disk(name="sda", serial="X", size_gib=1),)}, "leaf1: the lab cannot build a disk called sda"),
    ],
)
def test_a_hall_that_only_real_devices_can_be_is_refused(change: dict[str, Any], said: str) -> None:
    hall = part(load_hall(HALL), ["leaf1"])
    spoilt = hall.model_copy(update={"devices": (hall.device("leaf1").model_copy(update=change),)})
    with pytest.raises(BadInput, match=said):
        Lab(spoilt)
