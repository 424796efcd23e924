"""Rings: what Swift's own library reads from them, and that planning them twice gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from freehold.models.plan import Plan
from freehold.services.base import Service
from freehold.services.object_storage.rings import Generation, RingDevice, ring_of

DEVICES = tuple(RingDevice(f"10.0.0.{n}", 6200, "d1", zone=1 + n % 3) for n in range(1, 7))

_HASH = """
import hashlib
from tests.services.object_storage.test_rings import DEVICES
from freehold.services.object_storage.rings import Generation, ring_of
made = ring_of("acme-1/object", (Generation(3, DEVICES),), 8)
print(hashlib.sha256(made.ring + made.builder).hexdigest())
"""


def test_every_process_makes_the_same_bytes() -> None:
    """Also under another seed of Python's hashes, which order sets."""
    made = ring_of("acme-1/object", (Generation(3, DEVICES),), 8)
    here = hashlib.sha256(made.ring + made.builder).hexdigest()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _HASH],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.strip() == here


def test_swift_reads_what_was_planned(tmp_path: Path) -> None:
    from swift.common.ring import RingBuilder, RingData

    made = ring_of("acme-1/object", (Generation(3, DEVICES),), 8)
    (tmp_path / "ring.gz").write_bytes(made.ring)
    (tmp_path / "builder").write_bytes(made.builder)
    ring = RingData.load(str(tmp_path / "ring.gz"))
    assert (ring.replica_count, 2**ring.part_power) == (3, 256)
    replicas = zip(*ring._replica2part2dev_id, strict=True)
    assert all(len({ring.devs[device]["zone"] for device in devices}) == 3 for devices in replicas)
    builder = RingBuilder.load(str(tmp_path / "builder"))
    assert {(dev["ip"], dev["port"]) for dev in builder.devs} == {(d.address, d.port) for d in DEVICES}


def test_the_next_change_moves_only_what_it_must(tmp_path: Path) -> None:
    """The builder that was kept is enough to grow: a seventh device takes about a seventh of the partitions."""
    from swift.common.ring import RingBuilder

    (tmp_path / "builder").write_bytes(ring_of("acme-1/object", (Generation(3, DEVICES),), 8).builder)
    builder = RingBuilder.load(str(tmp_path / "builder"))
    builder.add_dev({"region": 1, "zone": 1, "ip": "10.0.0.7", "port": 6200, "replication_ip": "10.0.0.7",
                     "replication_port": 6200, "device": "d1", "weight": 100.0, "meta": ""})  # fmt: skip
    builder.pretend_min_part_hours_passed()
    moved, *_ = builder.rebalance(seed=1)
    assert 0 < moved <= 0.5 * 256


def test_a_compact_instance_has_one_device_per_ring(storage: Service, plan: Plan, tmp_path: Path) -> None:
    from swift.common.ring import RingBuilder

    builders = storage.builders(plan)
    assert sorted(builders) == ["account.builder", "container.builder", "object.builder"]
    back = str(plan.servers[0].nics[1].address).partition("/")[0]
    for name, port in {"account": 6202, "container": 6201, "object": 6210}.items():
        (tmp_path / name).write_bytes(builders[f"{name}.builder"])
        (device,) = RingBuilder.load(str(tmp_path / name)).devs
        assert (device["ip"], device["port"], device["device"]) == (back, port, "d1")
        assert device["parts"] == 64
