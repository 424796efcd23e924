"""`freehold lab` and what it says when something is missing. Boots nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.errors import BadInput
from freehold.lab import cgroups, check, files, image
from freehold.lab.names import Names
from freehold.models.network import PortConfig, PortMode


def lab(*words: str, state: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"XDG_STATE_HOME": str(state)} | ({"PATH": path} if path is not None else {})
    command = [sys.executable, "-m", "freehold.cli.lab", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_check_names_a_missing_program_and_what_to_do(tmp_path: Path) -> None:
    done = lab("check", "--json", state=tmp_path, path=str(tmp_path))
    assert done.returncode == 1
    findings = {f["what"]: f for f in json.loads(done.stdout)}
    assert not findings["debootstrap"]["ok"]
    assert "scripts/setup" in findings["debootstrap"]["do"]


def test_check_names_a_kernel_feature_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("features are tried as root only")
    broken = ("warp drive", "travel", "load the module warp", check._scratch("ip link add name w type warp"))
    monkeypatch.setattr(check, "FEATURES", [*check.FEATURES, broken])
    missing = [f for f in check.check() if not f.ok and f.why == "travel"]
    assert [f.what for f in missing] == ["warp drive"]
    assert missing[0].do.startswith("load the module warp (")


def test_check_names_a_limit_that_is_too_low(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(check, "SYSCTL", tmp_path)
    for limit in check.LIMITS:
        limit.file.parent.mkdir(parents=True)
        limit.file.write_text("128\n")
        low = check._limit(limit, raise_it=False)
        assert not low.ok and low.do == f"sysctl -w {limit.name}={limit.raised}"
        assert check._limit(limit, raise_it=True).ok


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status"], "there is no lab 'lab'; start it with `freehold lab up`"),
        (["power", "on", "srv-1"], "there is no lab 'lab'"),
        (["uncable"], "say which cable: either a port or --label"),
        (["up", "--hall", "nowhere.yaml"], "nowhere.yaml: cannot be read: No such file or directory"),
        (["up", "--management", "10.0.0.1/24"], "--management '10.0.0.1/24': 10.0.0.1/24 has host bits set"),
        (["up", "--name", "Much-Too-Long"], "name 'Much-Too-Long': a lab's name is a letter and up to 7"),
    ],
)
def test_mistakes_are_answered_in_one_sentence(tmp_path: Path, words: list[str], said: str) -> None:
    done = lab(*words, state=tmp_path)
    assert done.returncode == 1
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*/lab/*"))


def test_no_lab_is_found_by_the_name_of_another() -> None:
    one, other = Names("ab"), Names("abc")
    for thing in (other.panel, other.machine("srv-1"), other.management_end(1)):
        assert not one.is_namespace(thing) and not one.is_interface(thing) and not one.is_machine(thing)
    assert len(Names("eightchr").management_end(999)) <= 15
    with pytest.raises(BadInput):
        Names("a-b")


def test_the_image_is_another_when_its_packages_are(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.image_path()
    assert before == image.image_path()
    monkeypatch.setattr(image, "PACKAGES", [*image.PACKAGES, "sl"])
    assert image.image_path() != before


def test_a_port_never_begins_with_all_vlans() -> None:
    assert files._settings(PortConfig()) == "tag=4094 vlan_mode=access protected=true"
    assert files._settings(PortConfig(mode=PortMode.TRUNK)) == "vlan_mode=trunk trunks=1"
    assert files._settings(PortConfig(mode=PortMode.TRUNK, trunk_vlans=(7, 9))) == "vlan_mode=trunk trunks=7,9"
    assert files._settings(PortConfig(mode=PortMode.ACCESS, vlan=7)) == "tag=7 vlan_mode=access"


@pytest.mark.parametrize(("host", "trees"), [(["."], ["."]), (["systemd", "unified"], ["systemd", "unified"])])
def test_hosts_with_one_and_with_two_control_group_trees(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: list[str], trees: list[str]
) -> None:
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    for tree in host:
        (tmp_path / tree).mkdir(exist_ok=True)
        (tmp_path / tree / "cgroup.procs").write_text("")
    if host == ["."]:
        (tmp_path / "cgroup.controllers").write_text("")
    assert cgroups.trees() == [tmp_path / tree for tree in trees]
    joins = cgroups.create("freehold-x/srv-1")
    assert joins == [tmp_path / tree / "freehold-x/srv-1/cgroup.procs" for tree in trees]
    joins[-1].write_text("12\n7\n")
    assert cgroups.processes("freehold-x") == [7, 12] and cgroups.populated("freehold-x")
    for file in joins:
        file.unlink(missing_ok=True)
    cgroups.remove("freehold-x")
    assert cgroups.folders("freehold-x") == []
