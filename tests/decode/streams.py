"""Streams of messages in frames, made by rule, and what a gatherer makes of them in a form that can be compared."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tidegate.decode.fault import Malformed
from tidegate.decode.gatherer import Gatherer, Limits, Log, Mode, Net, Stop
from tidegate.decode.pgoutput import Relation
from tidegate.model.change import UNCHANGED, Cell
from unit import pgwire

ROOMY = Limits()


@dataclass(frozen=True, slots=True)
class Table:
    oid: int
    names: tuple[str, ...]
    key: tuple[int, ...]
    mode: Mode

    @property
    def described(self) -> bytes:
        key = [self.names[column] for column in self.key]
        return pgwire.relation(self.oid, "public", f"t{self.oid}", [(name, 25) for name in self.names], key=key)


NET = Table(1, ("k", "v", "big"), (0,), Mode.NET)
PAIR = Table(2, ("v", "b", "a"), (2, 1), Mode.NET)
LOG = Table(3, ("k", "v", "big"), (0,), Mode.LOG)
KEYLESS = Table(4, ("v", "w"), (), Mode.LOG)
SKIPPED = Table(5, ("k",), (0,), Mode.SKIP)
TABLES = {table.oid: table for table in (NET, PAIR, LOG, KEYLESS, SKIPPED)}


def frames(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(message)) + message for message in messages)


def transaction(*changes: bytes, commit: int = 200, xid: int = 7) -> list[bytes]:
    return [pgwire.begin(commit, 1_700_000_000_000_000 + commit, xid), *changes, pgwire.commit(commit, commit + 10)]


# --- what is drawn ---

VALUES = ["", "1", "2", "a", "ä", "数字", "\0", "x" * 40, "ø" * 100, "longer than a word", None, None]
KEYS = ["a", "b", "cc", "dä", "an eighth", "the same beginning 1", "the same beginning 2"]
LARGE = [*VALUES, *[UNCHANGED] * len(VALUES)]


def change(table: Table, r: random.Random) -> bytes:
    """One change, which may contradict those before it. A key is never left out but where an old row has it."""

    def row(keys: Sequence[Cell], values: Sequence[Cell]) -> list[Cell]:
        return [r.choice(keys if column in table.key else values) for column in range(len(table.names))]

    kind = r.choice("IIIUUUUUDD")
    if kind == "I":
        return pgwire.insert(table.oid, row(KEYS, VALUES))
    old = row(KEYS, VALUES)
    key = [cell if column in table.key else None for column, cell in enumerate(old)]
    before: dict[str, Any] = r.choice([{"old": old}, {"key": key}])
    if kind == "D":
        return pgwire.delete(table.oid, **before)
    if table.key and r.random() < 0.6:
        return pgwire.update(table.oid, row(KEYS, LARGE))
    return pgwire.update(table.oid, row([*KEYS, UNCHANGED, UNCHANGED], LARGE), **before)


_SEED = 20261122
CHANGES = {oid: [change(table, random.Random(_SEED + n)) for n in range(150)] for oid, table in TABLES.items()}
ODD = [
    *(table.described for table in TABLES.values()),
    pgwire.type_message(),
    pgwire.origin(),
    pgwire.logical_message(b"\xff"),
    pgwire.truncate(1),
    pgwire.truncate(3, 1, 5),
]


@st.composite
def histories(draw: st.DrawFn, *, truncates: bool = True) -> list[bytes]:
    """Messages of some transactions, each table described before them."""
    messages = [table.described for table in TABLES.values()]
    tables = draw(st.sampled_from([[oid] for oid in TABLES] + [list(TABLES)] * 3))
    changes = st.sampled_from([change for oid in tables for change in CHANGES[oid]])
    odd = st.sampled_from(ODD if truncates else ODD[:-2])
    for number, inside in enumerate(draw(st.lists(st.lists(changes, max_size=12), min_size=1, max_size=4))):
        if draw(st.booleans()):
            inside.insert(len(inside) // 2, draw(odd))
        messages += transaction(*inside, commit=200 + 20 * number, xid=number)
    return messages


LIMITS = st.builds(
    Limits,
    changes_max=st.sampled_from([1, 3, 1000]),
    bytes_max=st.sampled_from([1, 200, 1 << 20]),
    split_changes_max=st.sampled_from([1, 2, 5, 1000]),
    split_bytes_max=st.sampled_from([1, 100, 1 << 20]),
)


# --- what comes of it ---


@dataclass
class Seen:
    """Everything a gatherer said, in order, until the stream ended or an error was raised."""

    said: list[Any] = field(default_factory=list)
    error: tuple[type[Exception], str] | None = None


def watched(
    gatherer: Gatherer,
    stream: bytes,
    *,
    limits: Limits = ROOMY,
    borders: Iterable[int] = (),
    resumed: tuple[int, int, int] | None = None,
) -> Seen:
    """Feeds the stream in buffers that end at `borders`, and does at each stop what its reader would. A relation that
    is none of `TABLES` is kept as a log."""
    seen = Seen()
    if resumed is not None:
        gatherer.resume(*resumed)
    try:
        for one in _feeding(gatherer, stream, limits, sorted({*borders, len(stream)})):
            seen.said.append(one)
    except Malformed as error:
        seen.error = (type(error), str(error))
    seen.said += taken(gatherer)
    return seen


def _feeding(gatherer: Gatherer, stream: bytes, limits: Limits, borders: Sequence[int]) -> Iterator[Any]:
    at = 0
    for border in borders:
        while True:
            fed = gatherer.feed(memoryview(stream)[:border], at, limits)
            at += fed.consumed_bytes
            yield at, fed, gatherer.open, gatherer.passed_over, gatherer.changes, gatherer.size_bytes
            if fed.stop is Stop.END:
                break
            if fed.stop is Stop.UNSHAPED and fed.oid not in TABLES:
                return
            if fed.stop in (Stop.FULL, Stop.TRUNCATE):
                yield from taken(gatherer)
            elif isinstance(fed.met, Relation) and fed.met.oid not in TABLES:
                yield from taken(gatherer)
                gatherer.shape(fed.met.oid, [column.name for column in fed.met.columns], (), Mode.LOG)
            elif fed.stop in (Stop.RELATION, Stop.UNSHAPED):
                table = TABLES[fed.met.oid if isinstance(fed.met, Relation) else fed.oid]
                gatherer.shape(table.oid, table.names, table.key, table.mode)


def taken(gatherer: Gatherer) -> list[Any]:
    return [(oid, compared(gatherer.take(oid))) for oid in gatherer.held()]


def compared(rows: Net | Log) -> dict[str, Any]:
    """The batches as Python has them, checked to be what Arrow allows."""
    if isinstance(rows, Net):
        return {
            "deletes": listed(rows.deletes),
            "inserts": listed(rows.inserts),
            "puts": listed(rows.puts),
            "patches": [(patch.columns, listed(patch.rows)) for patch in rows.patches],
            "moved": [(moved.columns, listed(moved.rows), listed(moved.origin)) for moved in rows.moved],
        }
    unchanged = [(one.columns, one.rows.to_pylist()) for one in rows.unchanged]
    return {"rows": listed(rows.rows), "stamps": listed(rows.stamps), "unchanged": unchanged}


def listed(batch: pa.RecordBatch | None) -> Any:
    if batch is None:
        return None
    batch.validate(full=True)
    return batch.schema.names, batch.schema.types, batch.to_pylist()
