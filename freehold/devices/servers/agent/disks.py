"""Disks: what they are, what is on them, and erasing it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import re
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .tools import Progress, Refused, mounts, must, run

WHOLE_DISK = re.compile(r"^(sd[a-z]+|vd[a-z]+|xvd[a-z]+|nvme\d+n\d+)$")
LAB_FACTS = Path("/etc/freehold-lab")

_MIB = 1 << 20
_CHUNK = 64 * _MIB
_SAMPLES = 256
_SAMPLE_BYTES = 4096
_BLKZEROOUT = 0x127F
_BLKFLSBUF = 0x1261


def disk_names() -> list[str]:
    """Whole disks, without the one that the system runs from."""
    system = _whole(_number(Path("/").stat().st_dev))
    found = [p.name for p in Path("/dev").iterdir() if WHOLE_DISK.match(p.name) and p.is_block_device()]
    return sorted(name for name in found if _device_number(name) != system)


def describe_disk(name: str) -> dict[str, Any]:
    """Signatures, size and mount points of a disk."""
    device = Path("/dev", name)
    if not device.is_block_device():
        return {"exists": False, "signatures": [], "mounted": []}
    number = _device_number(name)
    return {
        "exists": True,
        "signatures": signatures(name),
        "mounted": [point for at, point in mounts() if at == number],
        "size": size_of(name),
    }


def signatures(name: str) -> list[dict[str, str]]:
    told = must("wipefs", "--no-act", "--json", f"/dev/{name}")
    rows = json.loads(told).get("signatures", []) if told.strip() else []
    return [{"type": row.get("type") or "", "label": row.get("label") or ""} for row in rows]


def size_of(name: str) -> int:
    with Path("/dev", name).open("rb") as file:
        return file.seek(0, os.SEEK_END)


def serial_of(name: str) -> str:
    number = _device_number(name)
    places = (LAB_FACTS / "disks" / name / "serial", Path(f"/sys/dev/block/{number}/serial"))
    for place in (*places, Path(f"/sys/dev/block/{number}/device/serial")):
        if place.exists():
            return place.read_text().strip()
    return run("lsblk", "--nodeps", "--noheadings", "--output", "SERIAL", f"/dev/{name}").out.strip()


def erase(name: str, serial: str = "") -> dict[str, Any]:
    """Overwrite a whole disk with zeros and read back from all over. Refuses a disk that is in use, or another one.

    What tells whose it is goes last: a disk whose erasing was cut off, or did not work, is still known.
    """
    _refuse_in_use(name)
    if serial and (found := serial_of(name)) != serial:
        raise Refused(f"disk {name} has serial {found}, not {serial} as in the inventory; nothing is erased")
    started, size = _now(), size_of(name)
    path = f"/dev/{name}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_EXCL)  # the kernel itself refuses what is mounted or held
    except OSError as error:
        raise Refused(f"disk {name} is in use and is not erased: {error.strerror}") from error
    try:
        signed = min(_MIB, size)
        method = _overwrite(descriptor, name, signed, size)
        sampled, nonzero = _read_samples(descriptor, signed, size)
        if not nonzero:
            _overwrite(descriptor, name, 0, signed)
            first, nonzero = _read_samples(descriptor, 0, signed)
            sampled += first
    finally:
        os.close(descriptor)
    return {
        "disk": name,
        "serial": serial_of(name),
        "size_bytes": size,
        "method": method,
        "started_at": started,
        "finished_at": _now(),
        "sampled_bytes": sampled,
        "nonzero_bytes": nonzero,
        "signatures": [f"{row['type']} {row['label']}".strip() for row in signatures(name)],
    }


def _overwrite(descriptor: int, name: str, begin: int, size: int) -> str:
    """Zeros from there on, through the kernel's own request, which the disk may do by itself; else written by us."""
    zeros = bytes(_MIB)
    by_kernel = True
    for start in range(begin, size, _CHUNK):
        Progress.doing = f"erasing {name}: {100 * start // size} %"
        length = min(_CHUNK, size - start)
        if by_kernel:
            try:
                fcntl.ioctl(descriptor, _BLKZEROOUT, struct.pack("QQ", start, length))
                continue
            except OSError:
                by_kernel = False
        for offset in range(start, start + length, _MIB):
            _write_all(descriptor, zeros[: min(_MIB, start + length - offset)], offset)
        os.fdatasync(descriptor)
    return "zeros by BLKZEROOUT, read back" if by_kernel else "overwritten with zeros, read back"


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _read_samples(descriptor: int, begin: int, size: int) -> tuple[int, int]:
    """First and last MiB and random places between: bytes read, and those of them that are not zero."""
    os.fsync(descriptor)
    fcntl.ioctl(descriptor, _BLKFLSBUF, 0)  # read from the disk, not from memory
    length, few = min(_MIB, size - begin), min(_SAMPLE_BYTES, size - begin)
    places = [(begin, length), (size - length, length)] if length else []
    chosen = random.SystemRandom()
    places += [(chosen.randrange(begin, size - few + 1), few) for _ in range(_SAMPLES if few else 0)]
    sampled = nonzero = 0
    for offset, length in places:
        data = os.pread(descriptor, length, offset)
        sampled += len(data)
        nonzero += len(data) - data.count(0)
    return sampled, nonzero


def _refuse_in_use(name: str) -> None:
    if not WHOLE_DISK.match(name) or not Path("/dev", name).is_block_device():
        raise Refused(f"there is no disk {name} on this server")
    number = _device_number(name)
    if number == _whole(_number(Path("/").stat().st_dev)):
        raise Refused(f"disk {name} is the one this system runs from and is not erased")
    for at, point in mounts():
        if _whole(at) == number or at == number:
            raise Refused(f"disk {name} is mounted at {point} and is not erased")
    for line in Path("/proc/swaps").read_text().splitlines()[1:]:
        swap = Path(line.split()[0])
        if swap.is_block_device() and _whole(_number(swap.stat().st_rdev)) == number:
            raise Refused(f"disk {name} is used for swapping and is not erased")


def _device_number(name: str) -> str:
    return _number(Path("/dev", name).stat().st_rdev)


def _number(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def _whole(number: str) -> str:
    """The disk that a partition belongs to, or the disk itself."""
    place = Path("/sys/dev/block", number)
    if (place / "partition").exists():
        return (place.resolve().parent / "dev").read_text().strip()
    return number


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
