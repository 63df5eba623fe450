"""The part of `Control` for people who log in at a provider: whose account they are, and what their groups give them.

An account is bound by issuer and subject, and never found by a name or a mail address: these may be anybody's choice.
"""

from __future__ import annotations

import re
from typing import Any

import structlog
from sqlalchemy import Connection

from tidegate.errors import SignOnNotAdmitted, SignOnRefused
from tidegate.model.federation import Granted, granted
from tidegate.model.task import NAME_MAX
from tidegate.server.accounts import PERSON, RESERVED, Accounts
from tidegate.server.oidc import Identity
from tidegate.store import accounts, catalog
from tidegate.store.accounts import AccountRow
from tidegate.store.moves import SYSTEM

log = structlog.get_logger()
TITLE_MAX = 200


class SignOn(Accounts):
    def sign_on_as(self, identity: Identity) -> tuple[AccountRow, str, float]:
        """Their account with the roles that their groups give now, the mark of its log-in, and how long that lasts in
        seconds. Raises `SignOnNotAdmitted`, and `SignOnRefused` for a disabled account."""
        config = self.sign_on
        if config is None:
            raise SignOnRefused("there is no single sign-on here")
        given = granted(config.rules, identity.groups)
        with self.db.write() as tx:
            row = accounts.find_bound(tx, identity.issuer, identity.subject, lock=True)
            if row is None:
                row = self._admitted(tx, identity, given, config.unknown)
            if not row.enabled:
                raise SignOnRefused(f"the account {row.name} is disabled")
            self._grant(tx, row, given)
            mark = self.sign_on_mark(row)
        if mark is None:
            raise SignOnRefused("the provider is another one than this server is configured for")
        return row, mark, config.lasts_s

    def _admitted(self, tx: Connection, identity: Identity, given: Granted, unknown: str) -> AccountRow:
        """A new account of theirs. Raises `SignOnNotAdmitted`."""
        if unknown == "refuse" or (unknown == "mapped" and not given.any):
            why = "" if unknown == "refuse" else ", and none of their groups is mapped"
            raise SignOnNotAdmitted(f"no account is bound to subject {_shown(identity.subject)}{why}")
        self.db.alone(tx)  # two log-ins at once make one account
        found = accounts.find_bound(tx, identity.issuer, identity.subject)
        if found is not None:
            return found
        name = free_name(identity.name, {row.name.casefold() for row in accounts.list_accounts(tx)})
        title = "".join(sign for sign in identity.title if sign.isprintable())[:TITLE_MAX]
        bound = {"issuer": identity.issuer, "subject": identity.subject}
        self.add(tx, name, PERSON, title, administrator=False, password_hash=None, actor=SYSTEM, **bound)
        return accounts.get_account(tx, name)

    def _grant(self, tx: Connection, row: AccountRow, given: Granted) -> None:
        """What was given by hand stays; what came from groups is what they give now."""
        by = given.administrator_by
        by_hand = row.administrator and row.administrator_by is None
        if by != row.administrator_by and not by_hand:
            accounts.change_account(tx, row, administrator=by is not None, administrator_by=by)
        held = dict(accounts.grants_of(tx, row.id))
        for project, member in held.items():
            if member.by_group is not None and project not in given.roles:
                accounts.delete_member(tx, member.project_id, row.id)
        ids = {project.name: project.id for project, _ in catalog.list_projects(tx)}
        for project, (role, group) in given.roles.items():
            there = held.get(project)
            if project not in ids:
                log.warning("sign_on.no_project", project=project, group=group)
            elif there is None or there.by_group is not None:
                values: dict[str, Any] = {
                    "role": role.value,
                    "permissions": [],
                    "since": self.clock.now(),
                    "by_group": group,
                }
                accounts.put_member(tx, ids[project], row.id, **values)


def free_name(wanted: str, taken: set[str]) -> str:
    """What an account is called: as the person is at the provider, as far as names allow, and like no other."""
    plain = re.sub(r"\W+", "_", wanted.partition("@")[0]).strip("_")[: NAME_MAX - 6]
    plain = plain if plain and not plain.isdigit() else f"person_{plain}".rstrip("_")
    taken = taken | {name.casefold() for name in RESERVED}
    names = (plain if number == 1 else f"{plain}_{number}" for number in range(1, 100_000))
    return next(name for name in names if name.casefold() not in taken)


def _shown(subject: str) -> str:
    """What an administrator needs to bind an account, if it can be shown."""
    return subject if subject.isprintable() else "…"
