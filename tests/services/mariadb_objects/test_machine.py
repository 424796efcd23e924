"""The machine that the tests run in leaves nothing behind, however its maker ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.mariadb_objects.conftest import eventually
from tests.services.mariadb_objects.machine import image

pytestmark = pytest.mark.lab

MAKER = """
import sys, time
from pathlib import Path
from tests.services.mariadb_objects.machine import Machine
machine = Machine(Path(sys.argv[1]), Path(sys.argv[2]))
machine.start_mariadb()
print("up", flush=True)
time.sleep(100)
"""


def inside(work: Path) -> list[str]:
    """Processes that have a file system of the machine mounted."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(work) in (process / "mountinfo").read_text():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_it_dies_with_its_maker(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: the machine is made of namespaces")
    maker = subprocess.Popen([sys.executable, "-c", MAKER, image(), tmp_path], stdout=subprocess.PIPE)
    assert maker.stdout
    assert maker.stdout.readline() == b"up\n"
    assert any("mariadbd" in line for line in inside(tmp_path))
    maker.kill()
    maker.wait()
    eventually("all its processes are gone", lambda: not inside(tmp_path))
