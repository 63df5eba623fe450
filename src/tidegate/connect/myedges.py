"""Where a MariaDB table is cut into chunks, in an order of its key that the server, Python and the target share.

Texts are never cut: two keys that differ in their bytes can be one to the server (case, accents, blanks at the end),
and no order of ours would be its.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

from tidegate.connect.mariadb import quote, quoted
from tidegate.connect.mytypes import Query
from tidegate.connect.target import KeyRange
from tidegate.model.schema import DataType, Kind, TableName, TableSchema

CHUNK_BYTES = 16 << 20
CHUNK_ROWS_MIN, CHUNK_ROWS_MAX = 1_000, 100_000
# Numbers are cut by counting where at least every so manieth of them is there; else the key is walked through.
SPARSE = 20
# The server sorts by no more than so many bytes (max_sort_length).
SORTED_BYTES = 1024

_INTEGERS = (Kind.INT16, Kind.INT32, Kind.INT64)


def size(query: Query, table: TableName) -> tuple[int, int]:
    """About how many rows and bytes."""
    found = query(
        "select coalesce(table_rows, 0), coalesce(data_length, 0) from information_schema.tables"
        " where table_schema = %s and table_name = %s",
        (table.schema, table.name),
    )
    rows, size_bytes = found[0] if found else (0, 0)
    return int(rows), int(size_bytes)


def edges(
    query: Query, table: TableSchema, can_order: Callable[[DataType], bool], chunk_rows: int | None
) -> list[KeyRange]:
    """See `Source.edges`; `chunk_rows` is how many rows a chunk shall have, where somebody says so."""
    key = []
    for name in table.key:
        type = table.column(name).type
        if not orderable(type) or not can_order(type):
            break
        key.append(name)
    rows, size_bytes = size(query, table.name)
    if not key or (size_bytes <= CHUNK_BYTES and not chunk_rows):
        return [KeyRange(None, None)]
    fitting = max(CHUNK_ROWS_MIN, min(CHUNK_ROWS_MAX, int(CHUNK_BYTES / max(1.0, size_bytes / max(1, rows)))))
    per_chunk = chunk_rows or fitting
    cuts = _counted(query, table, key, rows, per_chunk) or _walked(query, table, key, per_chunk)
    bounds: list[tuple[str, ...] | None] = [None, *cuts, None]
    return [KeyRange(after, upto) for after, upto in pairwise(bounds)]


def orderable(type: DataType) -> bool:
    """Whether Python orders the canonical texts as the server orders the values."""
    if type.kind is Kind.BYTES:
        base, _, width = type.native.partition("(")
        return base in ("binary", "varbinary") and int(width.rstrip(")") or 0) <= SORTED_BYTES
    return type.kind in COMPARABLE


def _counted(query: Query, table: TableSchema, key: list[str], rows: int, per_chunk: int) -> list[tuple[str, ...]]:
    """Of a key that is one number: evenly from the smallest to the largest, where they lie densely enough."""
    if len(table.key) != 1 or len(key) != 1 or table.column(key[0]).type.kind not in _INTEGERS:
        return []
    relation, name = quoted(table.name.schema, table.name.name), quote(key[0])
    ((low, high),) = query(f"select min({name}) + 0, max({name}) + 0 from {relation}", ())
    if low is None:
        return []
    first, last = int(low), int(high)
    if last - first + 1 > SPARSE * max(rows, 1):
        return []
    step = max(1, (last - first + 1) * per_chunk // max(rows, 1))
    return [(str(cut),) for cut in range(first + step - 1, last, step)]


def _walked(query: Query, table: TableSchema, key: list[str], per_chunk: int) -> list[tuple[str, ...]]:
    """Every n-th key, in the key's order, from one to the next."""
    relation = quoted(table.name.schema, table.name.name)
    names = ", ".join(map(quote, key))
    cuts: list[tuple[str, ...]] = []
    while True:
        condition, values = beyond(table, key, cuts[-1]) if cuts else ("true", [])
        found = query(
            f"select {names} from {relation} where {condition} order by {names} limit {per_chunk - 1}, 1", tuple(values)
        )
        if not found:
            return cuts
        cut = tuple(canonical(table.column(name).type, value) for name, value in zip(key, found[0], strict=True))
        if cuts and cut == cuts[-1]:
            return cuts
        cuts.append(cut)


def beyond(
    table: TableSchema, key: Sequence[str], bound: Sequence[str], *, upto: bool = False
) -> tuple[str, list[Any]]:
    """The condition for keys behind the bound (with `upto`: up to it), spelled so that the server goes by the index,
    and its values."""
    names = [quote(name) for name in key[: len(bound)]]
    values = [literal(table.column(name).type, text) for name, text in zip(key, bound, strict=False)]
    last = len(names) - 1
    sign = "<" if upto else ">"
    parts: list[str] = []
    used: list[Any] = []
    for at in range(len(names)):
        equal = [f"{name} = %s" for name in names[:at]]
        parts.append("(" + " and ".join([*equal, f"{names[at]} {sign}{'=' if upto and at == last else ''} %s"]) + ")")
        used += values[: at + 1]
    return "(" + " or ".join(parts) + ")", used


def literal(type: DataType, text: str) -> Any:
    """The canonical text as a value the server compares the column with, without turning the column into another
    type."""
    if type.kind in _INTEGERS:
        return int(text)
    if type.kind is Kind.DECIMAL:
        return Decimal(text)
    if type.kind is Kind.BYTES:
        return bytes.fromhex(text[2:])
    if type.kind is Kind.TIMESTAMPTZ:
        return text.removesuffix("+00")
    return text


def canonical(type: DataType, value: Any) -> str:
    """The text of a key's value as it came from the server."""
    if type.kind is Kind.BYTES:
        return "\\x" + bytes(value).hex()
    text = str(value)
    if type.native == "year":
        return str(int(text))
    if type.kind in _INTEGERS or (type.kind is Kind.DECIMAL and not type.scale):
        return str(int(text))  # without the zeros of ZEROFILL
    if type.kind is Kind.DECIMAL:
        return str(Decimal(text))
    if type.kind in (Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
        plain = text.rstrip("0").rstrip(".") if "." in text else text
        return plain + "+00" if type.kind is Kind.TIMESTAMPTZ and not plain.startswith("0000") else plain
    return text


COMPARABLE: dict[Kind, Callable[[str], Any]] = {
    Kind.INT16: int,
    Kind.INT32: int,
    Kind.INT64: int,
    Kind.DECIMAL: Decimal,
    Kind.BYTES: str,
    Kind.DATE: str,
    Kind.TIMESTAMP: str,
    Kind.TIMESTAMPTZ: lambda text: text.removesuffix("+00"),
}
"""By kind, what Python compares as the server does: dates and times have four-digit years, bytes are compared as such.
Texts are not among them."""
