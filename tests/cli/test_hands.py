"""`freehold confirm`, `freehold checklist` and the lab's technician, on a real run that waits for hands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client
from typer.testing import CliRunner

from freehold.cli import lab as lab_commands
from tests.cli.test_main import freehold
from tests.conftest import TemporalServer
from tests.workflows.rig import Rig, running_rig, view
from tests.workflows.test_install_hardware import Handle, cable_of, cables, checklist, installing, plug, storeroom_hall
from tests.workflows.test_technician import SimulatedInReach

RUN = "install-acme-1"


@dataclass
class Work:
    """A run in which technicians work, and the command line beside it."""

    rig: Rig
    parent: Handle
    run: Handle
    environment: dict[str, str]

    async def says(self, *words: str, code: int = 0) -> str:
        """What the command prints: its result, or with another exit code its one sentence."""
        done = await asyncio.to_thread(freehold, "--as", "tom", *words, code=code, **self.environment)
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout


@pytest.fixture
async def work(temporal: TemporalServer, tmp_path: Path) -> AsyncIterator[Work]:
    client: Client = await temporal.client()
    async with running_rig(client, tmp_path, storeroom_hall()) as rig:
        parent, run = await installing(rig)
        ports = {name: str(port) for name, port in temporal.settings.ports().items() if name.startswith("temporal")}
        environment = {f"FREEHOLD_{name.upper()}": port for name, port in ports.items()}
        yield Work(rig, parent, run, environment | {"FREEHOLD_HOME": str(tmp_path), "COLUMNS": "200"})


async def test_the_checklist_is_shown_and_confirmed_until_all_is_right(work: Work) -> None:
    shown = await work.says("checklist", "show", RUN)
    items = checklist(await view(work.run)).items
    assert all(item.id in shown for item in items) and "Hardware for acme-1 at north" in shown
    found = json.loads(await work.says("checklist", "show", RUN, "--json"))
    assert [item["id"] for item in found["items"]] == [item.id for item in items]

    assert "1 noted as done" in await work.says("confirm", RUN, items[0].id)
    assert checklist(await view(work.run)).items[0].by == "tom"
    problem = f"{items[1].id}=no free socket on feed B"
    assert "go to the operators" in await work.says("confirm", RUN, "--problem", problem)
    assert "no free socket on feed B" in await work.says("checklist", "show", RUN)
    waiting = (await view(work.run)).waiting
    assert waiting is not None and "retry" in waiting.messages
    assert RUN in await work.says("retry", RUN)

    work.rig.devices.power("srv-10")
    first, *others = cables(checklist(await view(work.run)))
    for item in others:
        plug(work.rig, cable_of(item))
    answer = json.loads(await work.says("confirm", RUN, "--all", "--json"))
    assert answer["run"] == RUN and answer["message"] == "confirm_items" and "noted as done" in answer["note"]
    async with asyncio.timeout(30):
        while "again" not in await work.says("checklist", "show", RUN):
            await asyncio.sleep(0.1)
    again = (await work.says("checklist", "show", RUN)).splitlines()
    assert "again" in again[2] and first.id in again[2], "what was issued again stands first"
    plug(work.rig, cable_of(first))
    assert "1 noted as done" in await work.says("confirm", RUN, first.id)
    assert (await work.parent.result()).outcome == "active"
    assert "no such procedure runs" in await work.says("confirm", RUN, "--all", code=1)


WRONG = [
    (("confirm", RUN), "Name items that are done, or give --all, --problem or --out-of-use"),
    (("confirm", RUN, "--problem", "cable:N-101"), "--problem 'cable:N-101': write what and why"),
    (("confirm", RUN, "--problem", "cable:N-101= "), "write what and why"),
    (("confirm", RUN, "--out-of-use", "leaf1/swp7"), "--out-of-use 'leaf1/swp7': write what and why"),
    (("confirm", RUN, "cable:N-999"), "cable:N-999"),
    (("confirm", "install-nothing", "--all"), "no such procedure runs"),
    (("checklist", "show", "install-nothing"), "There is no procedure 'install-nothing'"),
    (("checklist", "show", "provision-acme-1"), "has no checklist"),
    (("checklist", "print", "install-nothing"), "There is no procedure 'install-nothing'"),
]


async def test_what_cannot_be_is_one_sentence(work: Work) -> None:
    for words, sentence in WRONG:
        said = await work.says(*words, code=1)
        assert sentence in said and said.strip().count("\n") == 0, words


async def test_a_sheet_is_printed(work: Work, tmp_path: Path) -> None:
    file = tmp_path / "order.pdf"
    await work.says("checklist", "print", RUN, "--output", str(file))
    assert file.read_bytes().startswith(b"%PDF-")


async def test_the_technician_works_until_all_is_right(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself in this process, because its hall exists only as data."""
    for name, value in work.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(lab_commands.Lab, "open", lambda name: name)
    monkeypatch.setattr(lab_commands, "LabInReach", lambda _: SimulatedInReach(work.rig.devices))
    command = ["technician", RUN, "--walk", "0", "--patience", "20", "--mistakes", "swap"]
    done = await asyncio.to_thread(CliRunner().invoke, lab_commands.app, command)
    assert done.exit_code == 0, done.output
    assert f"Worked on {RUN}." in done.output
    assert (await work.parent.result()).outcome == "active"
    said = [m for m in (await view(work.run)).messages if m.name == "confirm_items"]
    assert len(said) > 1 and {m.operator for m in said} == {"technician"}, "what was swapped was confirmed again"


def test_a_technician_who_cannot_work_says_why(tmp_path: Path) -> None:
    nowhere = {"XDG_STATE_HOME": str(tmp_path)}
    assert "there is no lab 'lab'" in freehold("lab", "technician", code=1, **nowhere).stderr
