"""The settings of single sign-on as one record, looked at before anything is served."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tidegate.errors import SettingInvalid
from tidegate.model.federation import Rule, parse_rules
from tidegate.settings import Settings

CALLBACK = "/api/v1/session/sso/callback"
LOGGED_OUT = "/console/"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOnConfig:
    issuer: str
    client_id: str
    public_url: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: str = "openid profile email"
    groups_claim: str = "groups"
    rules: tuple[Rule, ...] = ()
    unknown: str = "mapped"
    hosts: frozenset[str] = frozenset()
    label: str = "Single sign-on"
    lasts_s: float = 8 * 3600.0

    @property
    def redirect_uri(self) -> str:
        return self.public_url + CALLBACK

    @property
    def logged_out_uri(self) -> str:
        return self.public_url + LOGGED_OUT

    @property
    def secure(self) -> bool:
        """Whether browsers come by TLS, as by the address they are told."""
        return self.public_url.startswith("https:")


def is_local(url: str) -> bool:
    """Whether it is on this very machine."""
    return urlsplit(url).hostname in _LOCAL


def config_of(settings: Settings) -> SignOnConfig | None:
    """None: there is no single sign-on. Raises `SettingInvalid`."""
    if settings.sso_issuer is None:
        return None
    if settings.sso_client_id is None or settings.public_url is None:
        raise SettingInvalid("sso_issuer needs sso_client_id and public_url beside it")
    public_url = settings.public_url.rstrip("/")
    _check_url("sso_issuer", settings.sso_issuer, local_only=True)
    _check_url("public_url", public_url)
    if urlsplit(public_url).path:
        raise SettingInvalid("public_url must be scheme and host, without a path")
    scopes = settings.sso_scopes.split()
    if "openid" not in scopes:
        raise SettingInvalid("sso_scopes must have openid among them")
    try:
        rules = parse_rules(settings.sso_roles or "")
    except ValueError as error:
        raise SettingInvalid(f"sso_roles: {error}") from None
    return SignOnConfig(
        issuer=settings.sso_issuer,
        client_id=settings.sso_client_id,
        public_url=public_url,
        client_secret=_secret(settings),
        scopes=" ".join(scopes),
        groups_claim=settings.sso_groups_claim,
        rules=rules,
        unknown=settings.sso_unknown,
        hosts=frozenset(one.strip() for one in (settings.sso_hosts or "").split(",") if one.strip()),
        label=settings.sso_label[:100],
        lasts_s=settings.sso_session_hours * 3600,
    )


def _check_url(name: str, url: str, *, local_only: bool = False) -> None:
    """`local_only`: http, which others can read along, is for this machine only."""
    parsed = urlsplit(url)
    if parsed.scheme not in ("https", "http") or not parsed.hostname or parsed.username is not None:
        raise SettingInvalid(f"{name} must begin with https:// and name a host")
    if parsed.query or parsed.fragment or not url.isprintable() or " " in url:
        raise SettingInvalid(f"{name} must have neither query nor fragment")
    if local_only and parsed.scheme == "http" and not is_local(url):
        raise SettingInvalid(f"{name} must be https, but on this machine itself")


def _secret(settings: Settings) -> str | None:
    """Raises `SettingInvalid`, never quoting it (I8)."""
    if settings.sso_client_secret and settings.sso_client_secret_file:
        raise SettingInvalid("give sso_client_secret or sso_client_secret_file, not both")
    if settings.sso_client_secret_file is None:
        return settings.sso_client_secret
    try:
        text = settings.sso_client_secret_file.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise SettingInvalid(f"sso_client_secret_file cannot be read: {type(error).__name__}") from None
    if not text:
        raise SettingInvalid("sso_client_secret_file is empty")
    return text
