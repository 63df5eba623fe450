"""What a request is made of and what its answer means, for both clients alike: nothing here waits."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from tidegate.client.address import Address
from tidegate.client.trust import trusted
from tidegate.errors import ServerNotTrusted, ServerUnreachable, TidegateError
from tidegate.model.problem import error_of

PREFIX = "/api/v1/"
JSON = "application/json"
CONNECT_DEADLINE_S = 5.0
# Submit, Run and Continue answer after they looked at source and target.
ANSWER_DEADLINE_S = 180.0


class Asking(ABC):
    """What the methods for routes are made of."""

    @abstractmethod
    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, media: str = JSON
    ) -> Any:
        """The answer: JSON data, a text for another media type, or None. Raises the error it was refused with, or
        `ServerUnreachable`."""


class AsyncAsking(ABC):
    """The same, to be awaited."""

    @abstractmethod
    async def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, media: str = JSON
    ) -> Any:
        """As `Asking.ask`."""


def address_of(path: str, **places: str | int) -> str:
    """The route's path with names in it as they may stand there."""
    for name, value in places.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return path


def options(address: Address) -> dict[str, Any]:
    """What an HTTP client is made with."""
    return {
        "base_url": address.url,
        "headers": address.headers,
        "timeout": httpx.Timeout(ANSWER_DEADLINE_S, connect=CONNECT_DEADLINE_S),
        # A proxy from the environment is for other machines, never for this one.
        "trust_env": not address.local,
        "verify": trusted(address),
    }


def given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was left out is not sent."""
    return {name: value for name, value in (query or {}).items() if value is not None}


def content(url: str, answer: httpx.Response, media: str = JSON) -> Any:
    """What was answered. Raises what it was refused with, and `ServerUnreachable` for what no Tidegate says."""
    if answer.status_code == httpx.codes.NO_CONTENT:
        return None
    if not answer.is_success:
        raise refusal(url, answer)
    return answer.text if media != JSON else _json(url, answer)


def refusal(url: str, answer: httpx.Response) -> TidegateError:
    """The error that an answer, which was read, tells of."""
    said = _json(url, answer)
    if not isinstance(said, dict) or "code" not in said:
        return ServerUnreachable(f"{url} answers, but not as a Tidegate server does ({answer.status_code})")
    return error_of(said)


def unreachable(url: str, error: httpx.HTTPError) -> ServerUnreachable | ServerNotTrusted:
    """What became of a request that was not answered."""
    if isinstance(error, httpx.TimeoutException):
        return ServerUnreachable(f"{url} did not answer in time")
    if isinstance(error, httpx.RemoteProtocolError) and url.startswith("http:"):
        return ServerUnreachable(f"{url} ended the connection; if it speaks TLS, its address begins with https://")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ServerNotTrusted(f"{url}: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            why = (cause.reason or "it speaks another protocol").replace("_", " ").lower()
            return ServerUnreachable(
                f"{url}: no TLS came about ({why}); if it speaks none, its address begins with http://"
            )
        if isinstance(cause, OSError) and cause.strerror:
            return ServerUnreachable(f"{url}: {cause.strerror}")
        cause = cause.__cause__ or cause.__context__
    return ServerUnreachable(f"{url}: {type(error).__name__}")


def _json(url: str, answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ServerUnreachable(f"{url} answers, but not as a Tidegate server does") from error
