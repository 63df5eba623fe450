"""What a MariaDB server's catalogue says about an existing table, and why it cannot take a task's rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pymysql.cursors import Cursor

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import Misfit, TargetColumn, TargetTable
from tidegate.model.schema import Kind
from tidegate.targets.mariadb.types import Spelling, column_types, holds

NAME_CHARACTERS = 64
ENGINE = "InnoDB"
CHARSET = "utf8mb4"


def folded(name: str) -> str:
    """What column names are compared by, and names of tables where the server says so."""
    return name.lower()


def collation(*, mysql: bool) -> str:
    """That by which created texts compare: by their characters, and with the blanks at their end."""
    return "utf8mb4_0900_bin" if mysql else "utf8mb4_nopad_bin"


def compares_exactly(collation: str) -> bool:
    """Whether no two different texts are equal: others take A for a, or `a ` for `a`."""
    return collation.endswith("_nopad_bin") or collation == "utf8mb4_0900_bin"


@dataclass(frozen=True, slots=True)
class ExistingColumn:
    name: str
    type: str
    nullable: bool
    has_default: bool
    generated: bool
    renews: bool
    """Set by the server itself whenever the row is updated."""
    charset: str
    """Of a text; empty: it is none."""
    collation: str


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    columns: tuple[str, ...]
    whole: bool = True
    """Of the columns themselves: not of their first characters only, and of no expression."""


@dataclass(frozen=True, slots=True)
class ExistingTable:
    name: str
    base: bool
    """A table, not a view or a sequence."""
    engine: str
    comment: str
    columns: tuple[ExistingColumn, ...]
    unique: tuple[Index, ...]
    foreign: tuple[Index, ...]

    def column(self, name: str) -> ExistingColumn | None:
        return next((column for column in self.columns if folded(column.name) == folded(name)), None)


_TABLE = """
SELECT table_name, table_type, engine, table_comment FROM information_schema.tables
WHERE table_schema = %s AND table_name = %s
"""
_COLUMNS = """
SELECT column_name, column_type, is_nullable, column_default, extra, generation_expression, character_set_name,
       collation_name
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""
_INDEXES = """
SELECT index_name, column_name, sub_part FROM information_schema.statistics
WHERE table_schema = %s AND table_name = %s AND non_unique = 0 ORDER BY index_name, seq_in_index
"""
_FOREIGN = """
SELECT constraint_name, column_name FROM information_schema.key_column_usage
WHERE table_schema = %s AND table_name = %s AND referenced_table_name IS NOT NULL
ORDER BY constraint_name, ordinal_position
"""


def existing(cursor: Cursor, schema: str, name: str, *, folds: bool) -> ExistingTable | None:
    """The table as the catalogue has it; None if there is none of that name. `folds`: the server takes upper and lower
    case of a table's name for the same."""
    if not (_has_letters(schema) and _has_letters(name)):
        return None
    cursor.execute(_TABLE, (schema, name))
    # The catalogue itself may compare names by a collation that takes more for the same than the server does.
    named = [row for row in cursor.fetchall() if row[0] == name or (folds and folded(row[0]) == folded(name))]
    if not named:
        return None
    spelled, type, engine, comment = named[0]
    at = (schema, spelled)
    cursor.execute(_COLUMNS, at)
    columns = tuple(_column(*row) for row in cursor.fetchall())
    cursor.execute(_INDEXES, at)
    unique = _grouped((index, column, part is None) for index, column, part in cursor.fetchall())
    cursor.execute(_FOREIGN, at)
    foreign = _grouped((constraint, column, True) for constraint, column in cursor.fetchall())
    return ExistingTable(spelled, type == "BASE TABLE", engine or "", comment or "", columns, unique, foreign)


def _column(
    name: str,
    type: str,
    nullable: str,
    default: str | None,
    extra: str,
    generation: str | None,
    charset: str | None,
    collation: str | None,
) -> ExistingColumn:
    extra = extra.lower()
    has_default = default is not None or "auto_increment" in extra or "default_generated" in extra
    renews = "on update" in extra
    return ExistingColumn(
        name, type, nullable == "YES", has_default, bool(generation), renews, charset or "", collation or ""
    )


def _grouped(rows: Iterator[tuple[str, str | None, bool]]) -> tuple[Index, ...]:
    columns: dict[str, list[str]] = {}
    whole: dict[str, bool] = {}
    for name, column, plain in rows:
        columns.setdefault(name, []).append(column or "")
        whole[name] = whole.get(name, True) and plain and column is not None
    return tuple(Index(name, tuple(listed), whole[name]) for name, listed in columns.items())


def as_columns(table: ExistingTable) -> list[TargetColumn]:
    """The columns as every target reports them; `key` are those of a unique index that can find a row."""
    keys = {name for index in table.unique if index.whole for name in index.columns}
    return [
        TargetColumn(c.name, c.type, c.nullable, c.has_default or c.generated, c.name in keys) for c in table.columns
    ]


def stamp_types(table: TargetTable) -> dict[str, str]:
    """The columns append adds to a row: name → type."""
    stamp = table.stamp
    named = {
        stamp.op: "varchar(16)",
        stamp.committed_at: "datetime(6)",
        stamp.position: "varchar(255)",
        stamp.detail: "longtext",
    }
    named.pop("", None)
    return named if table.mode is WriteMode.APPEND else {}


def kinds(table: TargetTable) -> dict[str, Kind]:
    """The grammar of every column's texts, those of the stamp included."""
    found = {table.stamp.op: Kind.TEXT, table.stamp.position: Kind.TEXT, table.stamp.detail: Kind.TEXT}
    found[table.stamp.committed_at] = Kind.TIMESTAMPTZ
    return found | {column.name: column.type.kind for column in table.source.columns}


def created_types(table: TargetTable) -> dict[str, str]:
    """The type that every column of the table is given: name → type."""
    return column_types(table.source, keyed=table.mode is WriteMode.UPSERT) | stamp_types(table)


def misfits(wanted: TargetTable, found: ExistingTable) -> list[Misfit]:
    """Every reason why `found` cannot take `wanted`'s rows (I6)."""
    if not found.base:
        return [Misfit("", "is a view or a sequence; only tables can be fed")]
    if found.engine != ENGINE:  # I1, I5: rows, position and epoch are one transaction
        return [Misfit("", f"is stored by {found.engine}, which has no transactions; convert it to {ENGINE}")]
    return [*_of_columns(wanted, found), *_of_extras(wanted, found), *_of_keys(wanted, found)]


def _of_columns(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    source, append = wanted.source, wanted.mode is WriteMode.APPEND
    nullable = {column.name: column.nullable for column in source.columns}
    made = created_types(wanted)
    for name, type in {**made, **column_types(source, keyed=False)}.items():
        key = name in source.key and not append
        have = found.column(name)
        if have is None:
            yield Misfit(name, f"is missing; {type} is needed")
            continue
        if have.generated:
            yield Misfit(name, "is generated at the target, so that no value can be written to it")
        if have.renews:
            yield Misfit(name, "is set by the server itself whenever its row is updated (ON UPDATE)")
        # A key has bounds here, those of the created table or others: what is longer is refused when it comes.
        if not (holds(have.type, type, key=key) or (key and holds(have.type, made[name], key=True))):
            yield Misfit(name, f"is {have.type}, which cannot hold every {type} as it is")
        elif Spelling.of(have.type).is_text:
            yield from _of_text(name, have, key=key)
        if not have.nullable and append:
            yield Misfit(name, "is NOT NULL; appended deletes and truncates leave columns empty")
        elif not have.nullable and nullable[name] and not key:
            yield Misfit(name, "is NOT NULL; the source's allows NULL")


def _of_text(name: str, have: ExistingColumn, *, key: bool) -> Iterator[Misfit]:
    if have.charset != CHARSET and not (have.charset == "ascii" and have.type == "char(36)"):
        yield Misfit(name, f"is in the character set {have.charset}; {CHARSET} holds every text")
    elif key and not (compares_exactly(have.collation) or have.charset == "ascii"):
        yield Misfit(
            name, f"has the collation {have.collation}, which takes different keys for the same; use utf8mb4_nopad_bin"
        )


def _of_extras(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    fed = {folded(name) for name in (*wanted.source.names, *stamp_types(wanted))}
    for have in found.columns:
        if folded(have.name) not in fed and not (have.nullable or have.has_default or have.generated):
            yield Misfit(have.name, "is NOT NULL without a default, and the source has no such column")


def _of_keys(wanted: TargetTable, found: ExistingTable) -> Iterator[Misfit]:
    key = {folded(name) for name in wanted.source.key} if wanted.mode is WriteMode.UPSERT else set()
    if key and not any(index.whole and _folded(index) == key for index in found.unique):
        names = ", ".join(wanted.source.key)
        yield Misfit(names, "has no unique key on exactly these columns (whole, not their beginnings) to upsert by")
    for index in found.unique:
        named = ", ".join(index.columns)
        if not key and folded(wanted.stamp.position) not in _folded(index):
            yield Misfit(named, f"has the unique key {index.name}; append writes a row for every change of a row")
        elif key and not (key <= _folded(index)):
            yield Misfit(named, f"has the unique key {index.name}; values that move between rows would violate it")
    for constraint in found.foreign:
        named = ", ".join(constraint.columns)
        yield Misfit(named, f"has the foreign key {constraint.name}; rows may arrive before those they refer to")


def _folded(index: Index) -> set[str]:
    return {folded(name) for name in index.columns}


def _has_letters(name: str) -> bool:
    """Whether names here can have all of its characters."""
    return all(ord(letter) <= 0xFFFF for letter in name)


def refused_names(wanted: TargetTable) -> list[Misfit]:
    """Names that no table or column here can have, and columns that would be one."""
    wrong = []
    seen: dict[str, str] = {}
    columns = (*wanted.source.names, *stamp_types(wanted))
    for name in columns:
        first = seen.setdefault(folded(name), name)
        if first != name:
            wrong.append(
                Misfit(name, f"and {first} are one name to MariaDB, which does not tell upper from lower case")
            )
    for name in (wanted.schema, wanted.name, *columns):
        if len(name) > NAME_CHARACTERS:
            wrong.append(Misfit(name, f"is longer than {NAME_CHARACTERS} characters"))
        elif name.endswith(" ") or not _has_letters(name):
            wrong.append(Misfit(name, "ends with a blank, or has a character that no name may have here"))
    return wrong
