"""A data centre in one machine: the hall is built, switched, cabled and taken down here.

The lab plays the building and the hands in it. Freehold itself reaches the machines by SSH, never through this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

import yaml

from freehold.errors import BadInput, Conflict, NotFound
from freehold.lab import cables, network
from freehold.lab.commands import LabError
from freehold.lab.halls import must_be_buildable
from freehold.lab.handover import host_key, write_handover
from freehold.lab.image import base_image
from freehold.lab.leftovers import take_down
from freehold.lab.machines import Machine
from freehold.lab.models import DeviceStatus, LabStatus, PowerAction
from freehold.lab.names import Names, labs_folder
from freehold.locks import folder_lock
from freehold.models.base import content_hash
from freehold.models.hall import Cable, Device, Hall, load_hall
from freehold.models.network import PortRef

Progress = Callable[[str, str], None]
"""Told of each device and what it does: `booting`, `up after 2.1 s`, ..."""


def silent(device: str, what: str) -> None:
    """Progress that nobody watches."""


class Lab:
    """One lab: a hall, the name of all its parts, and the folder of its state."""

    def __init__(self, hall: Hall, name: str = "lab", state: Path | None = None) -> None:
        must_be_buildable(hall)
        self.hall = hall
        self.names = Names(name)
        self.state = state or labs_folder() / name

    @classmethod
    def open(cls, name: str = "lab", state: Path | None = None) -> Lab:
        """The lab of that name as it stands. Raises NotFound."""
        folder = state or labs_folder() / Names(name).lab
        if not (folder / "hall.yaml").exists():
            raise NotFound(f"there is no lab {name!r}; start it with `freehold lab up`")
        return cls(load_hall(folder / "hall.yaml"), name, folder)

    @property
    def handover(self) -> Path:
        """The folder an operator imports: hall.yaml, known_hosts, id_ed25519."""
        return self.state / "handover"

    # -- the whole lab

    def up(self, devices: Iterable[str] | None = None, progress: Progress = silent) -> list[str]:
        """Build the hall and switch on these devices (default: those that the hall says are on), until SSH answers.

        Repeating does only what is missing. Returns the devices that were switched on.
        """
        _need_root()
        wanted = (
            [self.device(d) for d in devices] if devices is not None else [d for d in self.hall.devices if d.powered]
        )
        image = base_image(lambda line: progress("image", line))
        self.state.mkdir(parents=True, exist_ok=True)
        with self._locked():
            self._claim()
            network.build(self.names, self.hall)
            write_handover(self.state, self.hall)
            if not self._cables_file.exists():
                self._write_cables(self.hall.cables)
            off = [d for d in wanted if not self._machine(d).running()]
            self._boot(off, image, progress)
            for device in wanted:  # also those that another `up` started before it was killed
                if device not in off:
                    self._machine(device).wait_ready()
        return [d.name for d in off]

    def down(self) -> list[str]:
        """Remove everything that belongs to the lab. Returns what is left although it should not be: nothing."""
        _need_root()
        return take_down(self.names, self.state)

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # -- hands in the hall

    def power(self, device: str, action: PowerAction, progress: Progress = silent) -> None:
        """Switch one device on or off, cut its power, or reset it; on and reset wait until SSH answers."""
        self.power_many([device], action, progress)

    def power_many(self, devices: Iterable[str], action: PowerAction, progress: Progress = silent) -> None:
        """The same for several devices, at the same time."""
        _need_root()
        chosen = [self.device(d) for d in devices]
        with self._locked():
            if action is not PowerAction.ON:
                for device in chosen:
                    machine = self._machine(device)
                    progress(device.name, "stopping")
                    machine.shut_down() if action is PowerAction.OFF else machine.cut()
                    progress(device.name, "off")
                self._connect()
            if action in (PowerAction.ON, PowerAction.RESET):
                off = [d for d in chosen if not self._machine(d).running()]
                self._boot(off, base_image(), progress)

    def plug(self, a: PortRef | str, b: PortRef | str, label: str | None = None) -> Cable:
        """Plug a cable between two free ports. Raises Conflict in words when one is in use."""
        _need_root()
        ends = (self._port(a), self._port(b))
        with self._locked():
            plugged = self.cables()
            for end in ends:
                for cable in plugged:
                    if end in (cable.a, cable.b):
                        raise Conflict(f"{end} is in use: cable {cable.label} ({cable.a} - {cable.b}) is plugged there")
            if ends[0] == ends[1]:
                raise BadInput(f"a cable has two ends, and both were {ends[0]}")
            cable = self._new_cable(ends, label, plugged)
            self._write_cables([*plugged, cable])
            self._connect()
        return cable

    def unplug(self, end: PortRef | str | None = None, label: str | None = None) -> Cable:
        """Pull the cable at this port, or the one with this label, at both of its ends."""
        _need_root()
        port = self._port(end) if end is not None else None
        with self._locked():
            plugged = self.cables()
            pulled = next((c for c in plugged if c.label == label or port in (c.a, c.b)), None)
            if pulled is None:
                raise NotFound(f"no cable is plugged at {port}" if port else f"no cable {label!r} is plugged")
            self._write_cables([c for c in plugged if c != pulled])
            self._connect()
        return pulled

    # -- what stands

    def cables(self) -> list[Cable]:
        """The cables that are plugged now."""
        if not self._cables_file.exists():
            return []
        return [Cable.model_validate(c) for c in yaml.safe_load(self._cables_file.read_text())]

    def status(self) -> LabStatus:
        """What stands, runs and is plugged."""
        return LabStatus(
            name=self.names.lab,
            management=self.hall.management,
            handover=str(self.handover),
            devices=tuple(self._status(d) for d in self.hall.devices),
            cables=tuple(self.cables()),
        )

    def device(self, name: str) -> Device:
        """The device of that name. Raises NotFound with the names there are."""
        try:
            return self.hall.device(name)
        except KeyError:
            names = ", ".join(d.name for d in self.hall.devices)
            raise NotFound(f"there is no device {name!r} in this hall; there are {names}") from None

    def machine(self, device: str) -> Machine:
        """The machine behind a device, for debugging."""
        return self._machine(self.device(device))

    # -- below

    @property
    def _cables_file(self) -> Path:
        return self.state / "cables.yaml"

    def _machine(self, device: Device) -> Machine:
        return Machine(self.names, self.hall, device, self.state)

    def _boot(self, devices: list[Device], image: Path, progress: Progress) -> None:
        """Boot a few at a time: more than the computer has cores only makes each of them slower."""
        access_key = (self.handover / "id_ed25519.pub").read_text()

        def boot(device: Device) -> None:
            machine = self._machine(device)
            progress(device.name, "booting")
            machine.prepare(host_key(self.state, device.name), access_key)
            machine.start(image)
            seconds = machine.wait_ready()
            machine.boot_seconds_file.write_text(f"{seconds}\n")
            progress(device.name, f"up after {seconds:.1f} s")

        try:
            with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1) as pool:
                for done in as_completed([pool.submit(boot, d) for d in devices]):
                    done.result()
        finally:  # those that did boot are cabled, also when one did not
            self._connect()

    def _connect(self) -> None:
        """Bring the patch panel in line with the plugged cables. A cable to a machine that is off has no carrier."""
        on = {d.name for d in self.hall.devices if self._machine(d).running()}
        wanted: dict[str, str] = {}
        for cable in self.cables():
            if {cable.a.device, cable.b.device} <= on:
                a, b = (network.panel_end(self.hall, end.device, end.port) for end in (cable.a, cable.b))
                wanted |= {a: b, b: a}
        cables.connect(self.names.panel, wanted)

    def _port(self, port: PortRef | str) -> PortRef:
        try:
            ref = PortRef.parse(port) if isinstance(port, str) else port
        except ValueError as error:
            raise BadInput(str(error)) from error
        if ref.port not in self.device(ref.device).port_names():
            raise NotFound(
                f"{ref.device} has no port {ref.port!r}; it has {', '.join(self.device(ref.device).port_names())}"
            )
        return ref

    def _new_cable(self, ends: tuple[PortRef, PortRef], label: str | None, plugged: list[Cable]) -> Cable:
        """The hall's own cable when it is that one; else a new one with the label, or with the next free number."""
        taken = {c.label for c in plugged}
        for cable in self.hall.cables:
            if {cable.a, cable.b} == set(ends) and label in (None, cable.label) and cable.label not in taken:
                return cable
        if label in taken:
            raise Conflict(f"cable {label} is plugged already; pull it first or give another label")
        numbered = (f"X-{n}" for n in range(1, 10_000))
        return Cable(label=label or next(x for x in numbered if x not in taken), a=ends[0], b=ends[1])

    def _write_cables(self, plugged: Iterable[Cable]) -> None:
        _write(self._cables_file, yaml.safe_dump([c.model_dump(mode="json") for c in plugged], sort_keys=False))

    def _claim(self) -> None:
        """Keep the hall and who started the lab; another hall under the same name is refused."""
        file = self.state / "hall.yaml"
        if file.exists() and content_hash(load_hall(file)) != content_hash(self.hall):
            raise Conflict(
                f"lab {self.names.lab!r} stands with another hall or management prefix; "
                f"run `freehold lab down --name {self.names.lab}` first, or give another --name"
            )
        _write(file, yaml.safe_dump(self.hall.model_dump(mode="json"), sort_keys=False))

    def _status(self, device: Device) -> DeviceStatus:
        machine = self._machine(device)
        seconds = None
        with suppress(OSError, ValueError):
            seconds = float(machine.boot_seconds_file.read_text())
        running = machine.running()
        return DeviceStatus(
            name=device.name,
            kind=device.kind,
            site=device.site,
            position=device.position,
            running=running,
            boot_seconds=seconds if running else None,
            management=device.management.address,
            cables=tuple(c.label for c in self.cables() if device.name in (c.a.device, c.b.device)),
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One hand at a time in this lab, across processes."""
        with ExitStack() as held:
            try:
                held.enter_context(folder_lock(self.state))
            except FileNotFoundError:
                raise NotFound(f"there is no lab {self.names.lab!r}; start it with `freehold lab up`") from None
            yield


def _write(file: Path, text: str) -> None:
    """Whole or not at all: a killed writer never leaves half a file."""
    temporary = file.with_name(file.name + ".new")
    temporary.write_text(text)
    temporary.rename(file)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise LabError("only root can build and change the lab; run the same command with sudo")
