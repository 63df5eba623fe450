"""A run's state as entries of text: which tables, chunks and patches there are and how far each is.

The entries travel with the position in the target's own transactions, so that rows and state can never disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tidegate.connect.source import ChunkMark, Source
from tidegate.connect.target import KeyRange
from tidegate.engine.handoff import Chunk, ChunkState, Handoff, Key, TableCopy
from tidegate.errors import TargetPositionMismatch
from tidegate.model.schema import TableName, TableSchema

Entries = dict[str, str | None]
SOURCE = "source"
LINEAGE = "lineage"
TASK = "task"


@dataclass(slots=True)
class Watched:
    """A table that is watched for what the log does not tell."""

    text: str
    """What it was made of, in the source's words (see `Source.unlogged_changes`)."""
    truncated: list[tuple[str, str]] = field(default_factory=list)
    """Where the log truncated it as a whole since (sortable), and the transactions that did."""


class RunState:
    """The tables of a run, each with the number its entries go by."""

    def __init__(self) -> None:
        self.handoff = Handoff()
        self.watched: dict[TableName, Watched] = {}
        self._numbers: dict[TableName, int] = {}

    def add(self, copy: TableCopy) -> Entries:
        """A table that joins; returns what to store of it."""
        self._numbers[copy.name] = 1 + max(self._numbers.values(), default=-1)
        self.handoff.add(copy)
        entries = self.table_entry(copy)
        if not copy.in_step:
            for chunk in copy.chunks:
                entries |= self.chunk_entry(copy, chunk)
        return entries

    def restore(self, copy: TableCopy, number: int) -> None:
        """A table as it was stored."""
        self._numbers[copy.name] = number
        self.handoff.add(copy)

    def drop(self, name: TableName, stored: Iterable[str]) -> Entries:
        """A table that leaves; returns what to store of it: nothing any more."""
        number = self._numbers[name]
        del self.handoff.tables[name]
        self.watched.pop(name, None)
        whole, prefixes = (f"table:{number}", f"made:{number}"), (f"chunk:{number}:", f"patch:{number}:")
        return {entry: None for entry in stored if entry in whole or entry.startswith(prefixes)}

    def table_entry(self, copy: TableCopy) -> Entries:
        held = {
            "schema": copy.schema.to_json(),
            "in_step": copy.in_step,
            "empty": copy.empty,
            "rows": copy.rows,
            "estimated": copy.estimated,
            "since": copy.since,
        }
        return {f"table:{self._numbers[copy.name]}": json.dumps(held, ensure_ascii=False)}

    def watched_entry(self, name: TableName) -> Entries:
        return {f"made:{self._numbers[name]}": json.dumps(asdict(self.watched[name]), ensure_ascii=False)}

    def chunk_entry(self, copy: TableCopy, chunk: Chunk) -> Entries:
        mark = chunk.mark if chunk.state is ChunkState.DONE else None
        held: dict[str, Any] = {"after": chunk.keys.after, "upto": chunk.keys.upto, "done": False, "rows": chunk.rows}
        if mark is not None:
            held |= {"done": True} | _mark_text(mark)
        return {f"chunk:{self._numbers[copy.name]}:{chunk.index}": json.dumps(held, ensure_ascii=False)}

    def patch_entry(self, copy: TableCopy, key: Key) -> Entries:
        name = f"patch:{self._numbers[copy.name]}:{json.dumps(key, ensure_ascii=False)}"
        return {name: json.dumps(_mark_text(copy.patches[key]))}

    def settled_entries(self, copies: Iterable[TableCopy], stored: Iterable[str]) -> Entries:
        """What to store of tables that came in step: that they are, and nothing of their chunks and patches."""
        entries: Entries = {}
        for copy in copies:
            number = self._numbers[copy.name]
            prefixes = (f"chunk:{number}:", f"patch:{number}:")
            entries |= {name: None for name in stored if name.startswith(prefixes)}
            entries |= self.table_entry(copy)
        return entries


def restored(entries: Mapping[str, str], source: Source) -> RunState:
    """The state that was stored. A chunk that was being read is to do again: its snapshot was never stored, and what
    was dropped for it meanwhile is in the next one too. Raises `TargetPositionMismatch` if it is not whole."""
    state = RunState()
    tables: dict[int, dict[str, Any]] = {}
    chunks: dict[int, list[Chunk]] = {}
    try:
        for name, text in entries.items():
            sort, _, rest = name.partition(":")
            if sort == "table":
                tables[int(rest)] = json.loads(text)
            elif sort == "chunk":
                number, index = (int(part) for part in rest.split(":"))
                chunks.setdefault(number, []).append(_chunk(index, json.loads(text), source))
        for number in sorted(tables):
            held = tables[number]
            schema = TableSchema.from_json(held["schema"])
            listed = sorted(chunks.get(number, []), key=lambda chunk: chunk.index)
            if held["in_step"]:
                listed = [Chunk(0, KeyRange(None, None), ChunkState.DONE, None, held["rows"])]
            elif [chunk.index for chunk in listed] != list(range(len(listed))) or not listed:
                raise ValueError("chunks are missing")
            copy = TableCopy(schema, listed, source.order(schema), held["in_step"], held["empty"])
            copy.since, copy.estimated = held.get("since", ""), held.get("estimated", 0)
            state.restore(copy, number)
            if f"made:{number}" in entries:
                known = json.loads(entries[f"made:{number}"])
                state.watched[copy.name] = Watched(known["text"], [(at, by) for at, by in known["truncated"]])
            prefix = f"patch:{number}:"
            for name, text in entries.items():
                if name.startswith(prefix):
                    copy.patches[tuple(json.loads(name.removeprefix(prefix)))] = _mark(json.loads(text), source)
    except (ValueError, KeyError, TypeError) as error:
        raise TargetPositionMismatch("the run's stored progress at the target is not whole") from error
    return state


def _chunk(index: int, held: Mapping[str, Any], source: Source) -> Chunk:
    after, upto = held["after"], held["upto"]
    keys = KeyRange(tuple(after) if after is not None else None, tuple(upto) if upto is not None else None)
    if not held["done"]:
        return Chunk(index, keys)
    return Chunk(index, keys, ChunkState.DONE, _mark(held, source), held["rows"])


def _mark_text(mark: ChunkMark) -> dict[str, str]:
    return {"seen": str(mark.seen), "log_end": str(mark.log_end)}


def _mark(held: Mapping[str, str], source: Source) -> ChunkMark:
    return ChunkMark(source.parse_mark(held["seen"]), source.parse_position(held["log_end"]))
