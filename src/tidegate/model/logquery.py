"""Searching lines by keywords: `connection AND (refused OR "no route") NOT proxy`. Pure: a query is read once and then
asked of each line's text.

A keyword is found anywhere in the text, whatever its case. Keywords side by side must all be found. `AND`, `OR` and
`NOT` are written in capitals; NOT binds tightest, OR least. A phrase, or a keyword that looks like one of these words,
stands in double quotes, with `\\"` for a quote in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from tidegate.errors import QueryInvalid

QUERY_MAX = 1_000
KEYWORDS_MAX = 50
DEPTH_MAX = 20

_TOKEN = re.compile(r'\s*(?:(?P<mark>[()])|"(?P<phrase>(?:[^"\\]|\\.)*)"|(?P<word>[^\s()"]+))')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OPERATORS = ("AND", "OR", "NOT")


@dataclass(frozen=True, slots=True)
class Keyword:
    """Found in a text, whatever its case. `word` is kept as `folded` gives it."""

    word: str

    def fits(self, folded_text: str) -> bool:
        return self.word in folded_text


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Query, ...]

    def fits(self, folded_text: str) -> bool:
        return all(part.fits(folded_text) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple[Query, ...]

    def fits(self, folded_text: str) -> bool:
        return any(part.fits(folded_text) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    part: Query

    def fits(self, folded_text: str) -> bool:
        return not self.part.fits(folded_text)


Query: TypeAlias = Keyword | All | Any | Not


def folded(text: str) -> str:
    """The text without its case, as `fits` takes it."""
    return text.casefold()


def parse_query(text: str) -> Query:
    """Raises `QueryInvalid`, which says where the text cannot be read."""
    if len(text) > QUERY_MAX:
        raise QueryInvalid(f"the search is longer than {QUERY_MAX} characters")
    return _Reader(text).read()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`(`, `)`, one of the operators, or `keyword`."""
    word: str
    at: int


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            where = at + len(text[at:]) - len(text[at:].lstrip())
            raise QueryInvalid(f"the quote at character {where + 1} of the search is not closed")
        begin = found.start(found.lastgroup or 0)
        if found["mark"]:
            yield _Token(found["mark"], "", begin)
        elif found["phrase"] is not None:
            yield _Token("keyword", _ESCAPED.sub(r"\1", found["phrase"]), begin)
        else:
            word = found["word"]
            yield _Token(word if word in _OPERATORS else "keyword", word, begin)
        at = found.end()


class _Reader:
    """Recursive descent: or → and → not → keyword or parentheses."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0
        if sum(token.kind == "keyword" for token in self._tokens) > KEYWORDS_MAX:
            raise QueryInvalid(f"the search has more than {KEYWORDS_MAX} keywords")

    def read(self) -> Query:
        if not self._tokens:
            raise QueryInvalid("the search is empty")
        query = self._or()
        if self._kind is not None:
            raise self._wrong("has nothing to close")
        return query

    @property
    def _kind(self) -> str | None:
        return self._tokens[self._next].kind if self._next < len(self._tokens) else None

    def _wrong(self, why: str) -> QueryInvalid:
        token = self._tokens[self._next]
        return QueryInvalid(f"{token.kind} at character {token.at + 1} of the search {why}")

    def _or(self) -> Query:
        parts = [self._and()]
        while self._kind == "OR":
            self._next += 1
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _and(self) -> Query:
        parts = [self._not()]
        while self._kind not in (None, "OR", ")"):
            self._next += self._kind == "AND"
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _not(self) -> Query:
        if self._kind == "NOT":
            return self._deeper(lambda: Not(self._not()))
        return self._keyword()

    def _keyword(self) -> Query:
        if self._kind is None:
            raise QueryInvalid("the search ends where a keyword must follow")
        if self._kind == "(":
            return self._deeper(self._group)
        if self._kind != "keyword":
            raise self._wrong("stands where a keyword must be")
        word = folded(self._tokens[self._next].word)
        if not word:
            raise self._wrong("is empty")
        self._next += 1
        return Keyword(word)

    def _group(self) -> Query:
        query = self._or()
        if self._kind != ")":
            raise QueryInvalid("a parenthesis of the search is not closed")
        self._next += 1
        return query

    def _deeper(self, read: Callable[[], Query]) -> Query:
        if self._depth == DEPTH_MAX:
            raise self._wrong(f"is nested deeper than {DEPTH_MAX} levels")
        self._depth += 1
        self._next += 1
        query = read()
        self._depth -= 1
        return query
