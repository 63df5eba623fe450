"""The server's certificate: looked at before anything is served, and exchanged without ending a connection.

What is loaded was tried in a handshake with the server's own workers' eyes, so a certificate that they would refuse is
refused at the start, and one that is renewed badly leaves the old one where it is.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from tidegate.errors import EnvironmentLacking, SettingInvalid
from tidegate.model.certificate import FILE, keep, own, pinned
from tidegate.settings import Settings

log = structlog.get_logger()

EXPIRES_SOON: Final = timedelta(days=30)
HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
_FLIGHTS: Final = 8
"""More than any handshake has."""


class Tls:
    """What handshakes are made with from now on. `renew` exchanges it; connections there are go on."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises `SettingInvalid`."""
        self._files = (certificate, key)
        self._now, self.pem, self.ends_at = _loaded(certificate, key)
        self.context = self._now
        self.context.sni_callback = self._choose  # called in every handshake, also of who names nobody

    @property
    def expires_soon(self) -> bool:
        return self.ends_at - datetime.now(UTC) < EXPIRES_SOON

    def renew(self) -> None:
        """Read the files again. Raises `SettingInvalid`, and then nothing has changed."""
        self._now, self.pem, self.ends_at = _loaded(*self._files)

    def _choose(self, handshake: Any, name: str | None, context: ssl.SSLContext) -> None:
        handshake.context = self._now


def tls_of(settings: Settings) -> Tls | None:
    """None: the server speaks plain HTTP. Raises `SettingInvalid`."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None or key is None:
        if certificate is not None or key is not None:
            given, lacking = ("tls_key", "tls_certificate") if certificate is None else ("tls_certificate", "tls_key")
            raise SettingInvalid(f"{given} is given and {lacking} is not: TLS needs both")
        return None
    return Tls(certificate, key)


def publish(tls: Tls | None, data_dir: Path) -> None:
    """Have workers and commands of this machine know the certificate there is now. Raises `EnvironmentLacking`."""
    try:
        keep(data_dir, tls.pem if tls else None)
    except OSError as error:
        raise EnvironmentLacking(f"{data_dir / FILE} cannot be written: {error.strerror}") from error
    if tls is not None and tls.expires_soon:
        log.warning("server.certificate_expires", at=f"{tls.ends_at:%Y-%m-%d %H:%M} UTC")


def renew(tls: Tls, data_dir: Path) -> None:
    """Go on with what is in the files now, or, where that cannot be used, as before: the log says which."""
    try:
        tls.renew()
        publish(tls, data_dir)
    except (SettingInvalid, EnvironmentLacking) as error:
        log.error("server.certificate_not_renewed", code=error.code, why=error.detail)
    else:
        log.info("server.certificate_renewed", good_until=f"{tls.ends_at:%Y-%m-%d %H:%M} UTC")


def first_certificate(content: bytes) -> Certificate:
    """Of a file, the one the server itself has. Raises ValueError."""
    return load_pem_x509_certificates(content)[0]


def _loaded(certificate: Path, key: Path) -> tuple[ssl.SSLContext, str, datetime]:
    """What to make handshakes with, the certificate, and until when it is good. Raises `SettingInvalid`, never quoting
    the key (I8)."""
    chain, secret = _read("tls_certificate", certificate), _read("tls_key", key)
    try:
        first = first_certificate(chain)
    except ValueError:
        raise SettingInvalid(f"tls_certificate: {certificate} holds no certificate in PEM") from None
    _check_dates(certificate, first)
    _check_key(certificate, first, key, secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    pem = own(chain.decode("utf-8", "replace"))
    try:
        context.load_cert_chain(certificate, key, password="")
        _try(context, pem)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or type(error).__name__
        raise SettingInvalid(f"tls_certificate: {certificate} cannot be used for TLS ({why})") from None
    return context, pem, first.not_valid_after_utc


def _read(setting: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingInvalid(f"{setting}: {path} cannot be read: {error.strerror}") from None


def _check_dates(path: Path, certificate: Certificate) -> None:
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        raise SettingInvalid(f"tls_certificate: {path} expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if certificate.not_valid_before_utc > now:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise SettingInvalid(f"tls_certificate: {path} is not valid before {begins}")


def _check_key(path: Path, certificate: Certificate, key: Path, secret: bytes) -> None:
    try:
        opened = load_pem_private_key(secret, password=None)
    except TypeError:
        raise SettingInvalid(f"tls_key: {key} is encrypted with a passphrase; give one that is not") from None
    except Exception:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm, and whatever a library says of bytes
        raise SettingInvalid(f"tls_key: {key} holds no private key in PEM") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if opened.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        raise SettingInvalid(f"tls_key: {key} is not the key of the certificate in {path}")


def _try(context: ssl.SSLContext, pem: str) -> None:
    """A handshake with who trusts exactly this certificate, in memory. Raises `ssl.SSLError`."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = pinned(pem).wrap_bio(to_client, to_server)
    for _ in range(_FLIGHTS):
        waiting = 0
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return
    raise ssl.SSLError("the handshake does not end")
