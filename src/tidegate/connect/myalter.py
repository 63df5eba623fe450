"""What ALTER TABLE says of columns: which come, go, get another name, place or type. Pure.

A column that is dropped and added again under its name, or gets the name that another had, gives the rows that are
there other values. The log has no word of that, and the table's shape may be the same afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tidegate.connect.mywords import Token, Words


@dataclass(frozen=True, slots=True)
class Altered:
    """A column, before and after."""

    before: str
    """Its name until then; empty: there was none."""
    after: str
    """Its name from then on; empty: it is gone."""
    type: str = ""
    """That it is given, as the catalogue spells it; `?`: one that is not told here; empty: it keeps its own."""
    charset: str = ""
    """That its text is given by name; empty: none is named."""
    nullable: bool = True
    maybe: bool = False
    """IF EXISTS, or IF NOT EXISTS: nothing may have been done."""
    behind: str | None = None
    """The column that it stands behind from then on; empty: it is the first; None: nothing is said of it."""


EVERY = "*"
"""Names all columns at once: no column is called so without quotes."""

_NO_COLUMN = frozenset({"INDEX", "KEY", "PRIMARY", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CONSTRAINT", "CHECK"})
_NO_COLUMN |= {"PARTITION", "PERIOD", "SYSTEM", "VECTOR"}


def altered(clause: list[Token]) -> Iterator[Altered]:
    """What one clause of ALTER TABLE says of columns."""
    words = Words(clause)
    match words.peek():
        case "ADD":
            for tokens in added(clause):
                yield _defined("", tokens, maybe="IF" in _plain(clause[:4]))
        case "DROP" if words.peek(1) not in _NO_COLUMN:
            words.skip("DROP", "COLUMN")
            maybe = words.peek() == "IF"
            words.skip("IF", "EXISTS")
            if (name := words.identifier()) is not None:
                yield Altered(name, "", maybe=maybe)
        case "MODIFY" | "CHANGE" as verb:
            words.skip(verb, "COLUMN")
            maybe = words.peek() == "IF"
            words.skip("IF", "EXISTS")
            before = words.identifier() if verb == "CHANGE" else None
            if tokens := words.left():
                yield _defined(before or tokens[0].raw, tokens, maybe=maybe)
        case "RENAME" if words.peek(1) == "COLUMN":
            words.skip("RENAME", "COLUMN", "IF", "EXISTS")
            before = words.identifier()
            words.skip("TO")
            after = words.identifier()
            if before is not None and after is not None:
                yield Altered(before, after)
        case "CONVERT" if words.peek(1) == "TO":
            yield Altered(EVERY, EVERY, charset=_charset(clause) or "default")


def added(clause: list[Token]) -> Iterator[list[Token]]:
    """The definitions in ADD [COLUMN] [IF NOT EXISTS] name type …, or ADD [COLUMN] (name type …, …)."""
    words = Words(clause)
    words.skip("ADD")
    if words.peek() in _NO_COLUMN:
        return
    words.skip("COLUMN", "IF", "NOT", "EXISTS")
    left = words.left()
    if not left or str(left[0]) != "(" or left[0].quoted:
        if left:
            yield left
        return
    depth = 0
    for at, token in enumerate(left):
        sign = "" if token.quoted else str(token)
        depth += (sign == "(") - (sign == ")")
        if not depth:
            left = left[1:at]
            break
    for each in Words(left).clauses():
        if each and not (not each[0].quoted and str(each[0]) in _NO_COLUMN):
            yield each


def replaced(columns: Iterable[Altered]) -> list[str]:
    """Names that a column went from and another came to, in one statement."""
    moved = [column for column in columns if column.before.lower() != column.after.lower()]
    came = {column.after.lower() for column in moved} - {""}
    return [column.before for column in moved if column.before.lower() in came]


def touches_key(clause: list[Token]) -> bool:
    """Whether it says anything of the primary key."""
    return "PRIMARY" in _plain(clause)


def _defined(before: str, tokens: list[Token], *, maybe: bool) -> Altered:
    """A name and a definition."""
    rest, plain = tokens[1:], _plain(tokens[1:])
    nullable = ("NOT", "NULL") not in pairwise(plain) and "PRIMARY" not in plain
    behind = "" if plain[-1:] == ["FIRST"] else tokens[-1].raw if plain[-2:-1] == ["AFTER"] else None
    return Altered(before, tokens[0].raw, _spelled(rest), _charset(rest), nullable, maybe, behind)


def _plain(tokens: Iterable[Token]) -> list[str]:
    """Words and signs; what is quoted is empty."""
    return ["" if token.quoted else str(token) for token in tokens]


_ALIASES = {
    **dict.fromkeys(("integer", "int4"), "int"),
    **dict.fromkeys(("bool", "boolean", "int1"), "tinyint"),
    **dict.fromkeys(("int3", "middleint"), "mediumint"),
    **dict.fromkeys(("dec", "numeric", "fixed"), "decimal"),
    **dict.fromkeys(("real", "float8"), "double"),
    "int2": "smallint",
    "int8": "bigint",
    "character": "char",
}
_DEFAULTS = {"decimal": "(10,0)", "char": "(1)", "binary": "(1)", "bit": "(1)"}
_BARE = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "year"})
"""What stands in brackets behind these says how they are shown."""
_SIZED = frozenset({"tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob"})


def _spelled(tokens: list[Token]) -> str:
    """As `information_schema` has it, but for what does not matter to values; `?` where that is not known."""
    plain = _plain(tokens)
    if not plain or not plain[0]:
        return "?"
    base = _ALIASES.get(plain[0].lower(), plain[0].lower())
    if plain[1:2] in (["VARYING"], ["LARGE"], ["BYTE"]) or base in ("national", "nchar", "nvarchar", "long", "serial"):
        return "?"
    brackets = ""
    if plain[1:2] == ["("] and ")" in plain:
        inner = tokens[2 : plain.index(")")]
        brackets = "(" + "".join(_quoted(token) if token.quoted else str(token) for token in inner) + ")"
    if base in _SIZED and brackets:
        return "?"
    if base in _BARE:
        sign = " unsigned" if {"UNSIGNED", "ZEROFILL"} & set(plain) else ""
        return base + sign if base not in ("float", "double") or not (sign or brackets) else "?"
    if base == "decimal":
        if {"UNSIGNED", "ZEROFILL"} & set(plain):
            return "?"
        brackets = brackets if not brackets or "," in brackets else f"{brackets[:-1]},0)"
    return base + (brackets or _DEFAULTS.get(base, ""))


def _quoted(token: Token) -> str:
    return "'" + token.replace("'", "''") + "'"


def _charset(tokens: list[Token]) -> str:
    """Of CHARACTER SET, CHARSET or COLLATE, in lower case."""
    plain, raws = [*_plain(tokens), "", "", ""], [*(str(token).lower() for token in tokens), "", "", ""]
    for at, word in enumerate(plain):
        if word == "CHARSET" or (word == "SET" and plain[at - 1] == "CHARACTER"):
            return raws[at + 2] if plain[at + 1] == "=" else raws[at + 1]
        if word in ("ASCII", "UNICODE", "BYTE"):
            return word.lower()
    for at, word in enumerate(plain):
        if word == "COLLATE":
            return raws[at + 1].partition("_")[0]
    return ""
