"""The worker's line to its server: HTTP with a token that is valid for one run and epoch."""

from __future__ import annotations

from typing import Any

import httpx

from tidegate.errors import Fenced, ServerUnreachable, TidegateError, by_code

TIMEOUT_S = 10.0


class Link:
    """Thread-safe."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/worker/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=url.startswith("https:"),  # reading all of the machine's certificates takes 20 ms of a start
        )

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises `ServerUnreachable` when there is no answer or none that helps (trying again may), `Fenced` when the
        run belongs to a newer worker or has ended, and the server's own refusal else."""
        try:
            answer = self._client.post(path, json=body)
        except httpx.HTTPError as error:
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

    def close(self) -> None:
        self._client.close()
