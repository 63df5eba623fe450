"""The server's settings: one table, from which environment variables, command-line flags and help derive.

A setting `lease_s` is `TIDEGATE_LEASE_S` in the environment and `--lease-s` on the command line; the flag wins.
"""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from tidegate.errors import SettingInvalid

PREFIX = "TIDEGATE_"
LogLevel = Literal["debug", "info", "warning", "error"]
Decoder = Literal["auto", "native", "python"]
Unknown = Literal["refuse", "mapped", "admit"]


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/tidegate`, by default `~/.local/share/tidegate`."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "tidegate"


@dataclass(frozen=True, slots=True)
class Says:
    """What the table says of a setting beyond its name, type and default."""

    help: str
    least: float = 0
    most: float = 0
    """0: not a number, or without limit."""
    flag: bool = True
    """Whether it may be given on the command line, where every user of the machine can read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings with their values. Times in seconds unless the name says otherwise."""

    data_dir: Annotated[Path, Says("Where the store, keys, tokens and logs are kept.")] = field(
        default_factory=default_data_dir
    )
    store_url: Annotated[
        str | None,
        Says("Metadata store as an SQLAlchemy URL; by default an SQLite file in the data directory.", flag=False),
    ] = None
    secret_key: Annotated[
        str | None,
        Says("Key for stored secrets, 32 bytes in base64; by default a file in the data directory.", flag=False),
    ] = None
    host: Annotated[str, Says("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Says("Port to listen on; 0 takes a free one.", 0, 65535)] = 8470
    tls_certificate: Annotated[
        Path | None,
        Says("Certificate in PEM, those behind it after it: with it and its key the server speaks TLS, and only that."),
    ] = None
    tls_key: Annotated[Path | None, Says("The certificate's private key in PEM, without a passphrase.")] = None
    worker_url: Annotated[str | None, Says("Where workers reach this server; by default where it listens.")] = None
    default_group_units: Annotated[int, Says("Units of the resource group made at the first start.", 1, 100_000)] = (
        field(default_factory=lambda: max(4, os.cpu_count() or 1))
    )
    heartbeat_s: Annotated[float, Says("How often a worker reports.", 0.05, 60)] = 1.0
    lease_s: Annotated[float, Says("How long a silent worker is taken for alive.", 0.2, 600)] = 10.0
    reconcile_interval_s: Annotated[
        float, Says("How often every task is looked at; commands and events are acted on at once.", 0.05, 60)
    ] = 1.0
    detection_interval_s: Annotated[float, Says("How often configured objects are looked for.", 0.2, 86_400)] = 30.0
    restart_backoff_s: Annotated[
        float, Says("First pause before a worker that died young is replaced; it doubles each time.", 0.0, 60)
    ] = 1.0
    restart_backoff_max_s: Annotated[float, Says("Longest pause before a worker is replaced.", 0.0, 3600)] = 30.0
    starting_deadline_s: Annotated[float, Says("How long Run may take.", 1, 180)] = 180.0
    pausing_deadline_s: Annotated[float, Says("How long Pause may take.", 1, 120)] = 120.0
    force_pausing_deadline_s: Annotated[float, Says("How long Forced Pause may take.", 1, 30)] = 30.0
    continuing_deadline_s: Annotated[float, Says("How long Continue may take.", 1, 180)] = 180.0
    stopping_deadline_s: Annotated[float, Says("How long Stop may take.", 1, 120)] = 120.0
    removing_deadline_s: Annotated[float, Says("How long removing a task may take.", 1, 300)] = 300.0
    keep_days: Annotated[float, Says("How long key events and ended runs are kept, in days.", 1, 36_500)] = 30.0
    keep_events: Annotated[
        int, Says("How many of each task's newest key events are kept, however old.", 1, 100_000)
    ] = 1_000
    keep_runs: Annotated[int, Says("How many of each task's newest runs are kept, however old.", 1, 100_000)] = 20
    metrics_10s_keep_hours: Annotated[
        float, Says("How long figures of tasks are kept in steps of 10 s, in hours.", 0.1, 8_760)
    ] = 2.0
    metrics_1min_keep_days: Annotated[
        float, Says("How long figures of tasks are kept in steps of 1 min, in days.", 0.1, 3_650)
    ] = 2.0
    metrics_1h_keep_days: Annotated[
        float, Says("How long figures of tasks are kept in steps of 1 h, in days.", 1, 36_500)
    ] = 90.0
    log_keep_days: Annotated[float, Says("How long lines of the log are kept, in days.", 0.01, 3_650)] = 7.0
    log_keep_mb: Annotated[
        float, Says("How much room the lines of each task may take, in megabytes; the oldest go first.", 0.1, 10_000)
    ] = 5.0
    alert_interval_s: Annotated[float, Says("How often alert rules are looked at.", 0.05, 60)] = 2.0
    outbound_allow: Annotated[
        str | None,
        Says("Networks, separated by commas, that alerts may be sent to although they are not public."),
    ] = None
    file_folders: Annotated[
        str | None,
        Says(
            "Folders, separated by commas, below which data sources that are files may be, beside lakes/PROJECT in the "
            "data directory; {project} in them is the project's name. By default administrators may name any file."
        ),
    ] = None
    allow_from: Annotated[
        str | None,
        Says("Networks, separated by commas, that requests may come from; by default from everywhere."),
    ] = None
    trusted_proxies: Annotated[
        str,
        Says("Networks of proxies, separated by commas, whose word for whom they ask is taken; none trusts nobody's."),
    ] = "127.0.0.1,::1"
    public_url: Annotated[
        str | None, Says("Where browsers reach this server, such as https://tidegate.example; for single sign-on.")
    ] = None
    sso_issuer: Annotated[
        str | None, Says("Issuer URL of the OpenID Connect provider; by default there is no single sign-on.")
    ] = None
    sso_client_id: Annotated[str | None, Says("What the provider calls this server.")] = None
    sso_client_secret: Annotated[
        str | None, Says("The secret the provider gave for it; a public client has none.", flag=False)
    ] = None
    sso_client_secret_file: Annotated[Path | None, Says("A file that holds that secret instead.")] = None
    sso_scopes: Annotated[str, Says("What the provider is asked for, separated by spaces.")] = "openid profile email"
    sso_groups_claim: Annotated[
        str, Says("Where the provider says which groups somebody is in; dots lead into objects.")
    ] = "groups"
    sso_roles: Annotated[
        str | None,
        Says(
            "What groups are here, separated by semicolons: `GROUP=PROJECT:ROLE` in a project, `GROUP=administrator` "
            "of all."
        ),
    ] = None
    sso_unknown: Annotated[
        Unknown,
        Says("Whether people without an account get one: refuse, mapped (who is in a group of sso_roles) or admit."),
    ] = "mapped"
    sso_hosts: Annotated[
        str | None,
        Says("Other hosts, separated by commas, that the provider's endpoints may be on besides the issuer's own."),
    ] = None
    sso_label: Annotated[str, Says("What the button of the console's log-in says.")] = "Single sign-on"
    sso_session_hours: Annotated[
        float, Says("After how long people are asked to log in at the provider again, in hours.", 0.01, 168)
    ] = 8.0
    decode: Annotated[
        Decoder,
        Says("What workers read the source's log with; auto is the compiled decoder where it is built."),
    ] = "auto"
    log_level: Annotated[LogLevel, Says("What the server and its workers log.")] = "info"

    def __post_init__(self) -> None:
        if self.lease_s < 2 * self.heartbeat_s:
            raise SettingInvalid("lease_s must be at least twice heartbeat_s, or live workers are taken for dead")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the table. `choices` are all it may be, if they are few."""

    name: str
    type: type[Any]
    default: Any
    choices: tuple[str, ...]
    says: Says

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    def parse(self, text: str, *, given_as: str) -> Any:
        """The value written as `text`. Raises `SettingInvalid` naming `given_as`, never the value (I8)."""
        if self.type is Path:
            return Path(text).expanduser().absolute()
        try:
            value = self.type(text)
        except ValueError:
            raise SettingInvalid(f"{given_as} is not a {'whole ' if self.type is int else ''}number") from None
        if self.choices and value not in self.choices:
            raise SettingInvalid(f"{given_as} must be one of {', '.join(self.choices)}")
        if self.says.most and not self.says.least <= value <= self.says.most:
            raise SettingInvalid(f"{given_as} must be from {self.says.least:g} to {self.says.most:g}")
        return value


def _table() -> tuple[Setting, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    rows: list[Setting] = []
    for one in fields(Settings):
        kind, says = get_args(hints[one.name])
        choices: tuple[str, ...] = ()
        if get_origin(kind) is types.UnionType:
            kind = next(part for part in get_args(kind) if part is not type(None))
        if get_origin(kind) is Literal:
            kind, choices = str, get_args(kind)
        default = one.default if one.default_factory is MISSING else one.default_factory()
        rows.append(Setting(one.name, kind, default, choices, says))
    return tuple(rows)


SETTINGS: tuple[Setting, ...] = _table()


def load(environment: Mapping[str, str], flags: Mapping[str, str | None] | None = None) -> Settings:
    """The settings from the environment, with `flags` (name → text, None: not given) over them. An unknown
    `TIDEGATE_…` variable is left alone: Tidegate's other programs have their own. Raises `SettingInvalid`."""
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        if environment.get(setting.variable):
            values[setting.name] = setting.parse(environment[setting.variable], given_as=setting.variable)
        given = (flags or {}).get(setting.name)
        if given is not None:
            values[setting.name] = setting.parse(given, given_as=setting.option)
    return Settings(**values)
