"""The part of `Control` for people and programs: accounts, how one logs in, and who a credential makes somebody.

Who somebody is, is read from the store with each request: what is taken from them is taken at once.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection

from tidegate.errors import InUse, Invalid, LogInRefused, NameTaken, SetUpOver, TooManyTries, Unauthorized
from tidegate.model.permission import ROLES, Role
from tidegate.model.principal import BUILT_IN, Grant, Limit, Principal
from tidegate.model.task import checked_name
from tidegate.server.desk import Desk
from tidegate.server.passwords import Tries, checked_password, fits, hashed
from tidegate.server.views import Moment
from tidegate.store import accounts, catalog, tasks
from tidegate.store.accounts import AccountRow, MemberRow
from tidegate.store.moves import SYSTEM

Kind = Literal["person", "service"]
PERSON, SERVICE = "person", "service"
RESERVED = frozenset({BUILT_IN, SYSTEM})
DESCRIPTION_MAX = 500
SUBJECT_MAX = 255
SET_UP_S = 24 * 3600.0
_SET_UP = "set_up"


@dataclass(frozen=True, slots=True)
class AccountView:
    """`kind` is `person`, who logs in with a password or at the provider, or `service`, which has tokens and access
    keys only."""

    name: str
    kind: str
    description: str
    administrator: bool
    enabled: bool
    version: int
    created_at: Moment
    created_by: str
    projects: dict[str, str]
    """Project → role."""
    subject: str | None
    """What the log-in provider calls the person; None: no log-in there."""
    administrator_by: str | None
    """The provider's group that makes it an administrator; None: it is none, or one by hand."""


class Accounts(Desk):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._tries = Tries()

    # --- the first one ---

    def first_code(self) -> str | None:
        """A code good once, for `SET_UP_S`, to make the first administrator's account with; None if there are accounts
        or there was one before. Only its hash is kept."""
        code = secrets.token_urlsafe(18)
        with self.db.write() as tx:
            self.db.alone(tx)
            if catalog.get_setting(tx, _SET_UP) is not None or accounts.list_accounts(tx):
                return None
            held = {"hash": hash_of(code), "until": self.clock.now() + SET_UP_S}
            catalog.add_setting(tx, _SET_UP, json.dumps(held))
        return code

    def set_up(self, code: str, name: str, password: str, *, address: str) -> AccountView:
        """The first administrator's account. Raises `SetUpOver`, `Invalid`, `TooManyTries`."""
        of = ("pair", f"set-up {address}")
        check_account_name(name)
        checked_password(password, name)
        self._tries.begin(self.clock.ticks(), of)
        held = self._demand_code(code)
        self._tries.right(of)
        made = hashed(password)
        with self.db.write() as tx:
            # Whoever is first to change it has used it.
            if not catalog.replace_setting(tx, _SET_UP, held, json.dumps({"hash": "", "until": 0.0})):
                raise SetUpOver("the code was used meanwhile")
            self.add(tx, name, PERSON, "", administrator=True, password_hash=made, actor=name)
        return self.account(name)

    def _demand_code(self, code: str) -> str:
        """What is kept of it. Raises `SetUpOver`."""
        with self.db.read() as tx:
            kept = catalog.get_setting(tx, _SET_UP) or '{"hash": "", "until": 0}'
            held = json.loads(kept)
            used = any(row.administrator for row in accounts.list_accounts(tx))
        good = secrets.compare_digest(str(held["hash"]), hash_of(code))
        if used or not good or self.clock.now() > float(held["until"]):
            raise SetUpOver("the code is not the server's, is too old, or was used")
        return kept

    # --- accounts ---

    def accounts(self) -> list[AccountView]:
        """By name."""
        with self.db.read() as tx:
            return [_view(tx, row) for row in accounts.list_accounts(tx)]

    def account(self, name: str) -> AccountView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            return _view(tx, accounts.get_account(tx, name))

    def has_account(self, name: str) -> bool:
        with self.db.read() as tx:
            return accounts.find_account(tx, name) is not None

    def create_account(
        self,
        name: str,
        kind: Kind = "person",
        *,
        password: str | None = None,
        administrator: bool = False,
        description: str = "",
        subject: str | None = None,
        actor: str,
    ) -> AccountView:
        """`subject` is what the log-in provider calls the person. Raises `NameTaken`, `Invalid`: also for a person
        without a password or a subject, and a service account with one."""
        check_account_name(name)
        if kind == SERVICE and (password is not None or subject is not None):
            raise Invalid("password, subject: a service account has none")
        if kind == PERSON and password is None and subject is None:
            raise Invalid("password: a person needs one, or the subject of a log-in provider")
        if password is not None:
            checked_password(password, name)
        made = None if password is None else hashed(password)
        with self.db.write() as tx:
            bound = self._bound(tx, subject)
            self.add(tx, name, kind, description, administrator=administrator, password_hash=made, actor=actor, **bound)
        return self.account(name)

    def _bound(self, tx: Connection, subject: str | None) -> dict[str, Any]:
        """The columns that bind an account to a person at the provider. Raises `Invalid`, `NameTaken`."""
        if subject is None:
            return {}
        if self.sign_on is None:
            raise Invalid("subject: there is no single sign-on here; set sso_issuer")
        if not 0 < len(subject) <= SUBJECT_MAX or not subject.isprintable():
            raise Invalid(f"subject: must be 1 to {SUBJECT_MAX} printable characters")
        if accounts.find_bound(tx, self.sign_on.issuer, subject) is not None:
            raise NameTaken("another account is bound to this subject already")
        return {"issuer": self.sign_on.issuer, "subject": subject}

    def add(self, tx: Connection, name: str, kind: str, description: str, *, actor: str, **values: Any) -> None:
        if len(description) > DESCRIPTION_MAX:
            raise Invalid(f"description: must be at most {DESCRIPTION_MAX} characters")
        now = self.clock.now()
        accounts.add_account(
            tx, name=name, kind=kind, description=description, enabled=True, created_at=now, created_by=actor, **values
        )

    def edit_account(
        self,
        name: str,
        *,
        administrator: bool | None = None,
        enabled: bool | None = None,
        description: str | None = None,
        subject: str | None = None,
    ) -> AccountView:
        """One that is disabled is refused from the next request on, whatever it comes with: its log-ins, tokens and
        access keys are over, also if it is enabled again. An empty `subject` unbinds it from the provider. Raises
        `NotFound`, `Invalid`, `NameTaken`."""
        given: dict[str, Any] = {"administrator": administrator, "enabled": enabled, "description": description}
        if len(description or "") > DESCRIPTION_MAX:
            raise Invalid(f"description: must be at most {DESCRIPTION_MAX} characters")
        with self.db.write() as tx:
            row = accounts.get_account(tx, name, lock=True)
            if enabled is False:
                given["sessions"] = row.sessions + 1
                accounts.end_credentials(tx, row)
            changes = {field: value for field, value in given.items() if value is not None}
            if administrator is not None:
                changes["administrator_by"] = None
            if subject and row.kind == SERVICE:
                raise Invalid("subject: a service account has none")
            if subject != row.subject:
                changes |= {"issuer": None, "subject": None} if subject == "" else self._bound(tx, subject)
            accounts.change_account(tx, row, **changes)
        return self.account(name)

    def delete_account(self, name: str) -> None:
        """With its memberships, tokens and access keys. Raises `NotFound`, `InUse` naming its tasks that have a run."""
        with self.db.write() as tx:
            row = accounts.get_account(tx, name, lock=True)
            demand_handed_over(tx, name, None)
            accounts.delete_account(tx, row)

    def set_password(
        self, name: str, password: str, *, present: str | None, address: str, end_credentials: bool = False
    ) -> None:
        """All log-ins are over, also those at the provider. `present` is the password before, or None where an
        administrator sets it: then, and with `end_credentials`, tokens and access keys are over as well. Raises
        `NotFound`, `Invalid`, `TooManyTries`."""
        with self.db.read() as tx:
            held = accounts.get_account(tx, name)
        if held.kind != PERSON:
            raise Invalid("password: a service account has none")
        if present is not None:
            try:
                self.log_in(name, present, address=address)
            except LogInRefused:
                raise Invalid("present: is not the password until now") from None
        checked_password(password, name)
        made = hashed(password)
        with self.db.write() as tx:
            row = accounts.get_account(tx, name, lock=True)
            if present is None or end_credentials:
                accounts.end_credentials(tx, row)
            # Those at the provider know nothing of the password.
            accounts.change_account(tx, row, password_hash=made, sessions=row.sessions + 1)

    # --- who somebody is ---

    def log_in(self, name: str, password: str, *, address: str) -> AccountRow:
        """Raises `LogInRefused` without saying what was wrong, `TooManyTries`."""
        of = (("pair", f"{name} {address}"), ("address", address), ("name", name))
        self._tries.begin(self.clock.ticks(), *of)
        with self.db.read() as tx:
            row = accounts.find_account(tx, name)
        try:
            right = len(password) <= 1000 and fits(password, row.password_hash if row else None)
        except TooManyTries:
            self._tries.undo(*of)
            raise
        if row is None or not right or not row.enabled:
            raise LogInRefused("the log-in was refused")
        self._tries.right(*of)
        return row

    def account_mark(self, row: AccountRow) -> str:
        """Names the account's password without telling anything of it: another password has another mark, and so has
        an account whose log-ins were ended."""
        return hash_of(f"mark of {row.id} {row.password_hash} {row.sessions}")[:16]

    def sign_on_mark(self, row: AccountRow) -> str | None:
        """The same of whom it is bound to at the provider that is configured now; None: to nobody."""
        if self.sign_on is None or row.subject is None or row.issuer != self.sign_on.issuer:
            return None
        return hash_of(f"mark of {row.id} {row.issuer} {row.subject} {self.sign_on.client_id} {row.sessions}")[:16]

    def principal(
        self, account: int, credential: str, *, mark: str | None = None, limit: Limit | None = None
    ) -> Principal:
        """Who the account is now. Raises `Unauthorized` for one that is gone, disabled, or has another mark."""
        with self.db.read() as tx:
            row = accounts.find_account(tx, account)
            if row is None or not row.enabled:
                raise Unauthorized("the account is disabled or gone")
            if mark is not None and mark not in (self.account_mark(row), self.sign_on_mark(row)):
                raise Unauthorized("the account has another password, or another log-in; log in again")
            return _principal(tx, row, credential, limit or Limit())


def _principal(tx: Connection, row: AccountRow, credential: str, limit: Limit) -> Principal:
    grants = {project: grant_of(member) for project, member in accounts.grants_of(tx, row.id)}
    return Principal(row.name, credential, row.id, row.administrator, grants, limit, row.version)


def grant_of(row: MemberRow) -> Grant:
    """A role that a later version knows is nobody's here."""
    role = Role(row.role) if row.role in set(Role) else Role.CUSTOM
    return Grant(role, ROLES[role] | frozenset(row.permissions))


def demand_handed_over(tx: Connection, owner: str, project: str | None) -> None:
    """Raises `InUse` while the owner has tasks with a run (in the project)."""
    if held := tasks.owned(tx, owner, project):
        listed = ", ".join(held[:10]) + (", …" if len(held) > 10 else "")
        raise InUse(f"{owner} owns tasks that have a run: {listed}; hand them over first", tasks=held[:100])


def hash_of(secret: str) -> str:
    """Of a secret with so much chance in it that nobody can guess it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def check_account_name(name: str) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise Invalid(f"name: {error}") from None
    if name.casefold() in RESERVED:
        raise Invalid(f"name: {name} is the server's own")


def _view(tx: Connection, row: AccountRow) -> AccountView:
    projects = {project: member.role for project, member in accounts.grants_of(tx, row.id)}
    return AccountView(
        row.name,
        row.kind,
        row.description,
        row.administrator,
        row.enabled,
        row.version,
        row.created_at,
        row.created_by,
        projects,
        row.subject,
        row.administrator_by,
    )
