"""The part of `Control` for access keys: pairs of SecretId and SecretKey, which programs sign their requests with.

A secret is shown once, when its pair is made. It is kept encrypted, for its hash could verify no signature (I8).
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.errors import Invalid, NotFound
from tidegate.model.permission import USER_EDIT
from tidegate.model.principal import Principal, built_in
from tidegate.model.task import checked_name
from tidegate.server.members import Members, account_for
from tidegate.server.views import Moment
from tidegate.store import accesskeys, accounts
from tidegate.store.accesskeys import AccessKeyRow

_ALPHABET = string.ascii_letters + string.digits
_RANDOM_CHARACTERS = 32
"""Each has 62 values: about 190 bits."""


@dataclass(frozen=True, slots=True)
class AccessKeyView:
    """`account` is whose it is; None: the built-in administrator's."""

    name: str
    secret_id: str
    created_at: Moment
    created_by: str
    account: str | None


@dataclass(frozen=True, slots=True)
class NewAccessKey(AccessKeyView):
    """The one answer that holds the secret."""

    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature is to be verified, and by which secret."""

    who: Principal
    secret_key: str = field(repr=False)


class AccessKeys(Members):
    def access_keys(self, who: Principal) -> list[AccessKeyView]:
        """Their own, and everybody's for those who may change accounts; by name."""
        with self.db.read() as tx:
            names = {row.id: row.name for row in accounts.list_accounts(tx)}
            rows = accesskeys.list_keys(tx)
        return [_view(row, names) for row in rows if _is_theirs(row, who)]

    def create_access_key(self, name: str, *, account: str | None = None, who: Principal) -> NewAccessKey:
        """Of one's own account, or of a service account by those who may change accounts. Raises `Invalid`,
        `NameTaken`, `NotFound`, `Forbidden`."""
        try:
            checked_name(name)
        except ValueError as error:
            raise Invalid(f"name: {error}") from None
        secret_id, secret_key, now = f"AKID{_random()}", _random(), self.clock.now()
        with self.db.write() as tx:
            built_in = account is None and who.account is None
            held = None if built_in else account_for(tx, account, who)
            accesskeys.add_key(
                tx,
                name=name,
                secret_id=secret_id,
                secrets=self.store.vault.seal({"secret_key": secret_key}, _sealed_for(secret_id)),
                created_at=now,
                created_by=who.actor,
                account_id=None if held is None else held.id,
            )
        return NewAccessKey(name, secret_id, now, who.actor, None if held is None else held.name, secret_key)

    def revoke_access_key(self, secret_id: str, *, who: Principal) -> None:
        """What it signs is refused from the next request on. Raises `NotFound`, also for somebody else's."""
        with self.db.write() as tx:
            row = accesskeys.find_key(tx, secret_id)
            if row is None or not _is_theirs(row, who):
                raise NotFound(f"there is no access key {secret_id}")
            accesskeys.delete_key(tx, secret_id)

    def signer(self, secret_id: str) -> Signer | None:
        """None: there is no such key. Raises `SecretKeyWrong`, and `Unauthorized` for one of a disabled account."""
        with self.db.read() as tx:
            row = accesskeys.find_key(tx, secret_id)
        if row is None:
            return None
        opened = self.store.vault.open(row.secrets, _sealed_for(row.secret_id))
        credential = f"key {row.name}"
        if row.account_id is None:
            who = built_in(credential, actor=credential[:100])
        else:
            who = self.principal(row.account_id, credential)
        return Signer(who, opened["secret_key"])


def _random() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))


def _sealed_for(secret_id: str) -> str:
    return f"access key {secret_id}"


def _is_theirs(row: AccessKeyRow, who: Principal) -> bool:
    return who.may(USER_EDIT) or (row.account_id is not None and row.account_id == who.account)


def _view(row: AccessKeyRow, names: Mapping[int, str]) -> AccessKeyView:
    account = None if row.account_id is None else names.get(row.account_id, "")
    return AccessKeyView(row.name, row.secret_id, row.created_at, row.created_by, account)
