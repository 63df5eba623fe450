"""Read MariaDB 10.5 to 11: full copy by consistent snapshots in chunks, then the binary log as a replica of its own.
MySQL's source is this one, where it says nothing else.

Nothing is created at the source and nothing is written there, so the server knows of no run: it keeps its log for as
long as its settings say, and what a run follows the run says itself.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar, Self

from tidegate.connect import mycheck, myedges, myretention, mysnapshot, mytypes
from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.mariadb import MariadbConfig, place, quote
from tidegate.connect.mychunk import MyChunk, MyInstant
from tidegate.connect.myfiles import begun_at
from tidegate.connect.myflavour import Flavour
from tidegate.connect.myfollowed import Followed
from tidegate.connect.myposition import MyPosition, MySnapshot, Place
from tidegate.connect.myreplication import MyLog
from tidegate.connect.mysession import bytes_behind, file_sizes, global_setting, log_end
from tidegate.connect.mystart import Starts
from tidegate.connect.myview import MySourceView
from tidegate.connect.source import ChunkReader, LogReader, LogState, Retentions, Source, SourceView
from tidegate.connect.target import KeyRange
from tidegate.decode.gtid import NO_GTIDS, Gtids, parse_gtids, stands_at
from tidegate.errors import PositionLost, SourceTableUnknown, SourceUnreachable
from tidegate.model.position import Position
from tidegate.model.schema import DataType, TableName, TableSchema
from tidegate.model.start import StartSpec

FENCE_DEADLINE_S = 150.0
_IDS = 1_000_000_000


class MariadbSource(Source):
    kind: ClassVar[str] = "mariadb"
    title: ClassVar[str] = "MariaDB"
    Config = MariadbConfig

    def __init__(self, config: MariadbConfig) -> None:
        self.config: MariadbConfig = config
        self._held: MyInstant | None = None
        self._followed = Followed()

    # --- what it is and has ---

    def another(self) -> Self:
        other = type(self)(self.config)
        other._followed = self._followed
        return other

    def check(self) -> list[Check]:
        return mycheck.connectivity(self.config, self.kind)

    def identity(self) -> tuple[str, ...]:
        """The id that servers which replicate with each other must not share; and where the server runs, by which two
        that share it all the same are told apart while both are there."""
        return self._instant().identity()

    def recognises(self, identity: Sequence[str]) -> bool:
        """A server may move to another host with its log, which is held to what was read of it (see `log_state`)."""
        return tuple(identity[:2]) == self.identity()[:2]

    def check_lineage(self, was: str, furthest: Position) -> None:
        end = log_end(self._query, self._flavour).place
        reached = MyPosition.of(furthest).place
        # After a crash the server goes on in another file: what it lost, the file before is short of.
        if reached > end or file_sizes(self._query).get(reached.file, reached.offset) < reached.offset:
            raise PositionLost(
                f"the log of {place(self.config)} no longer has {reached}, up to which the task has read: the server"
                " lost the end of its log, or was put back to an older state"
            )

    @property
    def database(self) -> str:
        return self.config.database

    def tables(self) -> list[TableName]:
        return mycheck.logged(self._query, self._flavour, self._tables())

    def unlogged_tables(self) -> list[TableName]:
        names = self._tables()
        has_log = set(mycheck.logged(self._query, self._flavour, names))
        return [name for name in names if name not in has_log]

    def _tables(self) -> list[TableName]:
        hidden = ", ".join(f"'{name}'" for name in mycheck.SYSTEM_SCHEMAS)
        rows = self._query(
            "select table_schema, table_name from information_schema.tables where table_type = 'BASE TABLE'"
            f" and table_schema not in ({hidden}) and (%s = '' or table_schema = %s) order by 1, 2",
            (self.config.database, self.config.database),
        )
        return [TableName(*row) for row in rows]

    def schema(self, table: TableName) -> TableSchema:
        if not mytypes.described(self._query, table, self._flavour):
            raise SourceTableUnknown(f"{table} does not exist at {place(self.config)}")
        return self._instant().describe(table)[0]

    def refusals(self, table: TableSchema, mode: WriteMode) -> list[Exception]:
        return mycheck.refusals(self._query, self._flavour, table, mode)

    def parse_position(self, text: str) -> MyPosition:
        return MyPosition.parse(text)

    def parse_mark(self, text: str) -> MySnapshot:
        return MySnapshot(Place.parse(text))

    # --- a run ---

    def begin(self, run: str, tables: Sequence[TableName]) -> MyPosition:
        self._known(tables)
        start = log_end(self._query, self._flavour).place
        waited = self._await_prepared()
        end = log_end(self._query, self._flavour).place if waited else start
        self._followed.replace(*tables)
        # What was prepared while others were waited for may be decided later: its rows are read again.
        return MyPosition(end, self._gtids(end), prepared=start if waited else None)

    def start_at(self, start: StartSpec) -> MyPosition:
        return Starts(self._query, self.config).find(start, log_end(self._query, self._flavour).place)

    def add_tables(self, run: str, tables: Sequence[TableName]) -> None:
        self._known(tables)
        for name in tables:
            self._followed.joins(self.schema(name))
        self._followed.add(*tables)
        # R4: what the reader passed over until now is in front of this, and in every snapshot from behind it on.
        end = log_end(self._query, self._flavour).place
        self._await_prepared()
        until = time.monotonic() + FENCE_DEADLINE_S
        while self.now().place < end:
            if time.monotonic() > until:
                raise SourceUnreachable(f"{place(self.config)}: what its log has does not become visible")
            time.sleep(0.01)

    def drop_tables(self, run: str, tables: Sequence[TableName]) -> None:
        self._followed.drop(*tables)

    def unfollowed(self, run: str, tables: Sequence[TableName]) -> list[TableName]:
        there = set(self.tables())
        return [name for name in tables if name not in there or name in self._followed.dropped]

    def _known(self, tables: Sequence[TableName]) -> None:
        there = set(self.tables())
        for name in tables:
            if name not in there:
                raise SourceTableUnknown(f"{name} does not exist at {place(self.config)}, or is not logged there")

    def _await_prepared(self) -> bool:
        """R4: wait until every XA transaction that is prepared now is decided: its rows stand in the log in front of
        what is read, and in no snapshot yet. Whether there was one."""
        older = set(self._query("xa recover"))
        waited = bool(older)
        until = time.monotonic() + FENCE_DEADLINE_S
        while older & set(self._query("xa recover")):
            if time.monotonic() > until:
                raise SourceUnreachable(f"{len(older)} XA transactions are prepared and not decided (see XA RECOVER)")
            time.sleep(0.05)
        return waited

    def _gtids(self, at: Place) -> Gtids:
        """What stands in front of the log's end: quickly where nothing is written meanwhile."""
        for _ in range(3):
            ((told,),) = self._query("select @@global.gtid_binlog_pos")
            if log_end(self._query, self._flavour).place == at:
                return parse_gtids(str(told))
        return self._gtids_at(at) or NO_GTIDS

    def _gtids_at(self, at: Place) -> Gtids | None:
        """What stands in front of a place, as the server's own log says; None: the log has no such place. It is read
        for that from its file's beginning."""
        ((told,),) = self._query("select binlog_gtid_pos(%s, %s)", (at.file, at.offset))
        return None if told is None else parse_gtids(str(told))

    def log_state(self, run: str, position: Position | None) -> LogState:
        """The server keeps nothing for a run: its log may be gone at any time that its settings say."""
        end = MyPosition(log_end(self._query, self._flavour).place)
        if position is None:
            return LogState(0, None, end)
        wanted = MyPosition.of(position)
        behind = bytes_behind(self._query, wanted.read_from)
        if wanted.place > end.place:
            self.check_lineage("", wanted)
        found = self._gtids_at(wanted.place)
        if found is None:
            raise PositionLost(
                f"the log of {place(self.config)} has nothing at {wanted.place} that could be read on from"
            )
        if not stands_at(wanted.gtids, found):
            raise PositionLost(
                f"the log of {place(self.config)} is another one: in front of {wanted.place} stands {found}, and the"
                f" task has read up to {wanted.gtids} there (RESET MASTER, or a restored server)"
            )
        return LogState(behind, None, end)

    def retentions(self, runs: Mapping[str, Position | None]) -> Retentions:
        places = {run: MyPosition.of(at).read_from for run, at in runs.items() if at is not None}
        return myretention.retentions(self._query, self._flavour, places, cache(partial(begun_at, self.config)))

    def log(
        self,
        run: str,
        position: Position,
        *,
        tables: Mapping[TableName, TableSchema] | None = None,
        protocol: int | None = None,
    ) -> LogReader:
        start = MyPosition.of(position)
        self.log_state(run, start)
        if tables is not None:
            self._followed.replace(*tables)
        ((folds,),) = self._query("select @@lower_case_table_names")
        self._followed.folds = int(folds) != 0
        metadata = global_setting(self._query, "binlog_row_metadata")
        return MyLog(
            self.config,
            start,
            self._followed,
            tables or {},
            server_id=self.config.server_ids_from + zlib.crc32(run.encode()) % _IDS,
            name=f"tidegate {run}",
            server=self.identity()[1],
            unnamed=metadata != "FULL",
            family=self._flavour.kind,
        )

    def behind_bytes(self, position: Position) -> int:
        at, end = MyPosition.of(position).place, log_end(self._query, self._flavour).place
        if at.file == end.file:
            return max(0, end.offset - at.offset)
        return bytes_behind(self._query, at)

    def now(self) -> MySnapshot:
        if not self._flavour.tells_snapshots:
            return MySnapshot(log_end(self._query, self._flavour).place)
        taken = mysnapshot.said_with(self._query)
        self._query("rollback")  # held longer, it would keep the server from forgetting old rows
        return MySnapshot(taken)

    def end(self, run: str) -> None:
        """Nothing was made."""

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    # --- the full copy ---

    def estimate(self, table: TableName) -> int:
        return myedges.size(self._query, table)[0]

    def edges(self, table: TableSchema, *, can_order: Callable[[DataType], bool]) -> list[KeyRange]:
        return myedges.edges(self._query, table, can_order, self.config.chunk_rows)

    def order(self, table: TableSchema) -> Callable[[Sequence[str]], Any]:
        turns = [myedges.COMPARABLE.get(table.column(name).type.kind, str) for name in table.key]
        return lambda key: tuple(turn(text) for turn, text in zip(turns, key, strict=False))

    def chunk(self, table: TableSchema, keys: KeyRange) -> ChunkReader:
        conditions, values = ["true"], []
        for bound, upto in ((keys.after, False), (keys.upto, True)):
            if bound is not None:
                condition, used = myedges.beyond(table, table.key, bound, upto=upto)
                conditions.append(condition)
                values += used
        return MyChunk(self.config, table, " and ".join(conditions), values, self._followed.added)

    def row_chunk(self, table: TableSchema, key: Sequence[str]) -> ChunkReader:
        values = [myedges.literal(table.column(name).type, text) for name, text in zip(table.key, key, strict=True)]
        condition = " and ".join(f"{quote(name)} = %s" for name in table.key)
        return MyChunk(self.config, table, condition, values, self._followed.added)

    def view(self) -> SourceView:
        return MySourceView(self.config)

    # --- talking to the server ---

    def _instant(self) -> MyInstant:
        if self._held is None or not self._held.alive:
            self.close()
            self._held = MyInstant(self.config)
            self._held.open()
            if wrong := mycheck.wrong_server(self._held.flavour, self.kind):
                self.close()
                raise wrong
        return self._held

    @property
    def _flavour(self) -> Flavour:
        return self._instant().flavour

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._instant().query(statement, values)
