"""Keys of the lab: one host key per machine, and the key pair by which Freehold logs in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True)
class KeyPair:
    private: str
    public: str


def key_pair(private_file: Path) -> KeyPair:
    """The Ed25519 key pair in this file (public half beside it as .pub); made when it is missing."""
    public_file = private_file.with_name(private_file.name + ".pub")
    if not public_file.exists():
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
        private_file.parent.mkdir(parents=True, exist_ok=True)
        private_file.unlink(missing_ok=True)
        private_file.touch(mode=0o600)
        private_file.write_text(private)
        # Written last: a pair with a public half is whole.
        public_file.write_text(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + "\n")
    return KeyPair(private_file.read_text(), public_file.read_text())
