"""The proof at the end of the demo: source and targets compared row by row, and every single change accounted for.

It reads the databases with their own drivers and shares no code with what it checks.
"""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from tidegate.demo.shop import KEYS, TABLES
from tidegate.testing.servers import until

Row = tuple[Any, ...]
LAKE_DEADLINE_S = 60
MICROSECONDS = "(extract(epoch from {0}) * 1000000)::bigint"

# Every column of the shop as both databases can spell it alike: name → (PostgreSQL, DuckDB, what to do in Python).
_ALIKE: Mapping[str, tuple[str, str]] = {
    "uuid": ("{0}::text", "{0}::varchar"),
    "text": ("{0}", "{0}"),
    "boolean": ("{0}", "{0}"),
    "integer": ("{0}", "{0}"),
    "real": ("{0}::float8", "{0}::double"),
    "numeric": ("{0}::text", "{0}::varchar"),
    "date": ("{0}::text", "{0}::varchar"),
    "time": (MICROSECONDS, "epoch_us({0})"),
    "array": ("{0}::text", "{0}"),
    "enum": ("{0}::text", "{0}::varchar"),
    "json": ("{0}::text", "{0}::varchar"),
}

IN_POSTGRES, IN_DUCKDB = ({kind: sides[at] for kind, sides in _ALIKE.items()} for at in (0, 1))

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "customers": {
        "id": "uuid",
        "name": "text",
        "email": "text",
        "active": "boolean",
        "joined_at": "time",
        "preferences": "json",
    },
    "products": {
        "sku": "text",
        "title": "text",
        "description": "text",
        "price": "numeric",
        "stock": "integer",
        "tags": "array",
    },
    "orders": {
        "id": "integer",
        "version": "integer",
        "customer": "uuid",
        "state": "enum",
        "total": "numeric",
        "placed_at": "time",
        "note": "text",
    },
    "order_items": {"order_id": "integer", "line": "integer", "sku": "text", "quantity": "integer", "price": "numeric"},
    "visits": {"day": "date", "id": "integer", "page": "text", "seconds": "real"},
}


@dataclass(slots=True)
class Finding:
    """What does not agree; all zero when it does."""

    rows: int = 0
    """Rows compared."""
    lost: int = 0
    duplicated: int = 0
    different: int = 0
    where: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.duplicated or self.different)

    def __iadd__(self, other: Finding) -> Finding:
        self.rows += other.rows
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.different += other.different
        self.where += other.where
        return self


def same_rows(source: Any, alike: Mapping[str, str], lake: Path, schema: str) -> Finding:
    """Whether every table of the shop has exactly the same rows in the DuckDB file. `alike` is how the source spells
    its values as DuckDB does."""
    found = Finding()
    with _opened(lake) as target:
        for table in TABLES:
            here = source.execute(_select(table, "shop", alike).encode()).fetchall()
            there = target.execute(_select(table, schema, IN_DUCKDB)).fetchall()
            found += compare(table, [_plain(table, row) for row in here], [_plain(table, row) for row in there])
    return found


def _opened(lake: Path) -> duckdb.DuckDBPyConnection:
    """The file, once nobody writes to it any more: Stop removes a run's traces after the task is Stopped."""
    found: list[duckdb.DuckDBPyConnection] = []

    def open_it() -> bool:
        with contextlib.suppress(duckdb.IOException):
            found.append(duckdb.connect(str(lake), read_only=True))
        return bool(found)

    until(open_it, f"{lake} to be let go of", LAKE_DEADLINE_S)
    return found[0]


def _select(table: str, schema: str, alike: Mapping[str, str]) -> str:
    return f"select {_columns(table, alike)} from {schema}.{table}"


def _columns(table: str, alike: Mapping[str, str]) -> str:
    return ", ".join(alike[kind].format(name) for name, kind in COLUMNS[table].items())


def _plain(table: str, row: Sequence[Any]) -> Row:
    kinds = COLUMNS[table].values()
    return tuple(
        json.dumps(json.loads(value), sort_keys=True) if kind == "json" and value is not None else value
        for kind, value in zip(kinds, row, strict=True)
    )


def compare(table: str, here: Iterable[Row], there: Iterable[Row]) -> Finding:
    """The rows of the source against those of the target, by key."""
    names = list(COLUMNS[table])
    places = [names.index(name) for name in KEYS[table]]
    found = Finding()
    left = {tuple(row[place] for place in places): row for row in here}
    for row in there:
        found.rows += 1
        wanted = left.pop(tuple(row[place] for place in places), None)
        if wanted is None:
            found.duplicated += 1
        elif wanted != row:
            found.different += 1
    found.lost = len(left)
    if not found.right:
        found.where.append(
            f"{table}: {found.lost} rows missing, {found.duplicated} too many, {found.different} not equal"
        )
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the append target, or one line of the ledger. A log may say of a deleted row its key only, so a delete
    has no version; it is an order's last change, for numbers are not used again."""

    op: str
    id: int
    version: int | None


def same_changes(
    source: Any, alike: Mapping[str, str], warehouse: psycopg.Connection[Any], table: str, copied_by: int
) -> Finding:
    """Whether the append target holds every change of the orders exactly once, and folds to the orders as they are.
    `alike` is as for `same_rows`; `copied_by` is the ledger's last number at a time when the copy was over."""
    ledger = {
        number: Change(*change)
        for number, *change in source.execute("select number, op, id, version from ledger.orders order by number")
    }
    columns = _columns("orders", IN_POSTGRES)
    rows = warehouse.execute(
        f'select _tidegate_op, id, version, {columns} from {table} order by _tidegate_position collate "C"'.encode()
    ).fetchall()
    arrived = [Change(op, id, None if op == "delete" else version) for op, id, version, *_ in rows]
    found = every_change_once(ledger, arrived, copied_by)
    orders = source.execute(_select("orders", "shop", alike).encode()).fetchall()
    folded = fold((row[0], row[3:]) for row in rows)
    found += compare("orders", orders, folded.values())
    return found


def every_change_once(ledger: Mapping[int, Change], arrived: Sequence[Change], copied_by: int) -> Finding:
    """Each order's changes in the target must be its last ones in the ledger, in order: those after the version that
    was copied; all of them if no row was copied; none if it was gone again before the copy was over."""
    wanted: dict[int, list[Change]] = defaultdict(list)
    last: dict[int, int] = {}
    for number, change in ledger.items():
        wanted[change.id].append(change)
        last[change.id] = number
    copied: dict[int, list[int]] = defaultdict(list)  # the versions that were copied, one if all is well
    followed: dict[int, list[Change]] = defaultdict(list)
    for change in arrived:
        if change.op == "read" and change.version is not None:
            copied[change.id].append(change.version)
        else:
            followed[change.id].append(change)
    found = Finding()
    for order in wanted.keys() | copied.keys() | followed.keys():
        versions, changes, due = copied[order], followed[order], wanted[order]
        if versions:
            due = [c for c in due if c.version is None or c.version > versions[0]]
        elif not changes and due[-1].op == "delete" and last[order] <= copied_by:
            due = []
        elif due[0].op != "insert":
            found.lost += 1  # An order that was there from the beginning, and neither copied nor gone.
        found.rows += len(changes)
        found.lost += _missing(due, changes)
        found.duplicated += _missing(changes, due) + max(0, len(versions) - 1)
        if due != changes and sorted(due, key=_order) == sorted(changes, key=_order):
            found.different += 1
    if not found.right:
        found.where.append(
            f"changes of orders: {found.lost} lost, {found.duplicated} twice, {found.different} orders out of order"
        )
    return found


def _missing(these: Sequence[Change], those: Sequence[Change]) -> int:
    """How many of these are not among those, counting repetitions."""
    left = list(those)
    missing = 0
    for change in these:
        if change in left:
            left.remove(change)
        else:
            missing += 1
    return missing


def _order(change: Change) -> tuple[float, str]:
    return math.inf if change.version is None else change.version, change.op


def lags_ms(
    warehouse: psycopg.Connection[Any], table: str, disturbed: Sequence[tuple[float, float]]
) -> tuple[float | None, float | None]:
    """Median and 99th percentile of the time from a transaction's commit at the source to the commit of its rows at the
    target, both by the clock of the one server they are on; what was committed while a step was under way left out."""
    waits = warehouse.execute(
        f"""select extract(epoch from committed_at)::float8,
                   extract(epoch from max(pg_xact_commit_timestamp(arrived)) - committed_at)::float8 * 1000
              from (select _tidegate_committed_at as committed_at, xmin as arrived from {table}
                     where _tidegate_op <> 'read') changes
             group by committed_at""".encode()
    ).fetchall()
    undisturbed = sorted(wait for at, wait in waits if not any(first <= at <= last for first, last in disturbed))
    if len(undisturbed) < 2:
        return None, None
    cuts = statistics.quantiles(undisturbed, n=100, method="inclusive")
    return round(cuts[49], 1), round(cuts[98], 1)


def fold(rows: Iterable[tuple[str, Row]], key: Callable[[Row], Any] = lambda row: row[0]) -> dict[Any, Row]:
    """The rows that are left when all changes are applied in order."""
    held: dict[Any, Row] = {}
    for op, row in rows:
        if op == "delete":
            held.pop(key(row), None)
        else:
            held[key(row)] = row
    return held
