"""Tables and their columns as every connector describes them.

Values travel as text in one canonical grammar per `Kind` (PostgreSQL's ISO output), so that a value read by the
full copy and the same value read from the log are the same characters, and no number, date or large object is
coerced on its way (I6). A column's type says which grammar, and how wide.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The grammar of a value's text.

    BOOL `t`/`f` · INT16/32/64 decimal digits · FLOAT32/64 shortest exact digits, `NaN`, `Infinity` · DECIMAL digits,
    `NaN`, `Infinity` · TEXT itself · BYTES `\\x` and hex · DATE, TIME, TIMESTAMP ISO 8601 with a blank between date
    and time, ` BC` suffix, `infinity` · TIMETZ, TIMESTAMPTZ the same with an offset (timestamps in UTC: `+00`) ·
    INTERVAL PostgreSQL's style · UUID lower case with dashes · JSON its text · OTHER the source's own text form.
    """

    BOOL = "bool"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    DECIMAL = "decimal"
    TEXT = "text"
    BYTES = "bytes"
    DATE = "date"
    TIME = "time"
    TIMETZ = "timetz"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    INTERVAL = "interval"
    UUID = "uuid"
    JSON = "json"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class DataType:
    """A column's type.

    `native` is the source family's own spelling where any server of that family can hold it as it is
    (`numeric(12,2)`, `integer[]`, `inet`); a type only that one database knows (an enum, a composite) has the
    native type that holds its text. `precision` and `scale` are of DECIMAL, `scale` of times too: how many digits of
    a second they keep (None: as many as there are). `length` is of TEXT, in characters.
    """

    kind: Kind
    native: str
    precision: int | None = None
    scale: int | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: DataType
    nullable: bool = True
    default: str | None = None
    """The value rows written before the column existed have, as text; None means NULL."""
    varies: bool = False
    """Rows written before the column existed have values of their own, which the log does not tell."""


class TableName(NamedTuple):
    """A table at the source, within the one database a data source names."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One version of a table: its columns in order, and the key that identifies a row (empty: none)."""

    name: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    family: str
    """Whose spelling `DataType.native` is in: the source connector's name."""

    names: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The columns' names."""
    key_indexes: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Where the key's columns stand among the columns."""

    def __post_init__(self) -> None:
        names = tuple(column.name for column in self.columns)
        # Asked for with every change, so worked out once.
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "key_indexes", tuple(names.index(name) for name in self.key))

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def to_json(self) -> str:
        """A text that `from_json` reads back; stored with the run."""
        return json.dumps(
            {
                "schema": self.name.schema,
                "name": self.name.name,
                "family": self.family,
                "key": list(self.key),
                "columns": [[c.name, *astuple(c.type), c.nullable, c.default, c.varies] for c in self.columns],
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> TableSchema:
        held: dict[str, Any] = json.loads(text)
        columns = tuple(
            Column(name, DataType(Kind(kind), native, precision, scale, length), nullable, default, varies)
            for name, kind, native, precision, scale, length, nullable, default, varies in held["columns"]
        )
        name = TableName(held["schema"], held["name"])
        return cls(name, columns, tuple(held["key"]), held["family"])
