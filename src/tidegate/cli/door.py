"""The command line's line to the server: the Python client, asked by places, and with answers made fit for a
terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import quote

from tidegate.client.address import Address, address
from tidegate.client.line import JSON, PREFIX
from tidegate.client.sync import Client
from tidegate.errors import TidegateError
from tidegate.model.problem import error_of, problem

__all__ = ["Address", "Door", "address"]


class Door(Client):
    """Speaks `/api/v1`. Each call raises what the server refused with, or `ServerUnreachable`. With `for_eyes` control
    characters in answers are replaced: a table's name must not move the cursor of who looks at it."""

    def __init__(self, address: Address, *, for_eyes: bool = False) -> None:
        self._open(address)
        self._for_eyes = for_eyes

    def get(self, *path: str | int, **query: Any) -> Any:
        return self.ask("GET", _place(path), query=query)

    def post(self, *path: str | int, body: Any = None, **query: Any) -> Any:
        return self.ask("POST", _place(path), query=query, body=body)

    def put(self, *path: str | int, body: Any = None, **query: Any) -> Any:
        return self.ask("PUT", _place(path), query=query, body=body)

    def delete(self, *path: str | int, **query: Any) -> Any:
        return self.ask("DELETE", _place(path), query=query)

    def download(self, file: BinaryIO, *path: str | int, **query: Any) -> int:
        """Write an answer that may be long into the file, as it comes; how many bytes it has."""
        with self._shown():
            return self.save(file, _place(path), **query)

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, media: str = JSON
    ) -> Any:
        with self._shown():
            found = super().ask(method, path, query=query, body=body, media=media)
        return _visible(found) if self._for_eyes else found

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """What is refused is shown as well."""
        try:
            yield
        except TidegateError as error:
            if not self._for_eyes:
                raise
            raise error_of(_visible(problem(error))) from error


def _place(path: tuple[str | int, ...]) -> str:
    return PREFIX + "/".join(quote(str(part), safe="") for part in path)


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _visible(held: Any) -> Any:
    if isinstance(held, str):
        return _CONTROL.sub("\ufffd", held)
    if isinstance(held, list):
        return [_visible(one) for one in held]
    if isinstance(held, dict):
        return {_visible(name): _visible(one) for name, one in held.items()}
    return held
