"""The worker's line to its server: HTTP with a token that is valid for one run and epoch.

A server that speaks TLS is believed by its very certificate, which it keeps in its data directory; when it comes with
another, that folder is asked whether it is the server's now.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

import httpx
import structlog

from tidegate.errors import Fenced, ServerUnreachable, TidegateError, by_code
from tidegate.model.certificate import kept, pinned

log = structlog.get_logger()

TIMEOUT_S = 10.0


class Link:
    """Thread-safe."""

    def __init__(self, url: str, token: str, trusts: Path | None = None) -> None:
        """`trusts` is the data directory of a server that speaks TLS itself; any other is verified by authorities."""
        self._url, self._token, self._trusts = url, token, trusts
        self._lock = threading.Lock()
        self._pem = kept(trusts) if trusts is not None else None
        self._client = self._opened()

    def _opened(self) -> httpx.Client:
        # Reading all of the machine's authorities takes 20 ms of a start.
        verify: ssl.SSLContext | bool = self._url.startswith("https:")
        if self._pem is not None:
            verify = pinned(self._pem)
        return httpx.Client(
            base_url=f"{self._url.rstrip('/')}/worker/v1/",
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=verify,
        )

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises `ServerUnreachable` when there is no answer or none that helps (trying again may), `Fenced` when the
        run belongs to a newer worker or has ended, and the server's own refusal else."""
        try:
            answer = self._client.post(path, json=body)
        except httpx.HTTPError as error:
            self._look_again()
            raise ServerUnreachable(f"{path}: {type(error).__name__}") from error
        if answer.status_code >= 500:
            raise ServerUnreachable(f"{path}: the server answered {answer.status_code}")
        try:
            said: dict[str, Any] = answer.json()
        except ValueError as error:
            raise ServerUnreachable(f"{path}: the answer is not JSON") from error
        if answer.status_code < 400:
            return said
        if answer.status_code in (401, 403, 404):
            raise Fenced(f"the server does not know this run any more ({answer.status_code})")
        refusal: type[TidegateError] = by_code(str(said.get("code")))
        raise refusal(str(said.get("detail", "refused")))

    def _look_again(self) -> None:
        """The server may have another certificate since. Requests under way end with the client they began with."""
        if self._trusts is None:
            return
        with self._lock:
            pem = kept(self._trusts)
            if pem is None or pem == self._pem:
                return
            before, self._pem = self._pem, pem
            try:
                self._client = self._opened()
            except ssl.SSLError as error:
                self._pem = before
                log.warning("worker.certificate_unreadable", why=error.reason)

    def close(self) -> None:
        self._client.close()
