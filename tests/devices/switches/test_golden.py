"""The commands of every dialect, line by line. `FREEHOLD_UPDATE_GOLDEN=1 pytest` writes them anew; read the diff."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from freehold.devices.switches import DIALECTS
from freehold.models.network import PortConfig, SwitchChange, SwitchState
from tests.devices.switches.ports import CLOSED, access, offline, port, trunk, vlan

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, tuple[PortConfig, Callable[[str], SwitchChange]]] = {
    "open_access_port": (CLOSED, lambda name: port(name, access(10))),
    "open_with_description": (CLOSED, lambda name: port(name, access(10, "acme-1 web: srv-1/eth1 #2"))),
    "change_vlan_and_description": (access(10, "acme-1"), lambda name: port(name, access(20, "beta-1"))),
    "remove_description": (access(10, "acme-1"), lambda name: port(name, access(10))),
    "close_access_port": (access(10, "acme-1"), lambda name: port(name, CLOSED)),
    "close_trunk": (trunk(10, 20, description="to leaf2"), lambda name: port(name, CLOSED)),
    "open_empty_trunk": (CLOSED, lambda name: port(name, trunk(description="to leaf2"))),
    "trunk_add_first": (trunk(description="to leaf2"), lambda name: vlan(name, 10)),
    "trunk_add": (trunk(10, description="to leaf2"), lambda name: vlan(name, 20)),
    "trunk_remove": (trunk(10, 20), lambda name: vlan(name, 10, present=False)),
    "trunk_remove_last": (trunk(10), lambda name: vlan(name, 10, present=False)),
    "nothing_to_do": (access(10, "acme-1"), lambda name: port(name, access(10, "acme-1"))),
}


def _render(dialect: str, before: PortConfig, change: Callable[[str], SwitchChange]) -> tuple[str, ...]:
    name = "swp7" if dialect == "ovs" else "Ethernet7"
    return offline(dialect).render(SwitchState(switch="leaf1", ports={name: before}), [change(name)])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_commands(dialect: str, case: str) -> None:
    rendered = "".join(f"{command}\n" for command in _render(dialect, *CASES[case]))
    golden = GOLDEN / dialect / f"{case}.txt"
    if os.environ.get("FREEHOLD_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(rendered)
    assert rendered == golden.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {f"{d}/{c}.txt" for d in DIALECTS for c in CASES} == {
        str(file.relative_to(GOLDEN)) for file in GOLDEN.rglob("*.txt")
    }
