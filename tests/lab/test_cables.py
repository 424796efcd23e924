"""Cables and switches: LLDP on both sides, VLANs, closed ports, what outlives a reboot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from freehold.errors import Conflict, NotFound
from freehold.lab import Lab, PowerAction
from freehold.lab.testing import ssh
from tests.lab.waiting import neighbours, reaches, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

BETA = "198.18.65.200"
CLOSED = "tag=4094 vlan_mode=access protected=true"


@pytest.fixture
def as_built(lab: Lab) -> Iterator[Lab]:
    """The lab, its cables and ports as the hall says, also after the test."""
    yield lab
    for cable in set(lab.cables()) - set(lab.hall.cables):
        lab.unplug(label=cable.label)
    for cable in set(lab.hall.cables) - set(lab.cables()):
        lab.plug(cable.a, cable.b)
    ports = [f"set port {port} {CLOSED}" for port in ("swp1", "swp16")]
    configure(lab, "leaf1", "set port swp24 trunks=1", "set port swp23 tag=110", *ports)
    configure(lab, "leaf2", "set port swp24 trunks=1", "set port swp23 tag=120")


def configure(lab: Lab, switch: str, *changes: str) -> None:
    code, said = ssh(lab, switch, f"sudo -n ovs-vsctl {' -- '.join(changes)}")
    assert code == 0, said


def test_lldp_follows_the_cable_on_both_sides(as_built: Lab) -> None:
    lab = as_built
    until(lambda: neighbours(lab, "leaf1").get("swp1") == "srv-1/eth1", 8)
    lab.unplug("srv-1/eth1")
    until(lambda: "swp1" not in neighbours(lab, "leaf1") and "eth1" not in neighbours(lab, "srv-1"), 5)
    lab.plug("srv-1/eth1", "leaf1/swp15")  # wrong on purpose: the hall says swp1
    until(lambda: neighbours(lab, "leaf1").get("swp15") == "srv-1/eth1", 5)
    until(lambda: neighbours(lab, "srv-1").get("eth1") == "leaf1/swp15", 5)


def test_an_unplugged_port_has_no_carrier(as_built: Lab) -> None:
    lab = as_built
    look = "cat /sys/class/net/eth1/carrier"
    assert ssh(lab, "srv-1", look) == (0, "1")
    lab.unplug(label="N-101")
    assert ssh(lab, "srv-1", look) == (0, "0")
    assert ssh(lab, "leaf1", "cat /sys/class/net/swp1/carrier") == (0, "0")


def test_a_machine_that_goes_off_takes_the_carrier_away(as_built: Lab) -> None:
    lab = as_built
    ssh(lab, "acme-host", "systemctl poweroff")
    until(lambda: not lab.machine("acme-host").running(), 10)
    until(lambda: ssh(lab, "leaf1", "cat /sys/class/net/swp23/carrier") == (0, "0"), 3)
    lab.power("acme-host", PowerAction.ON)
    until(lambda: ssh(lab, "leaf1", "cat /sys/class/net/swp23/carrier") == (0, "1"), 3)


def test_what_is_in_use_is_not_plugged_again(lab: Lab) -> None:
    with pytest.raises(Conflict, match=r"leaf1/swp1 is in use: cable N-101 \(leaf1/swp1 - srv-1/eth1\)"):
        lab.plug("leaf1/swp1", "leaf2/swp9")
    with pytest.raises(NotFound, match="leaf1 has no port 'swp99'; it has swp1, swp2"):
        lab.plug("leaf1/swp99", "leaf2/swp9")
    with pytest.raises(NotFound, match="no cable is plugged at leaf2/swp9"):
        lab.unplug("leaf2/swp9")


def test_vlans_isolate_and_a_trunk_carries_only_its_own(as_built: Lab) -> None:
    lab = as_built
    assert not reaches(lab, "acme-host", BETA)
    configure(lab, "leaf2", "set port swp23 tag=110")
    assert not reaches(lab, "acme-host", BETA), "a trunk without VLANs carried one"
    for leaf in ("leaf1", "leaf2"):
        configure(lab, leaf, "set port swp24 trunks=110")
    assert reaches(lab, "acme-host", BETA)
    configure(lab, "leaf2", "set port swp23 tag=120")
    assert not reaches(lab, "acme-host", BETA)


def test_closed_ports_pass_nothing_not_even_to_one_another(as_built: Lab) -> None:
    lab = as_built
    ssh(lab, "srv-1", "ip addr replace 198.18.64.201/24 dev eth1")
    lab.unplug("acme-host/eth1")
    lab.plug("acme-host/eth1", "leaf1/swp16")  # closed, as the port of srv-1
    assert not reaches(lab, "acme-host", "198.18.64.201")
    open_port = "tag=300 vlan_mode=access protected=false"
    configure(lab, "leaf1", f"set port swp1 {open_port}", f"set port swp16 {open_port}")
    assert reaches(lab, "acme-host", "198.18.64.201"), "the test itself sees nothing"
    configure(lab, "leaf1", f"set port swp1 {CLOSED}", f"set port swp16 {CLOSED}")
    assert not reaches(lab, "acme-host", "198.18.64.201")
    assert "swp1" in neighbours(lab, "leaf1"), "LLDP stays visible on a closed port"


@pytest.mark.parametrize("how", ["reboot", "cut"])
def test_switch_configuration_outlives_reboot_and_power_cut(as_built: Lab, how: str) -> None:
    lab = as_built
    configure(lab, "leaf2", f"set port swp9 external_ids:description={how}")
    show = "sudo -n ovs-vsctl --format=json --columns=name,tag,trunks,vlan_mode,protected,external_ids list port"
    before = sorted(ssh(lab, "leaf2", show)[1])
    lab.power("leaf2", PowerAction.OFF if how == "reboot" else PowerAction.CUT)
    lab.power("leaf2", PowerAction.ON)
    assert sorted(ssh(lab, "leaf2", show)[1]) == before
    assert how in ssh(lab, "leaf2", "sudo -n ovs-vsctl get port swp9 external_ids")[1]
    until(lambda: neighbours(lab, "leaf2").get("swp23") == "beta-host/eth1", 8)
