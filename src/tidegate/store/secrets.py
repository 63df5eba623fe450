"""Secrets at rest: AES-256-GCM, each ciphertext bound to what it belongs to.

The key comes from TIDEGATE_SECRET_KEY or from a file that the first start creates. A key that is not the one the store
was made with is refused before anything else is done (`SecretKeyWrong`); a lost key file is never replaced by a new one
while the store holds secrets.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tidegate.errors import EnvironmentLacking, SecretKeyWrong

KEY_BYTES = 32
KEY_ENV = "TIDEGATE_SECRET_KEY"
KEY_FILE = "secret.key"
_NONCE_BYTES = 12
_KEY_ID_BYTES = 4


class Vault:
    """Encrypts and decrypts with one key. Its `repr` says nothing (I8)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._marking = hmac.digest(key, b"tidegate marks", "sha256")
        self.key_id = hashlib.sha256(b"tidegate key id" + key).digest()[:_KEY_ID_BYTES]

    def __repr__(self) -> str:
        return "Vault()"

    def seal(self, values: Mapping[str, str], of: str) -> bytes:
        """Key id, nonce and ciphertext of the values; only `open` with the same `of` gives them back."""
        nonce = os.urandom(_NONCE_BYTES)
        text = json.dumps(dict(values)).encode()
        return self.key_id + nonce + self._cipher.encrypt(nonce, text, of.encode())

    def mark(self, text: str) -> str:
        """HMAC-SHA256 of the text in hexadecimal, by a key made of the vault's: who has not the key can make none."""
        return hmac.digest(self._marking, text.encode(), "sha256").hex()

    def open(self, sealed: bytes, of: str) -> dict[str, str]:
        """Raises `SecretKeyWrong` for another key, another `of`, or bytes that were changed."""
        key_id, rest = sealed[:_KEY_ID_BYTES], sealed[_KEY_ID_BYTES:]
        if key_id != self.key_id:
            raise SecretKeyWrong(f"the secrets of {of} were encrypted with key {key_id.hex()}, not {self.key_id.hex()}")
        try:
            text = self._cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], of.encode())
        except (InvalidTag, ValueError):
            raise SecretKeyWrong(f"the secrets of {of} cannot be opened") from None
        values: dict[str, str] = json.loads(text)
        return values


def find_key(data_dir: Path, environment: Mapping[str, str], *, may_create: bool) -> bytes:
    """The key from the environment, else from its file in `data_dir`, else (`may_create`) a new one written there.

    Raises `EnvironmentLacking` for one that is not 32 bytes or a file others can read, `SecretKeyWrong` when there is
    none and none may be created.
    """
    if given := environment.get(KEY_ENV):
        return _decoded(given, KEY_ENV)
    path = data_dir / KEY_FILE
    if not path.exists():
        if not may_create:
            raise SecretKeyWrong(f"the store holds secrets, but {path} is gone and {KEY_ENV} is not set")
        _create(path)
    if path.stat().st_mode & 0o077:
        raise EnvironmentLacking(f"others may read {path}; make it chmod 600")
    return _decoded(path.read_text().strip(), str(path))


def _create(path: Path) -> None:
    """Whole or not at all, and never over a key that another process just made."""
    text = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _decoded(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvironmentLacking(f"{where} must hold {KEY_BYTES} bytes in base64 (openssl rand -base64 {KEY_BYTES})")
    return key
