"""Where a PostgreSQL table is cut into chunks, in an order of its key that the server, Python and the target share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tidegate.connect.postgres import quote, quoted
from tidegate.connect.target import KeyRange
from tidegate.model.schema import DataType, Kind, TableName, TableSchema

CHUNK_BYTES = 16 << 20
CHUNK_ROWS_MIN, CHUNK_ROWS_MAX = 1_000, 200_000
# Above this many rows the chunks' edges come from a sample instead of the whole key.
EXACT_EDGES_ROWS_MAX = 300_000
# Sampled are pages, whose rows lie together: with few of them chunks would be of very different sizes.
SAMPLED_ROWS = 1_000

# Key types whose order Python can reproduce from their text.
ORDERED = {20, 21, 23, 25, 26, 17, 1043, 1082, 1114, 1184, 1700, 2950}
TEXTUAL = {25, 1043}

Query = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
"""A statement and its values in, all rows out."""


def size(query: Query, table: TableName) -> tuple[int, int]:
    """About how many rows and bytes, over all partitions."""
    ((rows, pages, size_bytes),) = query(
        "with tree as (select %s::regclass oid union"
        "   select relid from pg_catalog.pg_partition_tree(%s::regclass) where isleaf)"
        " select sum(greatest(c.reltuples, 0))::int8,"
        " sum(case when c.reltuples < 0 then 0 else c.relpages end)::int8,"
        " sum(pg_catalog.pg_table_size(c.oid))::int8 from tree join pg_catalog.pg_class c using (oid)",
        (quoted(table.schema, table.name),) * 2,
    )
    if not pages:  # never analysed: the usual width of a row has to do
        rows = max(rows, size_bytes // 100)
    return int(rows), int(size_bytes)


def edges(
    query: Query, table: TableSchema, can_order: Callable[[DataType], bool], chunk_rows: int | None
) -> list[KeyRange]:
    """See `Source.edges`; `chunk_rows` is how many rows a chunk shall have, where somebody says so."""
    keys = _ordered_key(query, table, can_order)
    rows, size_bytes = size(query, table.name)
    if not keys or (size_bytes <= CHUNK_BYTES and not chunk_rows):
        return [KeyRange(None, None)]
    fitting = max(CHUNK_ROWS_MIN, min(CHUNK_ROWS_MAX, int(CHUNK_BYTES / max(1.0, size_bytes / max(1, rows)))))
    per_chunk = chunk_rows or fitting
    if any(scans for _, scans in keys):
        per_chunk *= 8  # no index in this order: every chunk reads the whole table
    cuts = _cuts(query, table, [sort for sort, _ in keys], rows, per_chunk)
    bounds: list[tuple[str, ...] | None] = [None, *cuts, None]
    return [KeyRange(after, upto) for after, upto in pairwise(bounds)]


def _cuts(query: Query, table: TableSchema, sorts: list[str], rows: int, per_chunk: int) -> list[tuple[str, ...]]:
    names = [quote(name) for name in table.key[: len(sorts)]]
    relation = quoted(table.name.schema, table.name.name)
    sample = ""
    if rows > EXACT_EDGES_ROWS_MAX:
        wanted = SAMPLED_ROWS * rows / per_chunk
        sample = f" tablesample system ({min(100.0, 100.0 * wanted / rows):.6f})"
        per_chunk = SAMPLED_ROWS
    found = query(
        f"select {', '.join(f'k{i}::text' for i in range(len(names)))} from (select"
        f" {', '.join(f'{name} k{i}' for i, name in enumerate(names))},"
        f" row_number() over (order by {', '.join(sorts)}) r from {relation}{sample}) x"
        f" where r %% %s = 0 order by r",
        (per_chunk,),
    )
    return list(dict.fromkeys(tuple(row) for row in found))


def _ordered_key(query: Query, table: TableSchema, can_order: Callable[[DataType], bool]) -> list[tuple[str, bool]]:
    """The leading key columns whose order is the same here, in Python and at the target: each as a sort expression, and
    whether no index has that order."""
    rows = query(
        "select a.attname, case when t.typtype = 'd' then 0 else t.oid::int8 end,"
        " coalesce(c.collisdeterministic, true),"
        " coalesce(c.collcollate = 'C' or (c.collprovider = 'd' and d.datcollate in ('C', 'POSIX')), true)"
        " from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid"
        " left join pg_catalog.pg_collation c on c.oid = a.attcollation"
        " join pg_catalog.pg_database d on d.datname = current_database()"
        " where a.attrelid = %s::regclass and a.attname = any(%s)",
        (quoted(table.name.schema, table.name.name), list(table.key)),
    )
    facts = {name: (oid, deterministic, plain) for name, oid, deterministic, plain in rows}
    keys = []
    for name in table.key:
        oid, deterministic, plain = facts[name]
        if oid not in ORDERED or not deterministic or not can_order(table.column(name).type):
            break
        textual = oid in TEXTUAL
        keys.append((quote(name) + (' collate "C"' if textual else ""), textual and not plain))
    return keys


def _decimal(text: str) -> tuple[int, Decimal]:
    return (1, Decimal(0)) if text == "NaN" else (0, Decimal(text))


def _moment(text: str) -> tuple[Any, ...]:
    """A date or timestamp (in UTC) as the server orders them."""
    if text.endswith("infinity"):
        return (0,) if text.startswith("-") else (2,)
    before = text.endswith(" BC")
    year, _, rest = text.removesuffix(" BC").removesuffix("+00").partition("-")
    return (1, -int(year) if before else int(year), rest)


COMPARABLE: dict[Kind, Callable[[str], Any]] = {
    Kind.INT16: int,
    Kind.INT32: int,
    Kind.INT64: int,
    Kind.DECIMAL: _decimal,
    Kind.TEXT: str.encode,
    Kind.DATE: _moment,
    Kind.TIMESTAMP: _moment,
    Kind.TIMESTAMPTZ: _moment,
}
