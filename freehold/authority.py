"""Freehold's own certificate authority, and the other things that are secret because they are random.

Everything is kept in the secret store: `authority/key` and `authority/certificate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from secrets import token_hex, token_urlsafe

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from freehold.devices.base import Secrets
from freehold.errors import BadInput

KEY = "authority/key"
CERTIFICATE = "authority/certificate"

_AUTHORITY_DAYS = 3650
_CLOCKS_DIFFER = timedelta(minutes=5)
_LONGEST_COMMON_NAME = 64


def ensure_authority(secrets: Secrets) -> bool:
    """Make the authority unless there is one; True when it was made. Safe under concurrency."""
    made = secrets.ensure(KEY, lambda: _pem(ec.generate_private_key(ec.SECP256R1())))
    # The certificate is made from the key that was kept, so it fits whoever of two came first.
    return secrets.ensure(CERTIFICATE, lambda: _self_signed(_load_key(secrets))) or made


def certificate(secrets: Secrets) -> str:
    """The authority's certificate (PEM): what a client must trust. Not secret."""
    ensure_authority(secrets)
    return secrets.get(CERTIFICATE)


def issue(secrets: Secrets, names: Sequence[str] = (), addresses: Sequence[str] = (), days: int = 397) -> str:
    """A new key and its server certificate for these DNS names and IP addresses, as HAProxy reads them.

    PEM: private key, certificate, certificate of the authority.
    """
    if not names and not addresses:
        raise BadInput("a certificate needs at least one DNS name or address")
    ensure_authority(secrets)
    authority = x509.load_pem_x509_certificate(secrets.get(CERTIFICATE).encode())
    key = ec.generate_private_key(ec.SECP256R1())
    holders = [x509.DNSName(name) for name in names] + [x509.IPAddress(ip_address(str(a))) for a in addresses]
    common_name = next((n for n in (*names, *map(str, addresses)) if len(n) <= _LONGEST_COMMON_NAME), "endpoint")
    signed = (
        _certificate(common_name, authority.subject, key.public_key(), min(days, _days_left(authority)))
        .add_extension(x509.SubjectAlternativeName(holders), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_authority_identifier(authority), critical=False)
        .sign(_load_key(secrets), hashes.SHA256())
    )
    return _pem(key) + signed.public_bytes(Encoding.PEM).decode() + secrets.get(CERTIFICATE)


def password() -> str:
    """40 random characters that need no quoting in URLs and shells."""
    return token_urlsafe(30)


def hex_key() -> str:
    """32 random bytes, hexadecimal."""
    return token_hex(32)


def _self_signed(key: ec.EllipticCurvePrivateKey) -> str:
    name = f"Freehold authority {token_hex(4)}"  # two of them in one trust store stay apart
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = (
        _certificate(name, subject, key.public_key(), _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return signed.public_bytes(Encoding.PEM).decode()


def _certificate(
    common_name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _days_left(authority: x509.Certificate) -> int:
    return max(0, (authority.not_valid_after_utc - datetime.now(UTC)).days)


def _load_key(secrets: Secrets) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(secrets.get(KEY).encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadInput(f"secret {KEY} holds no elliptic-curve key")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
