"""Where the server is and what opens it: as it was given, from the environment, or this machine's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from tidegate import settings
from tidegate.errors import EnvironmentLacking
from tidegate.model.certificate import kept

LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
TOKEN_FILE = "admin.token"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Address:
    url: str
    token: str = field(repr=False)
    """Empty for somebody who has none."""
    own: str | None = None
    """The certificate of this machine's server, which alone is trusted then."""
    ca: Path | None = None
    """Authorities that are trusted instead of the system's."""

    @property
    def local(self) -> bool:
        return urlsplit(self.url).hostname in LOCAL_HOSTS

    @property
    def headers(self) -> dict[str, str]:
        """Who has no token speaks as a browser does: from a page of the server, with the cookie of a log-in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {"Origin": self.url}


def address(
    environment: Mapping[str, str],
    url: str | None = None,
    token: str | None = None,
    *,
    ca: str | Path | None = None,
    unknown: bool = False,
) -> Address:
    """From what was given, else `TIDEGATE_URL` and `TIDEGATE_TOKEN`, else this machine's server: its address by the
    server's own settings and its token from the file in its data directory. That token is sent to no other machine.
    For somebody `unknown`, who will log in, there is none.

    Under TLS this machine's server is known by the certificate in its data directory, another by the authorities in
    the file `ca` or that `TIDEGATE_CA` names, else by the system's. Raises `EnvironmentLacking`, `SettingInvalid`."""
    local = settings.load(environment)
    own = kept(local.data_dir)
    scheme = "https" if own is not None or local.tls_certificate is not None else "http"
    named = url or environment.get("TIDEGATE_URL") or f"{scheme}://{_bracketed(local.host)}:{local.port}"
    host = urlsplit(named).hostname
    if urlsplit(named).scheme not in ("http", "https") or not host:
        raise EnvironmentLacking(f"{named} is not the address of a server; write http://host:port or https://host:port")
    here = host in {*LOCAL_HOSTS, local.host}
    if not here or ca:
        own = None
    ca = None if own is not None else ca or environment.get("TIDEGATE_CA")
    place = Address(named.rstrip("/"), "", own, Path(ca) if ca else None)
    if unknown:
        return place
    known = token or environment.get("TIDEGATE_TOKEN")
    if not known:
        if not here:
            raise EnvironmentLacking(f"no token for {named} was given: set TIDEGATE_TOKEN")
        known = _stored_token(local.data_dir / TOKEN_FILE)
    return replace(place, token=known)


def _stored_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EnvironmentLacking(
            f"no token was given and {path} cannot be read ({why}): start `tidegate server` here, or set TIDEGATE_TOKEN"
        ) from error


def _bracketed(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where a wildcard is reached
    return f"[{host}]" if ":" in host else host
