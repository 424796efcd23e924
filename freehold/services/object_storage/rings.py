"""Swift's rings, planned in our own process: same history, same bytes, on every machine.

A ring cannot be made from what it shall be alone: where a partition lies depends on where it lay. So a ring is
its generations, replayed from the first: each is a rebalance after devices or replicas have changed.

Swift's library imports eventlet, whose first import must happen in the main thread: in another one it breaks
`threading`, and the process hangs at its end. So it stands at the top, and workers load their services at start.
"""

from __future__ import annotations

import tempfile
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from swift.common.ring import RingBuilder

_SEED = 1
DRAINED = 0.0
"""Weight of a device that is to hold nothing, but is still asked."""

Key = tuple[str, int, str]
"""What makes a device itself: address, port, name."""


@dataclass(frozen=True)
class RingDevice:
    """A device in a ring: where its server answers, and how much of the data it is to hold."""

    address: str
    port: int
    name: str
    zone: int
    region: int = 1
    weight: float = 100.0

    @property
    def key(self) -> Key:
        return self.address, self.port, self.name


@dataclass(frozen=True)
class Generation:
    """Devices and replicas of a ring from one rebalance to the next."""

    replicas: int
    devices: tuple[RingDevice, ...]


@dataclass(frozen=True)
class Ring:
    """What the servers read (`ring`), and what Swift's own tools need to change it by hand (`builder`)."""

    ring: bytes
    builder: bytes
    primaries: tuple[tuple[Key, ...], ...]
    """For each partition the devices it belongs on."""

    def devices_of(self, hash_: str) -> tuple[Key, ...]:
        """Where the thing with this hash of its name belongs."""
        power = (len(self.primaries) - 1).bit_length()
        return self.primaries[int(hash_[:8], 16) >> (32 - power)]


@lru_cache(maxsize=1024)
def ring_of(
    name: str, generations: tuple[Generation, ...], part_power: int, replication_port: int | None = None
) -> Ring:
    """The ring after its last generation; `name` tells its builder from others, e.g. `acme-1/object`.

    Servers send one another what they hold at `replication_port`, if it is not where they serve.
    """
    builder = RingBuilder(part_power, generations[0].replicas, min_part_hours=0)
    for generation in generations:
        _change(builder, generation)
    for dev in filter(None, builder.devs):
        dev["replication_port"] = replication_port or dev["port"]
    # Both would differ each time: a random id, and when partitions last moved (which min_part_hours 0 ignores).
    builder._id = uuid.uuid5(uuid.NAMESPACE_OID, name).hex
    builder._last_part_moves_epoch = 0
    with tempfile.TemporaryDirectory() as folder:
        ring, kept = Path(folder, "ring.gz"), Path(folder, "builder")
        builder.get_ring().save(str(ring))  # fixes the time inside gzip's header
        builder.save(str(kept))
        return Ring(ring.read_bytes(), kept.read_bytes(), _primaries(builder))


def _change(builder: RingBuilder, generation: Generation) -> None:
    """One rebalance: of each partition at most one replica moves, so what lies on the others is still found."""
    there = {_key(dev): dev for dev in builder.devs if dev}
    wanted = {device.key: device for device in generation.devices}
    for key, dev in there.items():
        if key not in wanted:
            builder.remove_dev(dev["id"])
        elif dev["weight"] != wanted[key].weight:
            builder.set_dev_weight(dev["id"], wanted[key].weight)
    for key, device in wanted.items():
        if key not in there:
            builder.add_dev(_swift(device))
    if generation.replicas < builder.replicas and builder._replica2part2dev:
        _drained_last(builder)
    builder.set_replicas(generation.replicas)
    for _ in range(generation.replicas):
        builder.rebalance(seed=_SEED)
        if not any(dev and dev["weight"] == DRAINED and dev["parts"] for dev in builder.devs):
            return


def _drained_last(builder: RingBuilder) -> None:
    """Fewer replicas are the first ones: let those go that lie on devices that hold nothing more, and no other move."""
    drained = {dev["id"] for dev in builder.devs if dev and dev["weight"] == DRAINED}
    rows = builder._replica2part2dev
    for part in range(builder.parts):
        for row, dev in zip(rows, sorted((row[part] for row in rows), key=drained.__contains__), strict=True):
            row[part] = dev


def _swift(device: RingDevice) -> dict[str, object]:
    return {
        "region": device.region,
        "zone": device.zone,
        "ip": device.address,
        "port": device.port,
        "replication_ip": device.address,
        "replication_port": device.port,
        "device": device.name,
        "weight": device.weight,
        "meta": "",
    }


def _key(dev: dict[str, object]) -> Key:
    return str(dev["ip"]), int(str(dev["port"])), str(dev["device"])


def _primaries(builder: RingBuilder) -> tuple[tuple[Key, ...], ...]:
    return tuple(
        tuple(_key(builder.devs[row[part]]) for row in builder._replica2part2dev if part < len(row))
        for part in range(builder.parts)
    )
