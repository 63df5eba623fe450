"""Rows of PostgreSQL's binary COPY for a DuckDB table: which tables can take them, and as which values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

from tidegate.connect.capability import WriteMode
from tidegate.connect.target import TargetTable
from tidegate.decode.choice import which
from tidegate.decode.copied import BrokenRows, ValueRefused, Wanted, typed
from tidegate.decode.copying import Form
from tidegate.errors import SourceLogBroken, TargetMisfit, TargetValueRefused
from tidegate.model.schema import Column, Kind
from tidegate.targets.duckdb.catalog import folded
from tidegate.targets.duckdb.types import column_type, decimal

# What the source sends of its types, by their names without what is in parentheses.
_FORMS = {
    "boolean": Form.BOOL,
    "smallint": Form.INT2,
    "integer": Form.INT4,
    "bigint": Form.INT8,
    "real": Form.FLOAT4,
    "double precision": Form.FLOAT8,
    "numeric": Form.NUMERIC,
    "text": Form.TEXT,
    "character varying": Form.TEXT,
    "character": Form.TEXT,
    "json": Form.TEXT,
    "jsonb": Form.JSONB,
    "bytea": Form.BYTEA,
    "date": Form.DATE,
    "time without time zone": Form.TIME,
    "timestamp without time zone": Form.TIMESTAMP,
    "timestamp with time zone": Form.TIMESTAMPTZ,
    "uuid": Form.UUID,
}


def takes(table: TargetTable, types: Mapping[str, str]) -> bool:
    """Whether a table whose columns are of these types (by folded names) takes rows of its source in this form."""
    own = table.source.family == "postgres" and table.mode is WriteMode.UPSERT and which().native
    return own and all(_wanted(column, types) is not None for column in table.source.columns)


def rows(table: TargetTable, types: Mapping[str, str], blocks: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """I6: columns that have other types by now would read these values as others."""
    wanted = [one for column in table.source.columns if (one := _wanted(column, types)) is not None]
    if len(wanted) != len(table.source.columns):
        raise TargetMisfit(f"{table}: its columns were changed while rows were on their way", table=str(table))
    try:
        yield from typed(blocks, wanted)
    except ValueRefused as refused:
        what = "a value cannot be held exactly by the column's type"
        raise TargetValueRefused(f"{table}.{refused.column}: {what}", table=str(table), column=refused.column) from None
    except BrokenRows as error:
        raise SourceLogBroken(f"{table.source.name}: the rows of a chunk are not what they should be") from error


def _wanted(column: Column, types: Mapping[str, str]) -> Wanted | None:
    """None: the column goes by texts."""
    form = _FORMS.get(re.sub(r"\([^)]*\)", "", column.type.native))
    type = column_type(column.type)
    if form is None or column.type.kind is Kind.OTHER or types.get(folded(column.name)) != type:
        return None
    if form is not Form.NUMERIC:
        return Wanted(column.name, form)
    digits = decimal(type)
    return None if digits is None else Wanted(column.name, form, *digits)
