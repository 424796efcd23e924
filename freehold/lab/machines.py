"""One machine: systemd-nspawn over an overlay of the base image, in namespaces and a control group of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from freehold.lab import cgroups, disks, network
from freehold.lab.commands import LabError, run
from freehold.lab.files import write_files
from freehold.lab.keys import KeyPair
from freehold.lab.names import Names
from freehold.models.hall import Device, Hall

SCRIPT = Path(__file__).with_name("machine.sh")
POWER_OFF = signal.SIGRTMIN + 4  # what systemd as first process takes for the power button
NSPAWN_FOLDERS = [Path("/run/systemd/nspawn/propagate"), Path("/run/systemd/nspawn/unix-export")]


@dataclass(frozen=True)
class Machine:
    """A device of the hall as the computer below sees it."""

    names: Names
    hall: Hall
    device: Device
    state: Path
    """The lab's folder; the machine's files are below `machines/`, its disks below `disks/`."""

    @property
    def folder(self) -> Path:
        return self.state / "machines" / self.device.name

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def group(self) -> str:
        return f"{self.names.cgroup}/{self.device.name}"

    @property
    def boot_seconds_file(self) -> Path:
        return self.folder / "boot_seconds"

    def running(self) -> bool:
        return cgroups.populated(self.group)

    def prepare(self, host_key: KeyPair, access_key: str) -> None:
        """Write the machine's own files once: before its first boot it has none."""
        if (self.folder / "upper").is_dir():
            return
        half_done = self.folder / "upper.new"
        shutil.rmtree(half_done, ignore_errors=True)
        for name in ("work", "root"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        half_done.mkdir(parents=True)
        write_files(half_done, self.hall, self.device, host_key, access_key)
        half_done.rename(self.folder / "upper")

    def start(self, image: Path) -> None:
        """Boot. The caller plugs its cables; `wait_ready` says when it answers."""
        if self.running():
            raise LabError(f"{self.device.name} runs already")
        self.clear()
        network.attach(self.names, self.hall, self.device)
        self.boot_seconds_file.unlink(missing_ok=True)
        machine = self.names.machine(self.device.name)
        binds = [
            f"--bind={disks.attach(self._disk_file(disk.name), disk.size_gib)}:/dev/{disk.name}"
            for disk in self.device.disks
        ]
        joins = " ".join(str(file) for file in cgroups.create(self.group))
        arguments = [joins, str(image), str(self.folder), machine, self.names.panel, self.device.name, *binds]
        with self.console.open("ab") as console:
            subprocess.Popen(
                ["bash", str(SCRIPT), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                cwd="/",
            )

    def wait_ready(self, timeout_s: float = 60) -> float:
        """Wait until the machine's SSH server answers. Returns the seconds it took."""
        begin = time.monotonic()
        address = (str(self.device.management.address), self.device.management.port)
        while time.monotonic() - begin < timeout_s:
            with suppress(OSError), socket.create_connection(address, timeout=1) as connection:
                connection.settimeout(2)
                if connection.recv(4) == b"SSH-":
                    return round(time.monotonic() - begin, 2)
            if time.monotonic() - begin > 2 and not self.running():
                break
            time.sleep(0.1)
        lines = self.console.read_text(errors="replace").splitlines()[-3:]
        raise LabError(
            f"{self.device.name} does not answer on {address[0]} after {time.monotonic() - begin:.0f} s; "
            f"its console ends with: {' / '.join(lines)[:400]}"
        )

    def entry(self) -> list[str]:
        """The beginning of a command that runs inside the machine, for debugging."""
        leader = cgroups.leader(self.group)
        if leader is None:
            raise LabError(f"{self.device.name} is off; `freehold lab power on {self.device.name}` starts it")
        inside = ["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"TERM={os.environ.get('TERM', '')}"]
        return ["nsenter", f"--target={leader}", "--all", "--root", "--wd=/root", "--", *inside]

    def shut_down(self, timeout_s: float = 15) -> None:
        """Press the power button and wait; a machine that does not stop in time is cut."""
        leader = cgroups.leader(self.group)
        if leader is not None:
            with suppress(ProcessLookupError):
                os.kill(leader, POWER_OFF)
            cgroups.wait_empty(self.group, timeout_s)
        self.cut()

    def cut(self) -> None:
        """Take the power away at once. What was not yet on its disks is lost, as in a real cut."""
        cgroups.kill(self.group)
        self.clear()

    def clear(self) -> None:
        """Remove what a stopped machine leaves: namespace, group, loop devices, nspawn's folders."""
        network.detach(self.names, self.hall, self.device)
        cgroups.remove(self.group)
        for disk in self.device.disks:
            file = str(self._disk_file(disk.name))
            for loop in (name for name, backing in disks.attached().items() if backing == file):
                run("losetup", "--detach", loop, check=False)
        for folder in NSPAWN_FOLDERS:
            left = folder / self.names.machine(self.device.name)
            shutil.rmtree(left, ignore_errors=True)

    def _disk_file(self, disk: str) -> Path:
        return self.state / "disks" / f"{self.device.name}-{disk}.img"
