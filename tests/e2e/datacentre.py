"""A lab and a stack, used as an operator does, and looked at from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml
from temporalio.service import RPCError

from freehold.cli.procedures import progress
from freehold.devices.real import RealDevices
from freehold.errors import FreeholdError
from freehold.inventory import Inventory
from freehold.lab import Lab, fleet
from freehold.lab.halls import part
from freehold.lab.names import labs_folder
from freehold.lab.testing import HALL
from freehold.models.hall import load_hall
from freehold.models.network import SwitchState
from freehold.models.procedure import ProcedureView, StepState
from freehold.models.server import ServerSnapshot
from freehold.secrets import FileSecrets
from freehold.settings import Settings
from freehold.stack import control
from freehold.stack.client import connect
from tests.conftest import own_settings

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "freehold.cli.main"]

SERVERS, SWITCHES = ("srv-1", "srv-2"), ("leaf1", "leaf2")
HOSTS = {"acme": "acme-host", "beta": "beta-host"}
REQUESTER, APPROVER = "olivia", "amir"

SSH_SESSION = "^sshd-session: [a-z]+@"

IN_TIME_S = 120
"""Longer than any step takes on a busy machine."""


@dataclass
class DataCentre:
    """Does everything through the `freehold` command; what it reads itself is only for comparing."""

    settings: Settings
    name: str
    """Of its lab."""
    management: str
    """The network of the lab's management addresses."""

    # -- as an operator --------------------------------------------------------------------------------

    def env(self) -> dict[str, str]:
        return os.environ | self.settings.environment() | {"PYTHONPATH": str(ROOT)}

    def start(self, *arguments: str, who: str = REQUESTER) -> subprocess.Popen[str]:
        """A command that goes on beside the test."""
        return subprocess.Popen(
            [*COMMAND, "--as", who, *arguments],
            env=self.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, who: str = REQUESTER, code: int = 0) -> subprocess.CompletedProcess[str]:
        return ended(self.start(*arguments, who=who), code)

    def json(self, *arguments: str, who: str = REQUESTER, code: int = 0) -> Any:
        """Its answer for programs. Nothing else may be on standard output."""
        return json.loads(self.run(*arguments, "--json", who=who, code=code).stdout)

    def refusal(self, *arguments: str, who: str = REQUESTER) -> str:
        """The sentence with which a command fails; before it there may be the steps of a procedure that it followed."""
        done = self.run(*arguments, who=who, code=1)
        assert done.stdout == "", done.stdout
        assert "Traceback" not in done.stderr
        *steps, sentence = done.stderr.strip().splitlines()
        assert not steps or steps[0].split()[0] in ("ProvisionInstance", "DecommissionInstance"), steps
        return sentence

    def provision(self, instance: str, *options: str) -> Any:
        customer = instance.split("-", maxsplit=1)[0]
        return self.json("instance", "provision", instance, "--customer", customer, "--site", "north", *options)

    def approve(self, run: str) -> None:
        self.json("approve", run, who=APPROVER)

    def parked(self, run: str, step: str) -> str:
        """Wait until the run is parked in this step; the reason it gives."""
        view = self.until(run, lambda view: view.waiting is not None and view.waiting.kind == "retry")
        assert view.waiting is not None
        assert state_of(view, step) is StepState.PARKED, view.waiting.reason
        return view.waiting.reason

    def decommission(self, instance: str) -> Any:
        """Ask, let somebody else approve, and stay until it has ended."""
        run = f"decommission-{instance}"
        asked = self.json("instance", "decommission", instance)
        assert asked["waiting"]["kind"] == "approval", asked
        self.approve(run)
        return self.json("instance", "watch", instance, "--decommission")

    # -- looking ---------------------------------------------------------------------------------------

    def until(
        self, run: str, look: Callable[[ProcedureView], bool], seconds: float = IN_TIME_S, every_s: float = 0.2
    ) -> ProcedureView:
        """The first view of a run that is as wanted. Outlives kills of the worker and of Temporal."""

        async def watch() -> ProcedureView:
            end, seen = time.monotonic() + seconds, "nothing"
            while time.monotonic() < end:
                try:
                    handle = (await connect(self.settings, "test")).get_workflow_handle(run)
                    while time.monotonic() < end:
                        view = await asyncio.wait_for(progress(handle), 5)
                        if look(view):
                            return view
                        seen = f"{view.waiting} {[(s.name, s.state.value, s.note) for s in view.steps]}"
                        await asyncio.sleep(every_s)
                except (FreeholdError, RPCError, TimeoutError) as error:
                    seen = repr(error)
                    await asyncio.sleep(every_s)
            raise AssertionError(f"{run} is not so after {seconds} s: {seen}")

        return asyncio.run(watch())

    def until_running(self, run: str, step: str) -> None:
        self.until(run, lambda view: state_of(view, step) is StepState.RUNNING)

    def until_cabled(self, instance: str) -> None:
        """Until both ends of all its cables see one another."""

        def right() -> bool:
            check = self.start("cables", "check", "--instance", instance)
            check.communicate(timeout=IN_TIME_S)
            return check.returncode == 0

        eventually(right)

    @cached_property
    def lab(self) -> Lab:
        return Lab.open(self.name)

    @cached_property
    def inventory(self) -> Inventory:
        return Inventory(self.settings.database_url)

    @property
    def secrets(self) -> FileSecrets:
        return FileSecrets(self.settings.secrets_file)

    def shell(self, device: str, command: str, stdin: str = "", code: int | None = 0) -> str:
        """Inside a machine as root, past SSH: the hands of somebody in the hall, not Freehold's."""
        entry = self.lab.machine(device).entry()
        done = subprocess.run(
            [*entry, "sh", "-c", command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert code is None or done.returncode == code, done
        return done.stdout.strip()

    def server(self, name: str) -> ServerSnapshot:
        with RealDevices(self.secrets).server(self.inventory.access(name)) as session:
            return session.snapshot()

    def switch(self, name: str) -> SwitchState:
        with RealDevices(self.secrets).switch(self.inventory.access(name)) as session:
            return session.read()

    def switches(self) -> dict[str, SwitchState]:
        return {name: self.switch(name) for name in SWITCHES}

    # -- faults ----------------------------------------------------------------------------------------

    def kill(self, program: str) -> None:
        """SIGKILL to one program of the stack; its supervisor starts it again."""
        found = {each.name: each.pid for each in control.status(self.settings).programs}
        pid = found[program]
        assert pid is not None, found
        os.kill(pid, signal.SIGKILL)

    def cut_ssh(self, device: str) -> None:
        """End every SSH session with a device from the device's side."""
        self.wait_for_session(device)
        self.shell(device, f"pkill -KILL -f '{SSH_SESSION}'")

    def wait_for_session(self, device: str) -> None:
        eventually(lambda: self.shell(device, f"pgrep -f '{SSH_SESSION}'", code=None))

    @contextmanager
    def changing(self, switch: str) -> Iterator[None]:
        """Inside, changes of the switch reach its database but are never answered: it is in their middle."""
        self.shell(switch, "pkill -STOP -x ovs-vswitchd")
        try:
            yield
        finally:
            self.shell(switch, "pkill -CONT -x ovs-vswitchd")

    @contextmanager
    def holding_disk(self, server: str, disk: str) -> Iterator[None]:
        """Inside, a program on the server has the disk for itself: nobody else can make a filesystem on it."""
        hold = f"import os; os.open('/dev/{disk}', os.O_RDWR | os.O_EXCL); print('held', flush=True); input()"
        holder = subprocess.Popen(
            [*self.lab.machine(server).entry(), "python3", "-c", hold],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            yield
        finally:
            holder.stdin.close()
            holder.wait(10)
            holder.stdout.close()

    def wait_for_change(self, switch: str) -> None:
        eventually(lambda: self.shell(switch, "pgrep -f '^ovs-vsctl.* set port'", code=None))


def state_of(view: ProcedureView, step: str) -> StepState:
    return next((s.state for s in view.steps if s.name == step), StepState.PENDING)


def ended(command: subprocess.Popen[str], code: int = 0) -> subprocess.CompletedProcess[str]:
    """Wait for a command that was started before."""
    try:
        out, err = command.communicate(timeout=2 * IN_TIME_S)
    except BaseException:
        command.kill()
        command.wait(10)
        raise
    done = subprocess.CompletedProcess(command.args, command.returncode, out, err)
    assert done.returncode == code, done
    return done


def eventually(look: Callable[[], Any], seconds: float = 30, every_s: float = 0.05) -> Any:
    """The first true answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(every_s)
    raise AssertionError(f"still not so after {seconds} s")


@contextmanager
def standing(folder: Path, name: str, management: str) -> Iterator[DataCentre]:
    """Lab and stack, up; at the end both are taken down, also when this process is killed."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot machines")
    fleet.sweep()
    # The watch on cables would open sessions with switches at moments that the tests take for a procedure's.
    quiet = {"instance_scrape_interval_s": 5, "cable_watch_s": 0, "scaling_every_s": 15}
    centre = DataCentre(own_settings(folder / "home").model_copy(update=quiet), name, management)
    fleet.own(labs_folder() / name)
    with _guarded(centre):
        write_hall(folder / "hall.yaml")
        centre.run("lab", "up", "--hall", str(folder / "hall.yaml"), "--name", name, "--management", management)
        centre.json("inventory", "import", str(centre.lab.handover))
        centre.json("up")
        yield centre


@contextmanager
def _guarded(centre: DataCentre) -> Iterator[None]:
    """Takes stack and lab down at the end; when pytest is killed, a process that waits for that does."""
    freehold = " ".join(COMMAND)
    guard = subprocess.Popen(
        ["sh", "-c", f"read line; {freehold} down; {freehold} lab down --name {centre.name}", "guard"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=centre.env(),
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert guard.stdin
        guard.stdin.close()
        guard.wait(100)


def write_hall(path: Path) -> None:
    """The lab's hall with two servers only, so that the next request finds none."""
    devices = [*SWITCHES, *SERVERS, *HOSTS.values()]
    hall = part(load_hall(HALL), devices)
    path.write_text(yaml.safe_dump(hall.model_dump(mode="json"), sort_keys=False))
