"""A store that is ready: tables up to date, the right key at hand, and what is there from the first start."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from tidegate.model.alert import DEFAULT_RULES
from tidegate.store import alerts, audithead, catalog
from tidegate.store.audithead import AuditHead
from tidegate.store.database import Database, default_url
from tidegate.store.lead import Lead
from tidegate.store.secrets import Vault, find_key

DEFAULT = "default"
"""The name of the project and of the resource group that are there from the first start."""

_KEY_CHECK = "key_check"
_SERVER_ID = "server_id"
_ALERT_RULES = "alert_rules"


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. `server_id` keeps two installations apart at one source."""

    database: Database
    vault: Vault
    server_id: str
    lead: Lead
    data_dir: Path

    def close(self) -> None:
        self.lead.release()
        self.database.close()


def open_store(
    data_dir: Path,
    *,
    url: str | None = None,
    environment: Mapping[str, str],
    default_units: int = 8,
) -> Store:
    """Open the store at `url`, by default an SQLite file in `data_dir`, and make it ready.

    Raises `SecretKeyWrong` before anything is changed if the key is not the one the store was made with,
    `StoreUnavailable`, `EnvironmentLacking`, `Invalid` (the URL).
    """
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(url or default_url(data_dir))
    try:
        with database.read() as tx:
            sealed = catalog.get_setting(tx, _KEY_CHECK)
        vault = Vault(find_key(data_dir, environment, may_create=sealed is None))
        with database.write() as tx:
            database.alone(tx)
            sealed = catalog.get_setting(tx, _KEY_CHECK)
            if sealed is None:
                _first_start(tx, vault, default_units)
            else:
                vault.open(base64.b64decode(sealed), _KEY_CHECK)
            audithead.begin(tx, AuditHead(data_dir, vault.mark), vault.mark)
            server_id = catalog.get_setting(tx, _SERVER_ID) or ""
            if catalog.get_setting(tx, _ALERT_RULES) is None:
                _standing_rules(tx)
    except BaseException:
        database.close()
        raise
    return Store(database, vault, server_id, Lead(database), data_dir)


def _first_start(tx: Connection, vault: Vault, default_units: int) -> None:
    catalog.add_setting(tx, _KEY_CHECK, base64.b64encode(vault.seal({}, _KEY_CHECK)).decode())
    catalog.add_setting(tx, _SERVER_ID, secrets.token_hex(3))
    catalog.add_project(tx, name=DEFAULT, description="", now=time.time())
    catalog.add_group(
        tx, name=DEFAULT, engine="local", units=default_units, description="Processes on the server's machine"
    )


def _standing_rules(tx: Connection) -> None:
    """Once in a store's life; what people did with them since stays."""
    catalog.add_setting(tx, _ALERT_RULES, "made")
    project_id = catalog.get_project(tx, DEFAULT).id
    for rule in DEFAULT_RULES:
        if alerts.find_rule(tx, project_id, rule.alert_rule) is None:
            alerts.add_rule(
                tx,
                now=time.time(),
                project_id=project_id,
                name=rule.alert_rule,
                enabled=rule.enabled,
                severity=rule.severity.value,
                definition=rule.definition(),
            )
