"""Swift's rings, planned in our own process: same devices, same bytes, on every machine.

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


@dataclass(frozen=True)
class RingDevice:
    """A device in a ring: where its server answers, and how much of the data it is to hold."""

    address: str
    port: int
    name: str
    zone: int
    weight: float = 100.0


@dataclass(frozen=True)
class Ring:
    """What the servers read (`ring`), and what the next change needs (`builder`)."""

    ring: bytes
    builder: bytes


@lru_cache(maxsize=1024)
def new_ring(name: str, devices: tuple[RingDevice, ...], replicas: int, part_power: int) -> Ring:
    """A first ring over these devices; `name` tells its builder from others, e.g. `acme-1/object`."""
    builder = RingBuilder(part_power, replicas, min_part_hours=0)
    for device in devices:
        builder.add_dev(
            {
                "region": 1,
                "zone": device.zone,
                "ip": device.address,
                "port": device.port,
                "replication_ip": device.address,
                "replication_port": device.port,
                "device": device.name,
                "weight": device.weight,
                "meta": "",
            }
        )
    builder.rebalance(seed=_SEED)
    # Both would differ each time: a random id, and when partitions last moved (which min_part_hours 0 ignores).
    builder._id = uuid.uuid5(uuid.NAMESPACE_OID, name).hex
    builder._last_part_moves_epoch = 0
    with tempfile.TemporaryDirectory() as folder:
        ring, kept = Path(folder, "ring.gz"), Path(folder, "builder")
        builder.get_ring().save(str(ring))  # fixes the time inside gzip's header
        builder.save(str(kept))
        return Ring(ring.read_bytes(), kept.read_bytes())
