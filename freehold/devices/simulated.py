"""Devices that exist only as data: the same protocols without SSH, for rehearsals, tests and benchmarks.

What they are told is kept in one SQLite file (or in memory), so that it outlives a killed worker as a real device
would. Hands may switch them and plug cables: what is not mounted is off, and what is off does not answer.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from freehold.devices.base import Beat, silent
from freehold.devices.switches.changes import only, target
from freehold.errors import DeviceUnreachable
from freehold.models.access import Access
from freehold.models.base import content_hash
from freehold.models.hall import Cable, DeviceKind, Hall
from freehold.models.network import MacEntry, Neighbour, PortConfig, PortRef, SwitchChange, SwitchState
from freehold.models.plan import DeviceDiff
from freehold.models.server import EraseRecord, File, ServerFacts, ServerIntent, ServerResult, ServerSnapshot

EPOCH = "1970-01-01T00:00:00+00:00"


class SimulatedDevices:
    """All devices of a hall. Counts the sessions that were opened."""

    def __init__(self, hall: Hall, path: Path | None = None) -> None:
        self.hall = hall
        self._lock = threading.RLock()
        self._file = sqlite3.connect(path or ":memory:", check_same_thread=False, timeout=30, isolation_level=None)
        self._file.execute("CREATE TABLE IF NOT EXISTS device (name TEXT PRIMARY KEY, state TEXT NOT NULL)")
        self._file.execute("CREATE TABLE IF NOT EXISTS hands (what TEXT PRIMARY KEY, document TEXT NOT NULL)")
        self._file.execute("CREATE TABLE IF NOT EXISTS count (what TEXT PRIMARY KEY, n INTEGER NOT NULL)")

    @contextmanager
    def switch(self, access: Access) -> Iterator[SimulatedSwitch]:
        self.count("sessions")
        yield SimulatedSwitch(self, access.device)

    @contextmanager
    def server(self, access: Access) -> Iterator[SimulatedServer]:
        if not self.on(access.device):
            raise DeviceUnreachable(f"{access.device}: no answer at {access.address}")
        yield SimulatedServer(self, access.device)

    # -- what hands do

    def cables(self) -> list[Cable]:
        """What is plugged now."""
        kept = self._by_hand("cables")
        return list(self.hall.cables) if kept is None else [Cable.model_validate(c) for c in kept]

    def plug(self, a: str, b: str, label: str) -> None:
        cable = Cable(label=label, a=PortRef.parse(a), b=PortRef.parse(b))
        used = {end for c in self.cables() for end in (c.a, c.b)}
        assert not used & {cable.a, cable.b}, f"{a} or {b} is in use"
        self._do("cables", [c.model_dump(mode="json") for c in (*self.cables(), cable)])

    def unplug(self, end: str) -> None:
        self._do("cables", [c.model_dump(mode="json") for c in self.cables() if end not in (str(c.a), str(c.b))])

    def on(self, device: str) -> bool:
        found = self.hall.device(device)
        switched: dict[str, bool] = self._by_hand("power") or {}
        mounted = found.position is not None or found.kind is DeviceKind.HOST  # hosts are their customers' to mount
        return switched.get(device, found.powered and mounted)

    def power(self, device: str, on: bool = True) -> None:
        self._do("power", {**(self._by_hand("power") or {}), device: on})

    def _by_hand(self, what: str) -> Any:
        with self._lock:
            row = self._file.execute("SELECT document FROM hands WHERE what = ?", (what,)).fetchone()
        return json.loads(row[0]) if row else None

    def _do(self, what: str, value: Any) -> None:
        with self._lock:
            self._file.execute("INSERT OR REPLACE INTO hands VALUES (?, ?)", (what, json.dumps(value)))

    # -- what programs do

    def state(self, name: str) -> dict[str, Any]:
        with self._lock:
            row = self._file.execute("SELECT state FROM device WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else {}

    def keep(self, name: str, state: Mapping[str, Any]) -> None:
        with self._lock:
            self._file.execute("INSERT OR REPLACE INTO device VALUES (?, ?)", (name, json.dumps(state, sort_keys=True)))

    def count(self, what: str) -> None:
        with self._lock:
            self._file.execute("INSERT INTO count VALUES (?, 1) ON CONFLICT (what) DO UPDATE SET n = n + 1", (what,))

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._file.execute("SELECT what, n FROM count").fetchall())

    def everything(self) -> dict[str, Any]:
        """The state of all devices that differ from new ones, to compare before and after."""
        with self._lock:
            rows = self._file.execute("SELECT name, state FROM device ORDER BY name").fetchall()
        return {name: kept for name, state in rows if (kept := json.loads(state))}


class SimulatedSwitch:
    """A switch whose configuration is our own model; its commands are the differing ports as JSON."""

    def __init__(self, devices: SimulatedDevices, name: str) -> None:
        self._devices, self._name = devices, name
        self._initial = {p.name: p.initial for p in devices.hall.device(name).ports}

    def read(self, ports: Collection[str] | None = None) -> SwitchState:
        kept = {port: PortConfig.model_validate(c) for port, c in self._devices.state(self._name).items()}
        return only(SwitchState(switch=self._name, ports={**self._initial, **kept}), ports)

    def render(self, before: SwitchState, changes: Sequence[SwitchChange]) -> tuple[str, ...]:
        after = target(before, changes)
        return tuple(
            json.dumps({port: config.model_dump(mode="json")}, sort_keys=True)
            for port, config in sorted(after.ports.items())
            if config != before.ports.get(port)
        )

    def apply(self, commands: Sequence[str]) -> None:
        with self._devices._lock:
            state = self._devices.state(self._name)
            for command in commands:
                state |= json.loads(command)
            untouched = {p for p, c in state.items() if PortConfig.model_validate(c) == self._initial[p]}
            self._devices.keep(self._name, {p: c for p, c in state.items() if p not in untouched})

    def save(self) -> None:
        self._devices.count("saves")

    def neighbours(self) -> tuple[Neighbour, ...]:
        return _neighbours(self._devices, self._name)

    def mac_table(self) -> tuple[MacEntry, ...]:
        return ()


class SimulatedServer:
    """A server that remembers the intent it was given. Programs run on it answer that all is well."""

    def __init__(self, devices: SimulatedDevices, name: str) -> None:
        self._devices, self._name = devices, name
        self._device = devices.hall.device(name)

    def facts(self) -> ServerFacts:
        return ServerFacts(
            server=self._name,
            serial=self._device.serial,
            memory_mib=self._device.memory_gib * 1024,
            cores=self._device.cores,
            nics={n.name: n.mac for n in self._device.nics},
            disks={d.name: d.size_gib << 30 for d in self._device.disks},
        )

    def snapshot(self) -> ServerSnapshot:
        state = self._devices.state(self._name)
        return ServerSnapshot(
            server=self._name,
            files={path: content for path, content in state.get("files", {}).items() if path.startswith("/etc")},
            enabled_units=tuple(sorted(state.get("units", []))),
            running_units=tuple(sorted(state.get("units", []))),
            users=tuple(sorted(state.get("users", []))),
            packages=tuple(sorted(state.get("packages", []))),
            disks={d.name: state.get("disks", {}).get(d.name, "") for d in self._device.disks},
            mounts=tuple(sorted(state.get("mounts", []))),
        )

    def preview(self, intent: ServerIntent) -> DeviceDiff:
        before, after = self._devices.state(self._name), self._wanted(intent)
        files = sorted(after["files"].keys() - before.get("files", {}).keys())
        return DeviceDiff(device=self._name, before=content_hash(before), diff="\n".join(f"+ {f}" for f in files))

    def apply(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        before, after = self._devices.state(self._name), self._wanted(intent)
        if before != after:
            self._devices.keep(self._name, after)
        return ServerResult(server=self._name, changed=before != after)

    def remove(self, intent: ServerIntent, beat: Beat = silent) -> ServerResult:
        before = self._devices.state(self._name)
        disks = before.get("disks", {})
        self._devices.keep(self._name, {"disks": disks} if disks else {})
        return ServerResult(server=self._name, changed=bool(before.keys() - {"disks"}))

    def erase(self, disk: str, serial: str = "", beat: Beat = silent) -> EraseRecord:
        state = self._devices.state(self._name)
        disks = {name: label for name, label in state.pop("disks", {}).items() if name != disk}
        self._devices.keep(self._name, {**state, "disks": disks} if disks else state)
        found = next(d for d in self._device.disks if d.name == disk)
        return EraseRecord(
            server=self._name,
            disk=disk,
            serial=found.serial,
            size_bytes=found.size_gib << 30,
            method="simulated",
            started_at=EPOCH,
            finished_at=EPOCH,
            sampled_bytes=0,
            nonzero_bytes=0,
        )

    def neighbours(self) -> tuple[Neighbour, ...]:
        return _neighbours(self._devices, self._name)

    def run(self, script: str, given: Mapping[str, Any], timeout_s: float = 60) -> dict[str, Any]:
        return {"ok": True, "simulated": True}

    def _wanted(self, intent: ServerIntent) -> dict[str, Any]:
        return {
            "files": {f.path: _digest(f) for f in intent.files},
            "units": [u.name for u in intent.units],
            "users": [u.name for u in intent.users],
            "packages": list(intent.packages),
            "disks": {f.disk: f.label for f in intent.filesystems},
            "mounts": [f.mountpoint for f in intent.filesystems],
        }


def _digest(file: File) -> str:
    return hashlib.sha256(file.model_dump_json().encode()).hexdigest()


def _neighbours(devices: SimulatedDevices, name: str) -> tuple[Neighbour, ...]:
    cables = devices.cables()
    ends = [(c.a, c.b) for c in cables] + [(c.b, c.a) for c in cables]
    return tuple(
        Neighbour(local_port=here.port, system_name=there.device, port_id=there.port)
        for here, there in ends
        if here.device == name and devices.on(there.device)
    )
