"""The command line's line to the server: HTTP with a token or a log-in, and errors as the error table has them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self
from urllib.parse import quote, urlsplit

import httpx

from tidegate import settings
from tidegate.errors import EnvironmentLacking, ServerUnreachable, TidegateError
from tidegate.model.problem import error_of

CONNECT_DEADLINE_S = 5.0
# Submit, Run and Continue answer after they looked at source and target.
ANSWER_DEADLINE_S = 180.0
LOCAL_HOSTS = {"127.0.0.1", "localhost", "::1"}
TOKEN_FILE = "admin.token"  # noqa: S105 - a file's name


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is and what opens it."""

    url: str
    token: str


def address(
    environment: Mapping[str, str], url: str | None = None, token: str | None = None, *, unknown: bool = False
) -> Address:
    """From what was given, else `TIDEGATE_URL` and `TIDEGATE_TOKEN`, else this machine's server: its address by the
    server's own settings and its token from the file in its data directory. That token is sent to no other machine.
    For somebody `unknown`, who will log in, there is none. Raises `EnvironmentLacking`, `SettingInvalid`."""
    local = settings.load(environment)
    named = url or environment.get("TIDEGATE_URL") or f"http://{_bracketed(local.host)}:{local.port}"
    host = urlsplit(named).hostname
    if urlsplit(named).scheme not in ("http", "https") or not host:
        raise EnvironmentLacking(f"{named} is not the address of a server; write http://host:port")
    if unknown:
        return Address(named.rstrip("/"), "")
    known = token or environment.get("TIDEGATE_TOKEN")
    if not known:
        if host not in {*LOCAL_HOSTS, local.host}:
            raise EnvironmentLacking(f"no token for {named} was given: set TIDEGATE_TOKEN")
        known = _stored_token(local.data_dir / TOKEN_FILE)
    return Address(named.rstrip("/"), known)


def _stored_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise EnvironmentLacking(
            f"no token was given and {path} cannot be read ({why}): start `tidegate server` here, or set TIDEGATE_TOKEN"
        ) from error


def _bracketed(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where a wildcard is reached
    return f"[{host}]" if ":" in host else host


class Door:
    """Speaks `/api/v1`. Each call raises what the server refused with, or `ServerUnreachable`. With `for_eyes` control
    characters in answers are replaced: a table's name must not move the cursor of who looks at it."""

    def __init__(self, address: Address, *, for_eyes: bool = False) -> None:
        self.url = address.url
        self._for_eyes = for_eyes
        self._client = httpx.Client(
            base_url=f"{address.url}/api/v1/",
            # Who has no token speaks as a browser does: from a page of the server, with the cookie of a log-in.
            headers={"Authorization": f"Bearer {address.token}"} if address.token else {"Origin": address.url},
            timeout=httpx.Timeout(ANSWER_DEADLINE_S, connect=CONNECT_DEADLINE_S),
            # A proxy from the environment is for other machines, never for this one.
            trust_env=urlsplit(address.url).hostname not in LOCAL_HOSTS,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, *path: str | int, **query: Any) -> Any:
        return self._ask("GET", path, query)

    def post(self, *path: str | int, body: Any = None, **query: Any) -> Any:
        return self._ask("POST", path, query, body)

    def put(self, *path: str | int, body: Any = None, **query: Any) -> Any:
        return self._ask("PUT", path, query, body)

    def delete(self, *path: str | int, **query: Any) -> Any:
        return self._ask("DELETE", path, query)

    def download(self, file: BinaryIO, *path: str | int, **query: Any) -> int:
        """Write an answer that may be long into the file, as it comes; how many bytes it has."""
        place, given = _place(path), _given(query)
        size_bytes = 0
        try:
            with self._client.stream("GET", place, params=given) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._refusal(answer)
                for piece in answer.iter_bytes():
                    file.write(piece)
                    size_bytes += len(piece)
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"{self.url}: {_why(error)}") from error
        return size_bytes

    def _ask(self, method: str, path: tuple[str | int, ...], query: Mapping[str, Any], body: Any = None) -> Any:
        try:
            answer = self._client.request(method, _place(path), params=_given(query), json=body)
        except httpx.TimeoutException as error:
            raise ServerUnreachable(f"{self.url} did not answer in time") from error
        except httpx.HTTPError as error:
            raise ServerUnreachable(f"{self.url}: {_why(error)}") from error
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        if not answer.is_success:
            raise self._refusal(answer)
        return self._said(answer)

    def _said(self, answer: httpx.Response) -> Any:
        try:
            return _visible(answer.json()) if self._for_eyes else answer.json()
        except ValueError as error:
            raise ServerUnreachable(f"{self.url} answers, but not as a Tidegate server does") from error

    def _refusal(self, answer: httpx.Response) -> TidegateError:
        said = self._said(answer)
        if not isinstance(said, dict) or "code" not in said:
            return ServerUnreachable(f"{self.url} answers, but not as a Tidegate server does ({answer.status_code})")
        return error_of(said)


def _place(path: tuple[str | int, ...]) -> str:
    return "/".join(quote(str(part), safe="") for part in path)


def _given(query: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _visible(held: Any) -> Any:
    if isinstance(held, str):
        return _CONTROL.sub("\ufffd", held)
    if isinstance(held, list):
        return [_visible(one) for one in held]
    if isinstance(held, dict):
        return {_visible(name): _visible(one) for name, one in held.items()}
    return held


def _why(error: httpx.HTTPError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
