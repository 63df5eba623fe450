"""A server's own certificate, trusted for itself: who connects to this very server needs no authority to know it.

The server puts the certificate it speaks TLS with, and nothing secret, into its data directory. Its workers and the
commands on its machine believe exactly that one, whatever name it is for: they come by an address, not by the name.
"""

from __future__ import annotations

import os
import re
import secrets
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = "presented.crt"
_FIRST = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of <openssl/x509_vfy.h>, for which Python has no name


def own(pem: str) -> str:
    """The first certificate of a file, without those of the authorities behind it. Empty: there is none."""
    found = _FIRST.search(pem)
    return f"{found[0]}\n" if found else ""


def pinned(pem: str) -> ssl.SSLContext:
    """Trusts exactly this certificate. Raises `ssl.SSLError` for what is none.

    An authority behind it would vouch for everybody it ever signed for, so it is left out; and a certificate that ran
    out while the server runs is the same as before: a task must not stop for it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    context.load_verify_locations(cadata=own(pem))
    return context


def kept(data_dir: Path) -> str | None:
    """The certificate of the server with this data directory; None: it speaks no TLS, or is none of this user's."""
    try:
        return (data_dir / FILE).read_text(encoding="ascii")
    except (OSError, UnicodeError):
        return None


def keep(data_dir: Path, pem: str | None) -> None:
    """Put it there, whole or not at all; None takes an earlier one away. Raises OSError."""
    path = data_dir / FILE
    if pem is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_name(f"{FILE}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(own(pem))
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
