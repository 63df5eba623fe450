"""Access keys: who a program is that signs its requests, and the secret it signs them with, encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from tidegate.errors import NameTaken, NotFound
from tidegate.store.rows import columns, read
from tidegate.store.tables import access_key


@dataclass(frozen=True, slots=True)
class AccessKeyRow:
    id: int
    name: str
    secret_id: str
    secrets: bytes
    created_at: float
    created_by: str
    account_id: int | None


def list_keys(tx: Connection) -> list[AccessKeyRow]:
    """By name."""
    query = select(*columns(access_key, AccessKeyRow)).order_by(access_key.c.name)
    return [read(AccessKeyRow, row) for row in tx.execute(query)]


def find_key(tx: Connection, secret_id: str) -> AccessKeyRow | None:
    query = select(*columns(access_key, AccessKeyRow)).where(access_key.c.secret_id == secret_id)
    row = tx.execute(query).one_or_none()
    return read(AccessKeyRow, row) if row is not None else None


def add_key(tx: Connection, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(access_key.insert().values(**values))
    except IntegrityError:
        raise NameTaken(f"there is an access key {values['name']} already") from None


def delete_key(tx: Connection, secret_id: str) -> None:
    """Raises `NotFound`."""
    if tx.execute(access_key.delete().where(access_key.c.secret_id == secret_id)).rowcount != 1:
        raise NotFound(f"there is no access key {secret_id}")
