"""A leaf switch of the lab, reached as an operator would: by what the lab hands over."""

from __future__ import annotations

from freehold.lab import Lab
from freehold.models.access import Access
from tests.devices.fakes.ssh_device import OneSecret


def reach(lab: Lab, device: str) -> tuple[Access, OneSecret]:
    management = lab.device(device).management
    known = dict(line.split(maxsplit=1) for line in (lab.handover / "known_hosts").read_text().splitlines())
    access = Access(
        device=device,
        address=management.address,
        port=management.port,
        user=management.user,
        host_key=known[str(management.address)].strip(),
        credential="lab-key",
        dialect=lab.device(device).dialect,
    )
    return access, OneSecret(access.credential, (lab.handover / "id_ed25519").read_text())
