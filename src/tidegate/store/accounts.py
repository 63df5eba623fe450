"""Accounts, what they are in projects, and their bearer tokens, of which only hashes are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from tidegate.errors import NameTaken, NotFound, StaleVersion
from tidegate.store.rows import columns, read
from tidegate.store.tables import access_key, account, bearer_token, member, project


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: int
    name: str
    kind: str
    description: str
    administrator: bool
    enabled: bool
    password_hash: str | None
    version: int
    created_at: float
    created_by: str
    sessions: int
    issuer: str | None
    subject: str | None
    administrator_by: str | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    project_id: int
    account_id: int
    role: str
    permissions: Sequence[str]
    since: float
    by_group: str | None


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: int
    account_id: int
    name: str
    permissions: Sequence[str] | None
    projects: Sequence[str] | None
    created_at: float
    created_by: str
    expires_at: float


# --- accounts -----------------------------------------------------------------------------------------------------


def list_accounts(tx: Connection) -> list[AccountRow]:
    """By name."""
    return [read(AccountRow, row) for row in tx.execute(select(*columns(account, AccountRow)).order_by(account.c.name))]


def find_account(tx: Connection, ref: int | str, *, lock: bool = False) -> AccountRow | None:
    """By id or name."""
    wanted = account.c.id == ref if isinstance(ref, int) else account.c.name == ref
    query = select(*columns(account, AccountRow)).where(wanted)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(AccountRow, row) if row is not None else None


def find_bound(tx: Connection, issuer: str, subject: str, *, lock: bool = False) -> AccountRow | None:
    """Whose account is bound to the person whom the provider calls so."""
    wanted = (account.c.issuer == issuer) & (account.c.subject == subject)
    query = select(*columns(account, AccountRow)).where(wanted)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return read(AccountRow, row) if row is not None else None


def get_account(tx: Connection, name: str, *, lock: bool = False) -> AccountRow:
    """Raises `NotFound`."""
    found = find_account(tx, name, lock=lock)
    if found is None:
        raise NotFound(f"there is no account {name}")
    return found


def add_account(tx: Connection, **values: Any) -> None:
    """Raises `NameTaken`."""
    try:
        tx.execute(account.insert().values(**values, version=1))
    except IntegrityError:
        raise NameTaken(f"there is an account {values['name']} already") from None


def change_account(tx: Connection, held: AccountRow, **values: Any) -> None:
    """Raises `StaleVersion`."""
    same = (account.c.id == held.id) & (account.c.version == held.version)
    if tx.execute(account.update().where(same).values(**values, version=held.version + 1)).rowcount != 1:
        raise StaleVersion(f"account {held.name} was changed meanwhile")


def end_credentials(tx: Connection, held: AccountRow) -> None:
    """Its tokens and access keys."""
    for table in (bearer_token, access_key):
        tx.execute(table.delete().where(table.c.account_id == held.id))


def delete_account(tx: Connection, held: AccountRow) -> None:
    """With its memberships, tokens and access keys."""
    end_credentials(tx, held)
    tx.execute(member.delete().where(member.c.account_id == held.id))
    tx.execute(account.delete().where(account.c.id == held.id))


# --- members ------------------------------------------------------------------------------------------------------


def grants_of(tx: Connection, account_id: int) -> list[tuple[str, MemberRow]]:
    """What the account is, with the names of the projects, by name."""
    query = select(project.c.name, *columns(member, MemberRow)).join(project, project.c.id == member.c.project_id)
    found = tx.execute(query.where(member.c.account_id == account_id).order_by(project.c.name))
    return [(row[0], read(MemberRow, row[1:])) for row in found]


def list_members(tx: Connection, project_id: int) -> list[tuple[AccountRow, MemberRow]]:
    """By name."""
    first = columns(account, AccountRow)
    query = select(*first, *columns(member, MemberRow)).join(member, member.c.account_id == account.c.id)
    found = tx.execute(query.where(member.c.project_id == project_id).order_by(account.c.name))
    return [(read(AccountRow, row[: len(first)]), read(MemberRow, row[len(first) :])) for row in found]


def put_member(tx: Connection, project_id: int, account_id: int, **values: Any) -> None:
    """Also one that is a member already, who stays so since then."""
    which = (member.c.project_id == project_id) & (member.c.account_id == account_id)
    changes = {name: value for name, value in values.items() if name != "since"}
    if tx.execute(member.update().where(which).values(**changes)).rowcount != 1:
        tx.execute(member.insert().values(project_id=project_id, account_id=account_id, **values))


def delete_member(tx: Connection, project_id: int, account_id: int) -> bool:
    """Whether it was one."""
    which = (member.c.project_id == project_id) & (member.c.account_id == account_id)
    return tx.execute(member.delete().where(which)).rowcount == 1


# --- tokens -------------------------------------------------------------------------------------------------------


def list_tokens(tx: Connection, account_id: int | None = None) -> list[tuple[str, TokenRow]]:
    """With the name of the account of each, by account and name."""
    query = select(account.c.name, *columns(bearer_token, TokenRow)).join(
        account, account.c.id == bearer_token.c.account_id
    )
    if account_id is not None:
        query = query.where(bearer_token.c.account_id == account_id)
    found = tx.execute(query.order_by(account.c.name, bearer_token.c.name))
    return [(row[0], read(TokenRow, row[1:])) for row in found]


def find_token(tx: Connection, token_hash: str) -> TokenRow | None:
    query = select(*columns(bearer_token, TokenRow)).where(bearer_token.c.token_hash == token_hash)
    row = tx.execute(query).one_or_none()
    return read(TokenRow, row) if row is not None else None


def add_token(tx: Connection, **values: Any) -> int:
    """Its id. Raises `NameTaken`."""
    try:
        added = tx.execute(bearer_token.insert().values(**values))
    except IntegrityError:
        raise NameTaken(f"there is a token {values['name']} of the account already") from None
    key: int = added.inserted_primary_key[0]  # type: ignore[index]  # an insert of one row always has it
    return key


def delete_token(tx: Connection, token_id: int, account_id: int | None = None) -> None:
    """With `account_id` only one of that account. Raises `NotFound`."""
    which = bearer_token.c.id == token_id
    if account_id is not None:
        which &= bearer_token.c.account_id == account_id
    if tx.execute(bearer_token.delete().where(which)).rowcount != 1:
        raise NotFound(f"there is no token {token_id}")
