"""Whom a client believes to be the server it asked for, under TLS: it is always somebody in particular."""

from __future__ import annotations

import ssl

from tidegate.client.address import Address
from tidegate.errors import EnvironmentLacking
from tidegate.model.certificate import pinned


def trusted(address: Address) -> ssl.SSLContext | bool:
    """What an HTTP client verifies the server by: this machine's by its own certificate, others by their name and the
    authorities that were given, else the system's. Raises `EnvironmentLacking`."""
    if not address.url.startswith("https:"):
        return True
    if address.own is not None:
        try:
            return pinned(address.own)
        except ssl.SSLError as error:
            raise EnvironmentLacking("the certificate in the server's data directory cannot be read") from error
    if address.ca is None:
        paths = ssl.get_default_verify_paths()
        # Where the system has none, those that come with the HTTP library.
        return ssl.create_default_context() if paths.cafile or paths.capath else True
    try:
        context = ssl.create_default_context(cafile=address.ca)
    except ssl.SSLError as error:
        raise EnvironmentLacking(f"{address.ca} holds no certificate in PEM") from error
    except OSError as error:
        raise EnvironmentLacking(f"{address.ca} cannot be read: {error.strerror}") from error
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # it may be the server's own certificate
    return context
