"""How to reach a device, without any secret: the credential is a reference into the secret store."""

from __future__ import annotations

from freehold.models.base import Model
from freehold.models.names import Address, Name


class Access(Model):
    device: Name
    address: Address
    port: int = 22
    user: Name
    host_key: str
    """The key the device must show, as `ssh-ed25519 AAAA...`."""
    credential: str
    """Name of the secret that holds the private key for `user`."""
    dialect: Name | None = None
    """Switches only: how the device is spoken to."""
