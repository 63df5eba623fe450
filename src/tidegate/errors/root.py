"""The root of the errors, and all of them by their code."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar


class Retry(StrEnum):
    """Whether the same attempt may succeed later without a person."""

    NEVER = "never"
    LATER = "later"


class TidegateError(Exception):
    """The root of the tree. `detail` is one sentence naming what happened to which thing."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retry: ClassVar[Retry] = Retry.NEVER
    title: ClassVar[str] = "Something went wrong inside Tidegate"
    advice: ClassVar[str] = "Look at the server log for this time and report it as a bug."

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


def every_error() -> Iterator[type[TidegateError]]:
    """All classes with a code of their own, family by family."""

    def walk(cls: type[TidegateError]) -> Iterator[type[TidegateError]]:
        if "code" in vars(cls):
            yield cls
        for sub in cls.__subclasses__():
            yield from walk(sub)

    return walk(TidegateError)


def by_code(code: str) -> type[TidegateError]:
    """The class that has this code; the root for a code that is not known (a newer worker's)."""
    return next((cls for cls in every_error() if cls.code == code), TidegateError)
