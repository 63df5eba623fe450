"""The part of `Control` for what accounts may do: members of projects and their roles, and bearer tokens."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tidegate.errors import Forbidden, Invalid, NotFound, StaleVersion, Unauthorized
from tidegate.model.permission import BY_NAME, OF_ACCOUNT, OF_PROJECT, ROLES, USER_EDIT, Role
from tidegate.model.principal import Limit, Principal
from tidegate.model.task import checked_name
from tidegate.server.accounts import SERVICE, Accounts, demand_handed_over, grant_of, hash_of
from tidegate.server.views import Moment
from tidegate.store import accounts, catalog
from tidegate.store.accounts import AccountRow, MemberRow, TokenRow

TOKEN_PREFIX = "tga_"  # noqa: S105 - what tokens of accounts begin with
TOKEN_DAYS_MAX = 3660
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class MemberView:
    account: str
    kind: str
    enabled: bool
    administrator: bool
    """Whether it may do everything anyway."""
    role: str
    permissions: list[str]
    """All that it may do in the project by this role."""
    since: Moment
    by_group: str | None
    """The group of the log-in provider that it comes from; None: it was given by hand."""


@dataclass(frozen=True, slots=True)
class TokenView:
    """`permissions` and `projects` are None where the token is good for all that its account may do."""

    id: int
    account: str
    name: str
    permissions: list[str] | None
    projects: list[str] | None
    created_at: Moment
    created_by: str
    expires_at: Moment
    expired: bool


@dataclass(frozen=True, slots=True)
class NewToken(TokenView):
    """The one answer that holds the token."""

    token: str = field(repr=False)


class Members(Accounts):
    # --- members ---

    def members(self, project: str) -> list[MemberView]:
        """By name. Raises `NotFound`."""
        with self.db.read() as tx:
            held = catalog.get_project(tx, project)
            return [_member_view(account, row) for account, row in accounts.list_members(tx, held.id)]

    def put_member(
        self, project: str, account: str, role: str, permissions: Sequence[str] | None = None, *, who: Principal
    ) -> MemberView:
        """Let the account in, or give it another role. `permissions` are for the role `custom`. Raises `NotFound`,
        `Invalid`, and `Forbidden` for more than they have themselves."""
        if role not in set(Role):
            raise Invalid(f"role: must be one of {', '.join(Role)}")
        if (permissions is not None) != (role == Role.CUSTOM):
            raise Invalid("permissions: the role custom takes a list of them, no other does")
        if unknown := sorted(set(permissions or ()) - OF_PROJECT):
            raise Invalid(f"permissions: {', '.join(unknown)} is none of {', '.join(sorted(OF_PROJECT))}")
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, project, lock=True).id
            held = accounts.get_account(tx, account, lock=True)
            _demand_no_more(tx, project, held.id, who)
            given = ROLES[Role(role)] | set(permissions or ())
            if beyond := sorted(given - set(who.held(project))):
                raise Forbidden(f"{who.actor} cannot give {', '.join(beyond)} in project {project}")
            accounts.put_member(
                tx,
                project_id,
                held.id,
                role=Role(role).value,
                permissions=sorted(set(permissions or ())),
                since=self.clock.now(),
                by_group=None,
            )
        return next(one for one in self.members(project) if one.account == account)

    def remove_member(self, project: str, account: str, *, who: Principal) -> None:
        """Raises `NotFound`, `Forbidden` for one who may do more, `InUse` naming their tasks in the project that have a
        run."""
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, project, lock=True).id
            held = accounts.find_account(tx, account)
            if held is None or not any(row.id == held.id for row, _ in accounts.list_members(tx, project_id)):
                raise NotFound(f"{account} is no member of project {project}")
            _demand_no_more(tx, project, held.id, who)
            demand_handed_over(tx, account, project)
            accounts.delete_member(tx, project_id, held.id)

    # --- tokens ---

    def tokens(self, who: Principal) -> list[TokenView]:
        """Their own, and everybody's for those who may change accounts; by account and name."""
        mine = None if who.may(USER_EDIT) else who.account
        now = self.clock.now()
        with self.db.read() as tx:
            found = accounts.list_tokens(tx, mine) if who.may(USER_EDIT) or mine is not None else []
        return [_token_view(name, row, now) for name, row in found]

    def create_token(
        self,
        name: str,
        *,
        days: float,
        account: str | None,
        permissions: Sequence[str] | None,
        projects: Sequence[str] | None,
        who: Principal,
    ) -> NewToken:
        """Of one's own account, or of a service account by those who may change accounts. Raises `Invalid`,
        `NameTaken`, `NotFound`, `Forbidden`."""
        try:
            checked_name(name)
        except ValueError as error:
            raise Invalid(f"name: {error}") from None
        if not 0 < days <= TOKEN_DAYS_MAX:
            raise Invalid(f"days: must be more than 0 and at most {TOKEN_DAYS_MAX}")
        if unknown := sorted(set(permissions or ()) - (BY_NAME.keys() - OF_ACCOUNT)):
            raise Invalid(f"permissions: a token cannot be limited to {', '.join(unknown)}")
        token, now = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}", self.clock.now()
        with self.db.write() as tx:
            held = account_for(tx, account, who)
            for project in projects or ():
                who.demand_seen(project)
                catalog.get_project(tx, project)
            accounts.add_token(
                tx,
                account_id=held.id,
                name=name,
                token_hash=hash_of(token),
                permissions=None if permissions is None else sorted(set(permissions)),
                projects=None if projects is None else sorted(set(projects)),
                created_at=now,
                created_by=who.actor,
                expires_at=now + days * DAY_S,
            )
            row = accounts.find_token(tx, hash_of(token))
        if row is None:
            raise NotFound(f"there is no token {name}")
        view = _token_view(held.name, row, now)
        return NewToken(**{one: getattr(view, one) for one in TokenView.__dataclass_fields__}, token=token)

    def revoke_token(self, token_id: int, *, who: Principal) -> None:
        """Raises `NotFound`, also for somebody else's."""
        if not who.may(USER_EDIT) and who.account is None:
            raise NotFound(f"there is no token {token_id}")
        with self.db.write() as tx:
            accounts.delete_token(tx, token_id, None if who.may(USER_EDIT) else who.account)

    def principal_of(self, token: str) -> Principal:
        """Whose token it is. Raises `Unauthorized`."""
        with self.db.read() as tx:
            row = accounts.find_token(tx, hash_of(token))
        if row is None or row.expires_at <= self.clock.now():
            raise Unauthorized("the token is not known, was revoked, or has expired")
        limit = Limit(
            None if row.permissions is None else frozenset(row.permissions),
            None if row.projects is None else frozenset(row.projects),
        )
        return self.principal(row.account_id, f"token {row.name}", limit=limit)


def account_for(tx: Connection, name: str | None, who: Principal) -> AccountRow:
    """The account that a credential is made for: one's own, or a service account's by those who may change accounts;
    a person's credentials are made by that person alone. Raises `Forbidden`, `NotFound`, `Invalid`, `StaleVersion`."""
    if name is None or name == who.actor:
        if who.account is None:
            raise Invalid("account: the built-in administrator has none; name a service account")
        found = accounts.find_account(tx, who.account, lock=True)
        if found is None:
            raise NotFound(f"there is no account {who.actor}")
        # A request that was on its way when credentials were ended makes none that outlives that.
        if found.version != who.version:
            raise StaleVersion(f"account {found.name} was changed meanwhile")
        return found
    who.demand(USER_EDIT)
    found = accounts.get_account(tx, name, lock=True)
    if found.kind != SERVICE:
        raise Forbidden(f"{name} is a person, who alone makes credentials of theirs")
    if not found.enabled:
        raise Invalid(f"account: {name} is disabled")
    return found


def _demand_no_more(tx: Connection, project: str, account: int, who: Principal) -> None:
    """Raises `Forbidden` if the account may do more in the project than they."""
    for name, row in accounts.grants_of(tx, account):
        if name == project and not grant_of(row).permissions <= set(who.held(project)):
            raise Forbidden(f"this member of project {project} may do more than {who.actor}")


def _member_view(account: AccountRow, row: MemberRow) -> MemberView:
    held = grant_of(row)
    return MemberView(
        account.name,
        account.kind,
        account.enabled,
        account.administrator,
        held.role.value,
        sorted(held.permissions),
        row.since,
        row.by_group,
    )


def _token_view(account: str, row: TokenRow, now: float) -> TokenView:
    return TokenView(
        row.id,
        account,
        row.name,
        None if row.permissions is None else list(row.permissions),
        None if row.projects is None else list(row.projects),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.expires_at <= now,
    )
