"""What a statement in the binary log does to rows and tables without telling it row by row. Pure.

The log has DDL as the text a client sent. Only the words that name what happens and the tables it happens to are looked
at; comments are passed over, but for those that the server executes. A statement that changes rows has no business in a
log of rows and is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from tidegate.connect.myalter import Altered, added, altered, replaced, touches_key
from tidegate.connect.mywords import Token, Words, tokens_of
from tidegate.model.schema import TableName


class Effect(Enum):
    TRUNCATED = "truncated"
    """All its rows are gone."""
    GONE = "dropped or renamed"
    """Whatever has the name afterwards is another table, or none."""
    MADE = "made"
    """There was none of the name before."""
    REPLACED = "changed in a way that its log does not have"
    """Rows came or went, or come and go from now on, without being logged as such."""
    CASCADES = "given a foreign key that changes its rows"
    """From now on rows change that the log does not have."""
    ALTERED = "altered"
    """It may have another shape."""


@dataclass(frozen=True, slots=True)
class Done:
    effect: Effect
    table: TableName
    """With an empty name: every table of the schema."""


@dataclass(frozen=True, slots=True)
class Added:
    """A column that a statement added, and what the rows that were there have in it."""

    name: str
    literal: str | None = None
    """The default's text as the server reads it; None: it has none, or NULL."""
    nullable: bool = True
    certain: bool = True
    """Whether they have the default, or NULL, or (`nullable` is not so) the type's own empty value; else each may have
    a value of its own."""


@dataclass(frozen=True, slots=True)
class Statement:
    done: tuple[Done, ...] = ()
    changes_rows: bool = False
    """It is the text of an INSERT, UPDATE, DELETE or their like: rows that were not logged as rows."""
    words: tuple[str, ...] = ()
    """Its first words, upper case, for what frames transactions."""
    added: tuple[Added, ...] = ()
    """Of ALTER TABLE, the columns that came."""
    altered: tuple[Altered, ...] = ()
    """Of ALTER TABLE, all columns that it names."""
    touches_key: bool = False
    """Whether ALTER TABLE says anything of the primary key."""
    begins: bool = False
    """Whether a transaction begins with it, whose rows follow: MySQL's CREATE TABLE … SELECT."""


_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "CALL", "DO", "WITH", "SELECT", "VALUES", "BINLOG"})


def read(statement: str, schema: str) -> Statement:
    """`schema` is the one that names without a schema belong to."""
    tokens = Words(_plain(tokens_of(statement)), schema)
    words = tuple(str(token) for token in tokens.all[:3] if not token.quoted)
    first = words[0] if words else ""
    if first in _ROWS or first == "(":
        return Statement(changes_rows=True, words=words)
    done: Sequence[Done] = ()
    clauses: list[list[Token]] = []
    if first == "TRUNCATE":
        tokens.skip("TRUNCATE", "TABLE")
        done = [Done(Effect.TRUNCATED, name) for name in tokens.names()]
    elif first == "DROP":
        done = _dropped(tokens)
    elif first == "RENAME":
        done = _renamed(tokens)
    elif first == "CREATE":
        done = _created(tokens)
    elif first == "ALTER":
        done, clauses = _altered(tokens)
    columns = tuple(column for clause in clauses for column in altered(clause))
    last = ["" if token.quoted else str(token) for token in tokens.all[-2:]]
    begins = first == "CREATE" and last == ["START", "TRANSACTION"]
    return Statement(tuple(done), False, words, tuple(_added(clauses)), columns, any(map(touches_key, clauses)), begins)


def _plain(tokens: list[Token]) -> list[Token]:
    """Without SET STATEMENT … FOR in front."""
    words = ["" if token.quoted else str(token) for token in tokens]
    if words[:2] == ["SET", "STATEMENT"] and "FOR" in words:
        return tokens[words.index("FOR") + 1 :]
    return tokens


def _dropped(tokens: Words) -> list[Done]:
    tokens.skip("DROP")
    if tokens.peek() == "TEMPORARY":
        return []
    if tokens.peek() in ("DATABASE", "SCHEMA"):
        tokens.skip(tokens.peek(), "IF", "EXISTS")
        return [Done(Effect.GONE, TableName(name.name, "")) for name in tokens.names()]
    if tokens.peek() in ("TABLE", "TABLES"):
        tokens.skip(tokens.peek(), "IF", "EXISTS")
        return [Done(Effect.GONE, name) for name in tokens.names()]
    return []


def _renamed(tokens: Words) -> list[Done]:
    tokens.skip("RENAME")
    if tokens.peek() not in ("TABLE", "TABLES"):
        return []
    tokens.skip(tokens.peek(), "IF", "EXISTS")
    found = []
    while (name := tokens.name()) is not None:
        found.append(Done(Effect.GONE, name))
        if tokens.skip("WAIT"):
            tokens.name()
        tokens.skip("NOWAIT", "TO")
        other = tokens.name()
        if other is not None:
            found.append(Done(Effect.GONE, other))
        if not tokens.skip(","):
            break
    return found


def _created(tokens: Words) -> list[Done]:
    tokens.skip("CREATE")
    tokens.skip("OR", "REPLACE")
    if not tokens.skip("TABLE"):  # TEMPORARY ones are of their session alone
        return []
    tokens.skip("IF", "NOT", "EXISTS")
    name = tokens.name()
    return [] if name is None else [Done(Effect.MADE, name)]


def _altered(tokens: Words) -> tuple[list[Done], list[list[Token]]]:
    """What was done, and the statement's clauses."""
    tokens.skip("ALTER", "ONLINE")
    drops_rows = tokens.skip("IGNORE")  # those that a new unique key has no room for
    if not tokens.skip("TABLE"):
        return [], []
    tokens.skip("IF", "EXISTS")
    name = tokens.name()
    if name is None:
        return [], []
    if tokens.skip("WAIT"):
        tokens.name()
    tokens.skip("NOWAIT")
    done = [Done(Effect.ALTERED, name)]
    if drops_rows:
        done.append(Done(Effect.REPLACED, name))
    clauses = list(tokens.clauses())
    if replaced([column for clause in clauses for column in altered(clause)]):
        done.append(Done(Effect.REPLACED, name))
    for clause in clauses:
        words = [str(token) if not token.quoted else "" for token in clause]
        first, second = (*words, "", "")[:2]
        if first == "RENAME" and second not in ("COLUMN", "INDEX", "KEY"):
            done.append(Done(Effect.GONE, name))
            rest = Words(clause, name.schema)
            rest.skip("RENAME", "TO", "AS", "=")
            other = rest.name()
            if other is not None:
                done.append(Done(Effect.GONE, other))
        elif (first in ("DROP", "TRUNCATE", "EXCHANGE", "CONVERT") and second == "PARTITION") or (
            first in ("DISCARD", "IMPORT") or (first == "CONVERT" and second == "TABLE")
        ):
            done.append(Done(Effect.REPLACED, name))
            if "TABLE" in words:
                rest = Words(clause[words.index("TABLE") + 1 :], name.schema)
                other = rest.name()
                if other is not None and first in ("EXCHANGE", "CONVERT"):
                    done.append(Done(Effect.REPLACED, other))
        elif second == "SYSTEM" and first in ("ADD", "DROP"):
            # A table that keeps its old rows logs a DELETE as an UPDATE; one that no longer does has lost them.
            done.append(Done(Effect.REPLACED, name))
        elif first == "ADD" and "REFERENCES" in words and {"CASCADE", "SET"} & _rules(words):
            done.append(Done(Effect.CASCADES, name))
    return done, clauses


def _rules(words: Sequence[str]) -> set[str]:
    """What stands behind ON DELETE and ON UPDATE."""
    return {two for one, two in pairwise(words) if one in ("DELETE", "UPDATE")}


def _added(clauses: list[list[Token]]) -> Iterator[Added]:
    for clause in clauses:
        if Words(clause).peek() == "ADD":
            yield from map(_column, added(clause))


def _column(tokens: list[Token]) -> Added:
    words = ["" if token.quoted else str(token) for token in tokens]
    name, nullable = tokens[0].raw, ("NOT", "NULL") not in pairwise(words)
    if {"AS", "GENERATED", "AUTO_INCREMENT", "SERIAL"} & set(words[1:]):
        return Added(name, None, nullable, certain=False)
    if "DEFAULT" not in words[1:]:
        return Added(name, None, nullable)
    value, words = tokens[words.index("DEFAULT", 1) + 1 :], words[words.index("DEFAULT", 1) + 1 :]
    sign = words[0] if words[:1] in (["-"], ["+"]) else ""
    at = len(sign)
    following = words[at + 1] if at + 1 < len(words) else ""
    if at >= len(value) or not re.fullmatch(r"[A-Z_]*", following):
        return Added(name, None, nullable, certain=False)  # an expression
    if words[at] == "NULL":
        return Added(name)
    if words[at] in ("TRUE", "FALSE"):
        return Added(name, "1" if words[at] == "TRUE" else "0", nullable)
    if value[at].quoted == "text" or re.fullmatch(r"[0-9.]+", words[at]):
        return Added(name, sign.replace("+", "") + value[at].raw, nullable)
    return Added(name, None, nullable, certain=False)
