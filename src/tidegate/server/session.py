"""Who a browser is: a log-in with a name and password, with a token, or at the provider becomes a cookie that no script
can read and no other site can use.

The cookie is a sealed note of who logged in and until when. The server keeps nothing of it, so a server that is started
again, and another one with the same store and key, know it as well. It ends by itself, with the credential it was
opened with, and with the account.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.types import Scope

from tidegate.errors import ForeignOrigin, SecretKeyWrong, Unauthorized
from tidegate.model.principal import BUILT_IN, Principal, built_in
from tidegate.server.control import Control
from tidegate.server.oidc import Identity

COOKIE = "tidegate_session"
LASTS_S = 12 * 3600
COOKIE_MAX = 1000
KNOWN_MAX = 1000
SEALED_FOR = "console session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CREDENTIAL = "log-in"
SIGN_ON = "single sign-on"


@dataclass(frozen=True, slots=True)
class Session:
    """`until` is a Unix time in seconds. `account` is None for the built-in administrator."""

    actor: str
    until: float
    of: str
    """The credential it was opened with, as `Control` names it: with another it is over."""
    account: int | None = None
    signed_on: bool = False
    """Whether it was opened by a log-in at the provider."""


class Sessions:
    """Opens and checks them. All but the form of a cookie is asked of the store each time."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._known: OrderedDict[str, Session] = OrderedDict()

    def open(self, token: str) -> tuple[Session, str]:
        """A session of the admin token's holder, and its cookie's value. Raises `Unauthorized`."""
        if not self._control.check_admin(token):
            raise Unauthorized("the token is not the admin token")
        return self._opened(BUILT_IN, self._control.admin_mark(), None)

    def log_in(self, name: str, password: str, address: str) -> tuple[Session, str]:
        """The same of an account. Raises `LogInRefused`, `TooManyTries`."""
        row = self._control.log_in(name, password, address=address)
        return self._opened(row.name, self._control.account_mark(row), row.id)

    def sign_on(self, identity: Identity) -> tuple[Session, str]:
        """The same of who comes from the provider. Raises `SignOnRefused`, `SignOnNotAdmitted`."""
        row, mark, lasts_s = self._control.sign_on_as(identity)
        return self._opened(row.name, mark, row.id, lasts_s, signed_on=True)

    def _opened(
        self, actor: str, of: str, account: int | None, lasts_s: float = LASTS_S, *, signed_on: bool = False
    ) -> tuple[Session, str]:
        session = Session(actor, self._control.clock.now() + lasts_s, of, account, signed_on)
        note = {"actor": actor, "until": f"{session.until:.3f}", "of": of}
        if signed_on:
            note["by"] = SIGN_ON
        if account is not None:
            note["account"] = str(account)
        sealed = self._control.store.vault.seal(note, SEALED_FOR)
        return session, base64.urlsafe_b64encode(sealed).decode()

    def check(self, cookie: str) -> Session:
        """One that has not ended by itself. Raises `Unauthorized`."""
        session = self._known.get(cookie) or self._unsealed(cookie)
        if session.until <= self._control.clock.now():
            self._known.pop(cookie, None)
            raise Unauthorized("the session is over; log in again")
        self._known[cookie] = session
        while len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)
        return session

    def who(self, cookie: str) -> Principal:
        """Whose cookie it is, as they are now. Raises `Unauthorized`."""
        session = self.check(cookie)
        if session.account is not None:
            credential = SIGN_ON if session.signed_on else CREDENTIAL
            return self._control.principal(session.account, credential, mark=session.of)
        if session.of != self._control.admin_mark():
            raise Unauthorized("the session is over; log in again")
        return built_in(CREDENTIAL)

    def _unsealed(self, cookie: str) -> Session:
        try:
            note = self._control.store.vault.open(base64.urlsafe_b64decode(cookie.encode("ascii")), SEALED_FOR)
            account = int(note["account"]) if "account" in note else None
            return Session(note["actor"], float(note["until"]), note["of"], account, "by" in note)
        except (SecretKeyWrong, UnicodeError, binascii.Error, json.JSONDecodeError, KeyError, ValueError):
            raise Unauthorized("the session is not known; log in again") from None


def cookie_of(scope: Scope) -> str | None:
    """The session's cookie of a request; None: it has none."""
    for name, value in scope["headers"]:
        if name == b"cookie" and COOKIE.encode() in value:
            try:
                held = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return None
            if held is not None and len(held.value) <= COOKIE_MAX:
                return held.value
    return None


def demand_same_origin(scope: Scope) -> None:
    """What a browser does in a person's name it does from a page of this very server: a cookie alone proves nothing of
    that. Raises `ForeignOrigin`."""
    headers = dict(scope["headers"])
    origin, host = headers.get(b"origin", b"").decode("latin-1"), headers.get(b"host", b"").decode("latin-1")
    if not host or urlsplit(origin).netloc != host:
        raise ForeignOrigin(f"the request comes from {origin[:200] or 'nowhere'}, not from a page of {host[:200]}")
