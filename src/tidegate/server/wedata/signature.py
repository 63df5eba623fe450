"""Tencent Cloud's signature TC3-HMAC-SHA256: whether a request was signed by who it says, lately, and as it arrived.

Pure. Algorithm: "Signature v3" of the platform's API documentation; where published clients differ from it, as they do.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined

SCHEME = "TC3-HMAC-SHA256"
SERVICE = "wedata"
TERMINATOR = "tc3_request"
UNSIGNED = "UNSIGNED-PAYLOAD"
WINDOW_S = 300
MUST_SIGN = frozenset({"content-type", "host"})

_AUTHORIZATION = re.compile(
    rf"{SCHEME} +Credential=(?P<id>[^/\s,]{{1,200}})/(?P<date>\d{{4}}-\d\d-\d\d)/(?P<service>[^/\s,]{{1,50}})/"
    rf"{TERMINATOR} *, *SignedHeaders=(?P<names>[a-z0-9;-]{{1,500}}) *, *Signature=(?P<signature>[0-9a-f]{{64}})",
    re.ASCII,
)
_TIMESTAMP = re.compile(r"\d{1,11}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: header values not trimmed, the body before it is parsed."""

    method: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header given once. Raises `Declined` for one given twice: which was signed nobody knows."""
        found = [value.strip() for given, value in self.headers if given.lower() == name]
        if len(found) > 1:
            raise Declined(codes.NO_AUTHORIZATION, f"the header {name} is given twice")
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Claim:
    """What an `Authorization` header says."""

    secret_id: str
    date: str
    service: str
    names: str
    signature: str


def claim(received: Received) -> Claim:
    """Raises `Declined`."""
    found = _AUTHORIZATION.fullmatch(received.header("authorization") or "")
    if found is None:
        raise Declined(codes.NO_AUTHORIZATION, f"the request carries no signature of the form {SCHEME} Credential=…")
    named = found["names"].split(";")
    if not MUST_SIGN.issubset(named) or len(set(named)) != len(named):
        raise Declined(codes.NO_AUTHORIZATION, "SignedHeaders must name content-type and host, each once")
    return Claim(found["id"], found["date"], found["service"], found["names"], found["signature"])


def verify(received: Received, said: Claim, secret_key: str, now: float) -> None:
    """`now` in seconds since 1970-01-01 UTC. Raises `Declined` unless the holder of the secret signed this request."""
    timestamp = received.header("x-tc-timestamp") or ""
    if _TIMESTAMP.fullmatch(timestamp) is None or abs(now - int(timestamp)) > WINDOW_S:
        raise Declined(codes.EXPIRED, f"X-TC-Timestamp is not within {WINDOW_S} s of the server's time")
    if received.header("x-tc-token") is not None:
        raise Declined(codes.WRONG_TOKEN, "there are no temporary credentials here")
    dated = said.date == datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d")
    # As sent is how the published Python client signs, in small letters how the documentation says: both need the key.
    signed = any(
        hmac.compare_digest(said.signature, signature(received, said, secret_key, timestamp, spelled))
        for spelled in (str, str.lower)
    )
    if not (dated and said.service == SERVICE and signed):
        raise Declined(codes.WRONG_SIGNATURE, "the signature is not that of this request and SecretKey")


def signature(
    received: Received, said: Claim, secret_key: str, timestamp: str, spelled: Callable[[str], str] = str
) -> str:
    """What the signature must be, in lower-case hexadecimal. Raises `Declined` for a header that is not there."""
    scope = f"{said.date}/{said.service}/{TERMINATOR}"
    hashed = hashlib.sha256(canonical(received, said.names, spelled).encode("latin-1", "replace")).hexdigest()
    key = f"TC3{secret_key}".encode()
    for part in (said.date, said.service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{SCHEME}\n{timestamp}\n{scope}\n{hashed}".encode(), "sha256").hex()


def canonical(received: Received, names: str, spelled: Callable[[str], str] = str) -> str:
    """The request as it is hashed."""
    headers = ""
    for name in names.split(";"):
        value = received.header(name)
        if value is None:
            raise Declined(codes.WRONG_SIGNATURE, f"the signed header {name} is not there")
        headers += f"{name}:{spelled(value)}\n"
    query = received.query if received.method == "GET" else ""
    return "\n".join((received.method, "/", query, headers, names, payload_hash(received)))


def payload_hash(received: Received) -> str:
    """A client may choose not to sign the body, and then says so in what it signs."""
    unsigned = received.header("x-tc-content-sha256") == UNSIGNED
    return hashlib.sha256(UNSIGNED.encode() if unsigned else received.body).hexdigest()
