"""Data disks: sparse files behind loop devices, real block devices inside the machine."""

from __future__ import annotations

import json
from pathlib import Path

from freehold.lab.commands import run


def attach(image: Path, size_gib: int) -> str:
    """The block device of a disk's file, which is made when it is missing. Repeating gives the same device."""
    if not image.exists():
        image.parent.mkdir(parents=True, exist_ok=True)
        with image.open("wb") as file:
            file.truncate(size_gib << 30)
    for device, file_name in attached().items():
        if file_name == str(image):
            return device
    return run("losetup", "--find", "--show", str(image)).strip()


def detach_below(folder: Path) -> None:
    """Detach every loop device whose file lies in a folder, deleted or not."""
    for device in below(folder):
        run("losetup", "--detach", device, check=False)


def below(folder: Path) -> list[str]:
    """The loop devices whose file lies in a folder."""
    return [device for device, file in attached().items() if file.startswith(f"{folder}/")]


def attached() -> dict[str, str]:
    """All loop devices in use and their files."""
    listed = run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE")
    rows = json.loads(listed)["loopdevices"] if listed.strip() else []
    return {row["name"]: row["back-file"] or "" for row in rows}
