"""Which source is copied into which target, and how: a task of each of them is under fire."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

SOURCES = ("postgres", "mariadb")
TARGETS = ("postgres", "mariadb", "duckdb")
WRITES = ("append", "upsert")


class Pair(NamedTuple):
    source: str
    target: str
    write: str

    def __str__(self) -> str:
        return f"{self.source}→{self.target} {self.write}"


def parsed(text: str) -> list[Pair]:
    """`mariadb:postgres` for both ways to write, or `mariadb:postgres:append` for one. Raises ValueError."""
    source, _, rest = text.partition(":")
    target, _, write = rest.partition(":")
    if source not in SOURCES or target not in TARGETS or write not in ("", *WRITES):
        raise ValueError(
            f"{text!r} is no pair: one of {', '.join(SOURCES)}, a colon, and one of {', '.join(TARGETS)}; and, for one"
            f" way to write, a colon and one of {', '.join(WRITES)}"
        )
    return [Pair(source, target, one) for one in ((write,) if write else WRITES)]


def all_of(texts: Iterable[str]) -> tuple[Pair, ...]:
    """Of each once, in their order. Raises ValueError."""
    return tuple(dict.fromkeys(pair for text in texts for pair in parsed(text)))


PAIRS = all_of(("postgres:postgres", "postgres:duckdb"))
MARIADB_PAIRS = all_of(("mariadb:postgres", "postgres:mariadb"))
