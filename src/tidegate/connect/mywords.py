"""The words of a statement in the binary log, as the server takes them: names, texts and signs, without comments but
for those that the server executes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tidegate.model.schema import TableName

# Quoted texts and names, comments, words and numbers, and any other sign.
_TOKEN = re.compile(
    r"(?P<space>\s+|--(?=[\s\x00]|$)[^\n]*|\#[^\n]*|/\*(?!M?!)(?:.|\n)*?\*/)"
    r"|(?P<open>/\*M?!\d*)|(?P<close>\*/)"
    r"|(?P<name>`(?:[^`]|``)*`)"
    r"|(?P<text>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")"
    r"|(?P<word>\d*\.\d+(?![\w$])|[\w$@]+)"
    r"|(?P<sign>.)",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


class Token(str):
    """A word in upper case; a sign; a quoted name or text as it is meant, which `quoted` tells from words."""

    __slots__ = ("quoted", "raw")
    quoted: str
    raw: str


def tokens_of(statement: str) -> list[Token]:
    """All of them, in order."""
    found = []
    for match in _TOKEN.finditer(statement):
        kind, raw = match.lastgroup or "", match[0]
        if kind in ("space", "open", "close"):
            continue
        if kind == "name":
            token = Token(raw[1:-1].replace("``", "`"))
        elif kind == "text":
            token = Token(_unquoted(raw))
        else:
            token = Token(raw.upper())
        token.quoted = kind if kind in ("name", "text") else ""
        token.raw = str(token) if token.quoted else raw
        found.append(token)
    return found


def _unquoted(raw: str) -> str:
    inner = raw[1:-1].replace(raw[0] * 2, raw[0])
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), inner, flags=re.DOTALL)


class Words:
    """Read from the first to the last."""

    def __init__(self, tokens: Sequence[Token], schema: str = "") -> None:
        """`schema` is the one that names without a schema belong to."""
        self.all = tokens
        self._schema = schema
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        """The next word or sign; empty where there is none, or something quoted."""
        at = self._at + ahead
        return str(self.all[at]) if at < len(self.all) and not self.all[at].quoted else ""

    def left(self) -> list[Token]:
        """What was not read yet."""
        return list(self.all[self._at :])

    def skip(self, *words: str) -> bool:
        """Pass over any of these words, in their order; whether the last of them was there."""
        last = False
        for word in words:
            last = self.peek() == word
            self._at += last
        return last

    def name(self) -> TableName | None:
        """A table's name, with its schema or without."""
        first = self.identifier()
        if first is None:
            return None
        if self.peek() != ".":
            return TableName(self._schema, first)
        self._at += 1
        second = self.identifier()
        return None if second is None else TableName(first, second)

    def names(self) -> Iterator[TableName]:
        while (name := self.name()) is not None:
            yield name
            if not self.skip(","):
                return

    def clauses(self) -> Iterator[list[Token]]:
        """What is left, cut at the commas that stand in no brackets."""
        depth = 0
        clause: list[Token] = []
        for token in self.left():
            sign = "" if token.quoted else str(token)
            depth += (sign == "(") - (sign == ")")
            if sign == "," and not depth:
                yield clause
                clause = []
            else:
                clause.append(token)
        yield clause

    def identifier(self) -> str | None:
        """A name without a schema."""
        if self._at >= len(self.all):
            return None
        token = self.all[self._at]
        # In ANSI mode names stand in double quotes too.
        if not token.quoted and not re.fullmatch(r"[\w$]+", token):
            return None
        self._at += 1
        return token.raw
