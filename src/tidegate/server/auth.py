"""The one admin token: who has it may do everything, and nothing but `/api/v1/health` is answered without it.

It is made at the first start and shown once; the store keeps its hash, and a file in the data directory that only its
owner can read keeps it for the command line on the same machine.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.types import Scope

from tidegate.errors import Unauthorized

OPEN_PATHS = frozenset({"/api/v1/health"})
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


class Gate:
    """Decides about requests. `check_admin` may be slow (it asks the store); a token found right is remembered by
    its hash."""

    def __init__(self, check_admin: Callable[[str], bool]) -> None:
        self._check_admin = check_admin
        self._right = b""

    async def check(self, scope: Scope) -> None:
        """Raises `Unauthorized`."""
        if scope["path"] in OPEN_PATHS:
            return
        token = bearer(scope)
        digest = hashlib.sha256(token.encode()).digest()
        if hmac.compare_digest(digest, self._right):
            return
        if not await run_in_threadpool(self._check_admin, token):
            raise Unauthorized("the token is not the admin token")
        self._right = digest
