"""The certificate of an environment that has none of an authority: self-signed, for its names and address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.environment import Environment
from deploy.secret import Secret

DAYS = 825  # the most that clients of today accept
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class Described:
    """What a person wants to know of a certificate."""

    names: tuple[str, ...]
    until: datetime
    self_signed: bool


def names_of(environment: Environment) -> tuple[str, ...]:
    """List the names and the addresses that users know an environment by."""
    doors = [door.rpartition(":")[0].strip("[]") for door in environment.doors]
    return tuple(dict.fromkeys([*environment.file.balancer.names, *doors]))


def self_signed(names: Sequence[str], now: datetime | None = None) -> Secret:
    """Make a key and a certificate for these names and addresses, in one PEM text as HAProxy reads it."""
    start = (now or datetime.now(UTC)) - timedelta(hours=1)  # servers' clocks differ a little
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signs_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Secret((certificate.public_bytes(Encoding.PEM) + private).decode().strip())


def describe(bundle: Secret) -> Described | None:
    """Say for whom and until when the first certificate of a PEM text is; None when it has none."""
    try:
        found = x509.load_pem_x509_certificate(bundle.reveal().encode())
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except ValueError:
        return None
    except x509.ExtensionNotFound:
        return Described((), found.not_valid_after_utc, found.issuer == found.subject)
    names = [*alternative.get_values_for_type(x509.DNSName)]
    names += [str(address) for address in alternative.get_values_for_type(x509.IPAddress)]
    return Described(tuple(names), found.not_valid_after_utc, found.issuer == found.subject)


def covers(described: Described, name: str) -> bool:
    """Say whether clients take a certificate for a name; a star stands for one label."""
    return name in described.names or f"*.{name.partition('.')[2]}" in described.names


def problem(bundle: Secret) -> str | None:
    """Say why HAProxy could not serve with a PEM text; None when it could."""
    data = bundle.reveal().encode()
    try:
        certificate = x509.load_pem_x509_certificate(data)
    except ValueError:
        return "expected a certificate in PEM, then its chain and its key"
    found = _KEY.search(data)
    try:
        key = load_pem_private_key(found[0], password=None) if found else None
    except (ValueError, TypeError):
        key = None
    if key is None:
        return "expected an unencrypted private key in PEM behind the certificate"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        return "expected the key of the first certificate; it has another's"
    return None


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))
