"""What the builder of a hall hands to its operator: the hall, the host keys, and the key that opens the devices."""

from __future__ import annotations

from pathlib import Path

import yaml

from freehold.lab.keys import KeyPair, key_pair
from freehold.lab.names import give_to_caller
from freehold.models.hall import Hall


def host_key(state: Path, device: str) -> KeyPair:
    return key_pair(state / "hostkeys" / device)


def write_handover(state: Path, hall: Hall) -> None:
    """Write the folder `handover`; keys are made once and stay."""
    folder = state / "handover"
    folder.mkdir(parents=True, exist_ok=True)
    key_pair(folder / "id_ed25519")
    known = [f"{d.management.address} {host_key(state, d.name).public}" for d in hall.devices]
    (folder / "known_hosts").write_text("".join(known))
    (folder / "hall.yaml").write_text(yaml.safe_dump(hall.model_dump(mode="json"), sort_keys=False))
    give_to_caller(folder)
    give_to_caller(state, parents=True)
