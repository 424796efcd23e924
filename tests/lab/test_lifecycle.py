"""Up and down: repeatable, killed half-way, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from freehold.errors import Conflict
from freehold.lab import Lab, cgroups, disks, fleet, network
from freehold.lab.halls import part
from freehold.lab.testing import HALL, small_lab, ssh
from freehold.models.hall import load_hall

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]

NAME, PREFIX = "tlife", "198.18.9.128/25"
DEVICES = ["leaf1", "srv-1", "acme-host"]


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Path]:
    """A hall of three machines as a file; whatever a test leaves of its lab is removed."""
    file = tmp_path / "hall.yaml"
    file.write_text(yaml.safe_dump(part(load_hall(HALL), DEVICES).model_dump(mode="json")))
    fleet.take_down_named(NAME)
    yield file
    fleet.take_down_named(NAME)


def start(hall: Path) -> subprocess.Popen[str]:
    up = ["up", "--hall", str(hall), "--name", NAME, "--management", PREFIX]
    return subprocess.Popen([sys.executable, "-m", "freehold.cli.lab", *up], stderr=subprocess.PIPE, text=True)


def footprint() -> set[str]:
    """What a lab could leave on this computer. Other labs may come and go meanwhile: theirs is not compared."""
    links = {x for x in (*network.namespaces(), *network.interfaces()) if not x.startswith("fh-") or NAME in x}
    mounts = (line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines())
    nspawn = (str(p) for p in Path("/run/systemd/nspawn").rglob("*"))
    groups = (str(g) for tree in cgroups.trees() for g in tree.glob("freehold-*"))
    loops = (f"{device} {file}" for device, file in disks.attached().items())
    files = (str(p) for p in fleet.labs_folder().glob("*"))
    return links | {x for x in (*mounts, *nspawn, *groups, *loops, *files) if NAME in x}


def living(namespaces: set[int]) -> list[str]:
    """Processes that live in these network namespaces, or that name the lab's files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = (process / "ns/net").stat().st_ino in namespaces
            words = (process / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if inside or f"/freehold/lab/{NAME}/" in words:
            found.append(words.replace("\0", " "))
    return found


def namespace_ids(lab: Lab) -> set[int]:
    names = [n for n in network.namespaces() if lab.names.is_namespace(n)]
    return {(network.NAMESPACES / n).stat().st_ino for n in names}


def test_down_leaves_nothing_behind(hall: Path) -> None:
    before = footprint()
    process = start(hall)
    assert process.wait(40) == 0, process.communicate()[1]
    lab = Lab.open(NAME)
    ids = namespace_ids(lab)
    ssh(lab, "srv-1", "mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && (setsid sleep 1000 >/dev/null 2>&1 &)")
    assert len(footprint() - before) > 10 and len(living(ids)) > 10
    done = subprocess.run([sys.executable, "-m", "freehold.cli.lab", "down", "--name", NAME], check=False, timeout=30)
    assert done.returncode == 0
    assert footprint() <= before
    assert living(ids) == []


@pytest.mark.parametrize("after_s", [0.05, 1.0])
def test_killed_half_way_then_up_again_then_down(hall: Path, after_s: float) -> None:
    before = footprint()
    process = start(hall)
    assert process.stderr is not None
    assert "booting" in process.stderr.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    again = start(hall)
    assert again.wait(40) == 0, again.communicate()[1]
    lab = Lab.open(NAME)
    assert [ssh(lab, d, "hostname") for d in DEVICES] == [(0, d) for d in DEVICES]
    assert lab.up() == [], "nothing was left to do"
    ids = namespace_ids(lab)
    assert lab.down() == []
    assert footprint() <= before
    assert living(ids) == []


def test_down_after_a_kill_needs_no_up(hall: Path) -> None:
    before = footprint()
    process = start(hall)
    assert process.stderr is not None
    assert "booting" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    assert fleet.take_down_named(NAME) == []
    assert footprint() <= before


def lab_of_a_dead_owner() -> None:
    script = (
        "import os\nfrom freehold.lab.testing import small_lab\n"
        f"with small_lab({NAME!r}, {PREFIX!r}, ['leaf1']) as lab: os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=40).returncode == -signal.SIGKILL


def test_the_lab_of_a_dead_owner_is_swept_away(hall: Path) -> None:
    before = footprint()
    lab_of_a_dead_owner()
    assert not footprint() <= before
    assert NAME in fleet.sweep()
    assert footprint() <= before


def test_many_who_sweep_at_once_remove_it_once(hall: Path) -> None:
    before = footprint()
    lab_of_a_dead_owner()
    script = "from freehold.lab import fleet; print(*fleet.sweep())"
    sweepers = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [sweeper.communicate(timeout=40)[0].split() for sweeper in sweepers]
    assert [sweeper.returncode for sweeper in sweepers] == [0, 0, 0]
    assert sum(found.count(NAME) for found in said) == 1
    assert footprint() <= before


def test_two_who_take_the_same_lab_down_do_not_trip_each_other(hall: Path) -> None:
    before = footprint()
    lab_of_a_dead_owner()
    script = f"from freehold.lab import fleet; print(*fleet.take_down_named({NAME!r}))"
    hands = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(hand.communicate(timeout=40)[0], hand.returncode) for hand in hands] == [("\n", 0)] * 2
    assert footprint() <= before


def test_another_hall_under_the_same_name_is_refused(lab: Lab) -> None:
    other = Lab(load_hall(HALL), lab.names.lab)
    with pytest.raises(Conflict, match="lab 'tlab' stands with another hall"):
        other.up([])


def test_a_living_owner_keeps_its_lab(hall: Path) -> None:
    with small_lab(NAME, PREFIX, []) as mine:
        script = f"from freehold.lab import fleet, Lab; fleet.own(Lab.open({NAME!r}).state)"
        refused = subprocess.run(
            [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=20
        )
        assert f"belongs to process {os.getpid()}" in refused.stderr
        assert mine.state.exists()
