"""
A certificate authority that lives for one start: it signs one certificate, and its own key is never written down.

SeaweedFS guards its inner ports with mutual TLS, so whoever cannot read that certificate's key gets no answer there.
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apps.stack.accounts import let_pass, write_for
from apps.stack.processes import Account

_LIFE = datetime.timedelta(days=3650)  # of a stack that is never started again
_CLOCK_SLACK = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """Where the authority's certificate, ours and our key lie."""

    authority: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """To speak as one of the holders, and with nobody but them."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_identity(folder: Path, account: Account | None) -> Identity:
    """
    Write a fresh authority and a certificate for 127.0.0.1, good for both ends of a connection.

    Args:
        folder: made where it is missing; what lay there before is good for nothing afterwards.
        account: the only one that may read the files; None for our own. The folder stays ours: who could change it
            could have us write elsewhere.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        let_pass(account, folder)
    identity = Identity(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("keyline-s3-authority", authority_key, signed_by=None, signing_key=authority_key)
    certificate = _certificate("keyline-s3", key, signed_by=authority, signing_key=authority_key)
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    write_for(account, identity.authority, authority.public_bytes(encoding))
    write_for(account, identity.certificate, certificate.public_bytes(encoding))
    write_for(account, identity.key, key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, no_password))
    return identity


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    signed_by: x509.Certificate | None,
    signing_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signed_by.subject if signed_by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=signed_by is None, path_length=None), critical=True)
    )
    if signed_by is not None:
        both_ends = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = builder.add_extension(x509.ExtendedKeyUsage(both_ends), critical=False)
        builder = builder.add_extension(here, critical=False)
    return builder.sign(signing_key, hashes.SHA256())
