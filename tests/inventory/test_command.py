"""`freehold inventory ...` as an operator types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from freehold.inventory import Inventory
from freehold.models.hall import Hall
from freehold.planning.provision import plan_instance
from tests.halls import COMPACT, request
from tests.inventory.test_hall import bundle


class Command:
    """The command in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "freehold.cli.main", "inventory", *words],
            env={**os.environ, "FREEHOLD_HOME": str(self.home), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stderr
        return done.stderr if fails else done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def freehold(tmp_path: Path) -> Command:
    return Command(tmp_path / "home")


def test_an_operator_brings_a_hall_in_and_looks_around(freehold: Command, hall: Hall, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "handover", hall)
    assert freehold.json("import", str(folder))["added"] > 0
    assert " 0 added, 0 changed, 0 removed" in freehold("import", str(folder))
    inventory = Inventory(f"sqlite:///{freehold.home}/freehold.db")
    plan = plan_instance(request(), COMPACT, inventory.snapshot())
    inventory.reserve(plan)
    inventory.close()
    assert {d["name"]: d["held_by"] for d in freehold.json("list", "--kind", "server")}["r1-s1"] == "acme-1"
    assert "r1-s1" not in freehold("list", "--free")
    shown = freehold("show", "r1-s1")
    assert "Held by acme-1." in shown
    assert "leaf1/swp2" in shown
    assert len(freehold.json("cables")) == len(hall.cables)
    assert {(h["kind"], h["key"]) for h in freehold.json("holds", "acme-1")} == {(h.kind, h.key) for h in plan.holds}
    assert "acme-2 holds nothing." in freehold("holds", "acme-2")


def test_errors_are_one_sentence(freehold: Command, hall: Hall, tmp_path: Path) -> None:
    assert "import PATH" in freehold("list", fails=True)
    freehold("import", str(bundle(tmp_path / "handover", hall)))
    said = freehold("show", "leaf9", fails=True)
    assert said.strip() == "device 'leaf9' is not in the inventory; `freehold inventory list` shows all."
    assert "site 'west' is not known; it is one of: north." in freehold("list", "--site", "west", fails=True)
