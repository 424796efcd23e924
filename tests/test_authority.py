"""The authority's certificates, judged by OpenSSL's strict check and by a real TLS handshake."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from freehold import authority
from freehold.errors import BadInput
from freehold.secrets import FileSecrets


@pytest.fixture
def secrets(tmp_path: Path) -> FileSecrets:
    return FileSecrets(tmp_path / "secrets.json")


def _shake_hands(bundle: Path, trusted: str, name: str) -> None:
    """A handshake over a socket pair with OpenSSL's strict X.509 verification (the default of Python 3.13)."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(bundle)
    client = ssl.create_default_context(cadata=trusted)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    theirs.settimeout(10)

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as wrapped:
                wrapped.recv(1)
        except OSError:  # the client's refusal
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as wrapped:
            wrapped.send(b"x")
    finally:
        ours.close()
        thread.join(10)


def test_strict_clients_accept_names_and_addresses(secrets: FileSecrets, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(authority.issue(secrets, names=["s3.acme.example"], addresses=["198.18.7.1"], days=30))
    trusted = authority.certificate(secrets)
    _shake_hands(bundle, trusted, "s3.acme.example")
    _shake_hands(bundle, trusted, "198.18.7.1")
    for stranger in ("198.18.7.2", "other.example"):
        with pytest.raises(ssl.SSLCertVerificationError):
            _shake_hands(bundle, trusted, stranger)


def test_another_authority_is_not_trusted(secrets: FileSecrets, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(authority.issue(secrets, names=["s3.example"]))
    other = authority.certificate(FileSecrets(tmp_path / "other.json"))
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake_hands(bundle, other, "s3.example")


def test_the_chain_satisfies_the_web_profile(secrets: FileSecrets) -> None:
    leaf, root = x509.load_pem_x509_certificates(authority.issue(secrets, names=["a.example"], days=10).encode())
    policy = PolicyBuilder().store(Store([root]))
    assert policy.build_server_verifier(x509.DNSName("a.example")).verify(leaf, []) == [leaf, root]
    with pytest.raises(VerificationError):
        policy.build_server_verifier(x509.DNSName("b.example")).verify(leaf, [])
    assert 9 <= (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days <= 10


def test_each_certificate_is_new_and_the_authority_stays(secrets: FileSecrets) -> None:
    assert authority.ensure_authority(secrets) is True
    before = authority.certificate(secrets)
    assert authority.ensure_authority(secrets) is False
    leaves = [x509.load_pem_x509_certificates(authority.issue(secrets, names=["a"]).encode())[0] for _ in range(2)]
    assert leaves[0].serial_number != leaves[1].serial_number
    assert leaves[0].public_key() != leaves[1].public_key()
    assert authority.certificate(secrets) == before
    assert secrets.names() == (authority.CERTIFICATE, authority.KEY)


def test_refuses_a_certificate_for_nobody(secrets: FileSecrets) -> None:
    with pytest.raises(BadInput, match="at least one"):
        authority.issue(secrets)


def test_random_values_have_the_promised_shape() -> None:
    assert len(authority.password()) == 40 and authority.password() != authority.password()
    assert len(bytes.fromhex(authority.hex_key())) == 32
