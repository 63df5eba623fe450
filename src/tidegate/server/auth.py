"""Who asks: the holder of the admin token, who may do everything, an account by one of its tokens, or a browser by its
session. Nothing that tells of a task is answered to anybody else.

The admin token is made at the first start and shown once; the store keeps its hash, and a file in the data directory
that only its owner can read keeps it for the command line on the same machine.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from tidegate.console.pages import open_to_all
from tidegate.errors import Unauthorized
from tidegate.model.principal import Principal, built_in
from tidegate.server.access import PRINCIPAL
from tidegate.server.control import Control
from tidegate.server.members import TOKEN_PREFIX
from tidegate.server.reach import address_of
from tidegate.server.session import SAFE_METHODS, Sessions, cookie_of, demand_same_origin

OPEN_PATHS = frozenset({"/api/v1/health"})
OPEN_DOORS = frozenset(
    {
        ("POST", "/api/v1/session"),
        ("POST", "/api/v1/setup"),
        ("GET", "/api/v1/session/ways"),
        ("GET", "/api/v1/session/sso"),
        ("GET", "/api/v1/session/sso/callback"),
    }
)
TOKEN_MAX = 500


def token_file(data_dir: Path) -> Path:
    """Where the command line on the server's machine finds the token."""
    return data_dir / "admin.token"


def keep_token(data_dir: Path, token: str) -> Path:
    """Write the token to its file, which never exists with wider rights than its owner's."""
    path = token_file(data_dir)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path


def bearer(scope: Scope) -> str:
    """The token a request carries. Raises `Unauthorized`."""
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, token = (headers[0] if len(headers) == 1 else b"").partition(b" ")
    if scheme.lower() != b"bearer" or not 0 < len(token) <= TOKEN_MAX or not token.isascii():
        raise Unauthorized("the request carries no bearer token")
    return token.decode("ascii").strip()


class TokenCheck:
    """Finds out who asks. It asks the store each time, but for the admin token, which is remembered by its hash once it
    was found right."""

    def __init__(self, control: Control, sessions: Sessions) -> None:
        self._control = control
        self._sessions = sessions
        self._right = b""

    async def check(self, scope: Scope) -> None:
        """Notes in the scope who asks. Raises `Unauthorized`, `ForeignOrigin`."""
        if scope["path"] in OPEN_PATHS or open_to_all(scope["path"]) or (scope["method"], scope["path"]) in OPEN_DOORS:
            return
        who = await self._found(scope)
        scope[PRINCIPAL] = who  # for the audit log, should the store fail now
        scope[PRINCIPAL] = await run_in_threadpool(self._control.placed, who, address_of(scope))

    async def _found(self, scope: Scope) -> Principal:
        cookie = cookie_of(scope)
        if cookie is not None and not any(name == b"authorization" for name, _ in scope["headers"]):
            who = await run_in_threadpool(self._sessions.who, cookie)
            scope[PRINCIPAL] = who
            if scope["method"] not in SAFE_METHODS:
                demand_same_origin(scope)
            return who
        token = bearer(scope)
        if token.startswith(TOKEN_PREFIX):
            return await run_in_threadpool(self._control.principal_of, token)
        digest = hashlib.sha256(token.encode()).digest()
        if not hmac.compare_digest(digest, self._right):
            if not await run_in_threadpool(self._control.check_admin, token):
                raise Unauthorized("the token is neither the admin token nor one of an account")
            self._right = digest
        return built_in("admin token")
