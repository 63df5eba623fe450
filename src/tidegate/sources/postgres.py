"""Read PostgreSQL 14 to 18: full copy by COPY in chunks, then the log by a replication slot and `pgoutput`.

A run owns one publication and one slot, both named `tidegate_<run>`; `end` drops them. Nothing else is created at the
source, and nothing is written to its tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

import psycopg
from psycopg import errors as pg

from tidegate.connect import pgedges, pgomitted, pgpublication, pgretention, pgtypes, pgunlogged
from tidegate.connect.capability import Check, WriteMode
from tidegate.connect.pgassembly import Doubts
from tidegate.connect.pgcheck import connectivity, identity_refusals, may_replicate, privilege_refusals
from tidegate.connect.pgchunk import TIMELINE, PgChunk, range_condition
from tidegate.connect.pgdescribing import Describing
from tidegate.connect.pgposition import PgPosition, PgSnapshot, lsn_text, parse_lsn
from tidegate.connect.pgreplication import PgLog, forks
from tidegate.connect.pgview import PgSourceView
from tidegate.connect.postgres import PostgresConfig, connect, conninfo, place, quote, translated
from tidegate.connect.source import ChunkReader, LogReader, LogState, Retentions, Source, SourceView, UnloggedChanges
from tidegate.connect.target import KeyRange
from tidegate.errors import (
    PositionLost,
    SourceLogDisabled,
    SourcePrivilegeMissing,
    SourceSlotBusy,
    SourceStandby,
    SourceStartUnsupported,
    SourceTableUnknown,
    SourceUnreachable,
    TaskInvalid,
)
from tidegate.model.position import Position
from tidegate.model.schema import DataType, TableName, TableSchema
from tidegate.model.start import StartSpec

FENCE_DEADLINE_S = 150.0
SLOT_FREE_DEADLINE_S = 20.0


class PostgresSource(Source):
    kind: ClassVar[str] = "postgres"
    title: ClassVar[str] = "PostgreSQL"
    Config = PostgresConfig

    def __init__(self, config: PostgresConfig) -> None:
        self.config: PostgresConfig = config
        self._held: psycopg.Connection[Any] | None = None
        self._timeline: int | None = None
        self._doubts = Doubts()

    # --- what it is and has ---

    def check(self) -> list[Check]:
        return connectivity(self.config)

    def identity(self) -> tuple[str, ...]:
        row = self._one("select system_identifier::text from pg_catalog.pg_control_system()")
        return ("postgres", str(row[0]), self.config.database)

    def lineage(self) -> str:
        """The timeline: a standby that was promoted, and a server that was restored, begin another."""
        self._timeline = int(self._one(f"select {TIMELINE}")[0])
        return str(self._timeline)

    def check_lineage(self, was: str, furthest: Position) -> None:
        now = int(self.lineage())
        if was in ("", str(now)):
            return
        ended = forks(conninfo(self.config, replication="database"), now)
        position = PgPosition.of(furthest)
        reached = max(position.lsn, position.inside)
        at = f"{place(self.config)} is on timeline {now}"
        if int(was) not in ended:
            raise PositionLost(f"{at}, which does not come from timeline {was}, the one that was followed")
        if reached > ended[int(was)]:
            raise PositionLost(
                f"{at}, which left timeline {was} at {lsn_text(ended[int(was)])}; the task has read up to "
                f"{lsn_text(reached)}, which this server never had"
            )

    @property
    def database(self) -> str:
        return self.config.database

    def tables(self) -> list[TableName]:
        rows = self._all(
            "select n.nspname, c.relname from pg_catalog.pg_class c"
            " join pg_catalog.pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'"
            " and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_toast%%'"
            " order by 1, 2"
        )
        return [TableName(*row) for row in rows]

    def unlogged_tables(self) -> list[TableName]:
        with self._translating() as connection:
            return pgomitted.unlogged_tables(connection)

    def omitted_columns(self, tables: Sequence[TableName]) -> Mapping[TableName, Sequence[str]]:
        with self._translating() as connection:
            return pgomitted.generated_columns(connection, tables)

    def schema(self, table: TableName) -> TableSchema:
        with self._translating() as connection:
            facts = pgtypes.read_facts(connection, table)
            if facts is None:
                raise SourceTableUnknown(f"{table} does not exist in {self.config.database}")
            return pgtypes.read_schema(connection, table, facts.oid)

    def refusals(self, table: TableSchema, mode: WriteMode) -> list[Exception]:
        with self._translating() as connection:
            facts = pgtypes.read_facts(connection, table.name)
            if facts is None:
                return [SourceTableUnknown(f"{table.name} does not exist in {self.config.database}")]
            refused = privilege_refusals(connection, table.name, facts.oid)
            unfound = identity_refusals(connection, table, facts.oid, mode)
        if not table.columns:
            refused.append(TaskInvalid(f"{table.name} has no columns that could be copied"))
        return refused + unfound

    def parse_position(self, text: str) -> PgPosition:
        return PgPosition.parse(text)

    def parse_mark(self, text: str) -> PgSnapshot:
        return PgSnapshot(text)

    # --- a run's slot and publication ---

    def start_at(self, start: StartSpec) -> PgPosition:
        raise SourceStartUnsupported(
            f"PostgreSQL keeps its log for a run only from when the run's slot is made, and so nothing from {start} on"
        )

    def begin(self, run: str, tables: Sequence[TableName]) -> PgPosition:
        self.end(run)
        try:
            with self._translating() as connection:
                pgpublication.create(connection, f"tidegate_{run}", tables)
                connection.execute(f"set statement_timeout = {int(FENCE_DEADLINE_S * 1000)}")
                try:
                    # A slot that standbys may keep a copy of outlives a failover.
                    kept = ", failover => true" if connection.info.server_version >= 170_000 else ""
                    row = connection.execute(
                        f"select lsn::text from pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput'{kept})",
                        (f"tidegate_{run}",),
                    ).fetchone()
                except pg.ObjectNotInPrerequisiteState as error:
                    raise SourceLogDisabled(f"{place(self.config)}: wal_level is not logical") from error
                except pg.QueryCanceled as error:
                    raise SourceUnreachable(f"the slot waits for older transactions: {self._elders()}") from error
                finally:
                    connection.execute("set statement_timeout = 0")
            self._fence()
        except BaseException:
            self.end(run)
            raise
        return PgPosition(parse_lsn(row[0] if row else "0/0"))

    def add_tables(self, run: str, tables: Sequence[TableName]) -> None:
        with self._translating() as connection:
            pgpublication.add(connection, f"tidegate_{run}", tables)
        self._fence()

    def drop_tables(self, run: str, tables: Sequence[TableName]) -> None:
        with self._translating() as connection:
            pgpublication.drop(connection, f"tidegate_{run}", tables)

    def unfollowed(self, run: str, tables: Sequence[TableName]) -> list[TableName]:
        with self._translating() as connection:
            followed = pgpublication.told_whole(connection, f"tidegate_{run}")
        return [table for table in tables if table not in followed]

    def unlogged_changes(self, remembered: Sequence[tuple[TableSchema, str]]) -> UnloggedChanges:
        if not remembered:
            return UnloggedChanges()
        with self._translating() as connection:
            return pgunlogged.look(connection, remembered)

    def _fence(self) -> None:
        """R4: wait until every transaction that could have been missed has ended. One that committed before the slot
        (or before the table was published) may still be invisible to snapshots; its rows would be in neither."""
        border = int(self._one("select pg_catalog.pg_current_xact_id()::text")[0])
        until = time.monotonic() + FENCE_DEADLINE_S
        while int(self._one("select pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text")[0]) <= border:
            if time.monotonic() > until:
                raise SourceUnreachable(f"transactions older than the task are still open: {self._elders()}")
            time.sleep(0.02)

    def _elders(self) -> str:
        rows = self._all(
            "select format('pid %s, %s, open since %s', pid, usename, xact_start::timestamptz(0))"
            "  from pg_catalog.pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()"
            " union all select format('prepared %s since %s', gid, prepared::timestamptz(0))"
            "  from pg_catalog.pg_prepared_xacts limit 5"
        )
        return "; ".join(row[0] for row in rows) or "nobody can be named"

    def log_state(self, run: str, position: Position | None) -> LogState:
        rows = self._all(
            "select s.confirmed_flush_lsn::text, s.wal_status, s.safe_wal_size, s.plugin, s.database,"
            " pg_catalog.pg_current_wal_insert_lsn()::text"
            " from pg_catalog.pg_replication_slots s where s.slot_name = %s",
            (f"tidegate_{run}",),
        )
        slot = f"slot tidegate_{run}"
        if not rows:
            raise PositionLost(f"{slot} no longer exists on {self.config.host}:{self.config.port}")
        confirmed, status, safe, plugin, database, end = rows[0]
        if status == "lost" or confirmed is None:
            raise PositionLost(f"{slot} was invalidated by the server (wal_status {status})")
        if plugin != "pgoutput" or database != self.config.database:
            raise PositionLost(f"{slot} is now another one (plugin {plugin}, database {database})")
        wanted = parse_lsn(confirmed) if position is None else PgPosition.of(position).lsn
        if parse_lsn(confirmed) > wanted:  # I2: the log between the two is not promised any more
            raise PositionLost(f"{slot} stands at {confirmed}, the task needs the log from {lsn_text(wanted)}")
        if parse_lsn(end) < wanted:
            raise PositionLost(
                f"the log of {place(self.config)} ends at {end}, before {lsn_text(wanted)}, up to which the task has "
                "read: the server was put back to an older state"
            )
        return LogState(max(0, parse_lsn(end) - wanted), safe, PgPosition(parse_lsn(end)))

    def retentions(self, runs: Mapping[str, Position | None]) -> Retentions:
        with self._translating() as connection:
            return pgretention.retentions(connection, list(runs))

    def log(
        self,
        run: str,
        position: Position,
        *,
        tables: Mapping[TableName, TableSchema] | None = None,
        protocol: int | None = None,
    ) -> LogReader:
        start = PgPosition.of(position)
        self.log_state(run, start)
        self._free_slot(run)
        version = self._connection().info.server_version // 10_000
        spoken = protocol or (4 if version >= 16 else 3 if version >= 15 else 2)
        options = {"proto_version": str(spoken), "publication_names": f"tidegate_{run}"}
        if spoken >= 2 and self.config.stream_transactions:
            options["streaming"] = "on"
        if version >= 16:
            options["origin"] = "any"
        until = time.monotonic() + SLOT_FREE_DEADLINE_S
        while True:
            try:
                text = conninfo(self.config, replication="database", application_name=f"tidegate {run}")
                return PgLog(
                    text,
                    f"tidegate_{run}",
                    start,
                    options,
                    Describing(self.config, self.kind),
                    timeline=self._timeline,
                    doubts=self._doubts,
                    pace_s=self.config.read_pace_ms / 1000,
                )
            except SourceUnreachable as error:
                with self._translating() as connection:
                    allowed = may_replicate(connection)
                if not allowed:
                    needed = f'ALTER ROLE "{self.config.user}" REPLICATION'
                    raise SourcePrivilegeMissing(f"{place(self.config)}: missing: {needed}") from error
                raise
            except SourceSlotBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def _free_slot(self, run: str) -> None:
        """A dead worker's session may hold the slot until the server notices; the epoch already took its right (I5)."""
        with suppress(SourcePrivilegeMissing):  # somebody else's session; the slot is busy then, and says so
            self._all(
                "select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots"
                " where slot_name = %s and active_pid is not null",
                (f"tidegate_{run}",),
            )

    def behind_bytes(self, position: Position) -> int:
        (end,) = self._one("select pg_catalog.pg_current_wal_insert_lsn()::text")
        return max(0, parse_lsn(end) - PgPosition.of(position).lsn)

    def now(self) -> PgSnapshot:
        return PgSnapshot(self._one("select pg_catalog.pg_current_snapshot()::text")[0])

    def end(self, run: str) -> None:
        until = time.monotonic() + SLOT_FREE_DEADLINE_S
        while True:
            self._free_slot(run)
            try:
                self._all(
                    "select pg_catalog.pg_drop_replication_slot(slot_name) from pg_catalog.pg_replication_slots"
                    " where slot_name = %s",
                    (f"tidegate_{run}",),
                )
                break
            except SourceSlotBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
        self._run(f"drop publication if exists {quote(f'tidegate_{run}')}")

    def close(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    # --- the full copy ---

    def estimate(self, table: TableName) -> int:
        return pgedges.size(self._all, table)[0]

    def edges(self, table: TableSchema, *, can_order: Callable[[DataType], bool]) -> list[KeyRange]:
        return pgedges.edges(self._all, table, can_order, self.config.chunk_rows)

    def order(self, table: TableSchema) -> Callable[[Sequence[str]], Any]:
        turns = [pgedges.COMPARABLE.get(table.column(name).type.kind, str) for name in table.key]
        return lambda key: tuple(turn(text) for turn, text in zip(turns, key, strict=False))

    def chunk(self, table: TableSchema, keys: KeyRange) -> ChunkReader:
        return PgChunk(self.config, table.name, range_condition(table, keys), timeline=self._timeline)

    def row_chunk(self, table: TableSchema, key: Sequence[str]) -> ChunkReader:
        condition = range_condition(table, None, tuple(key))
        return PgChunk(self.config, table.name, condition, timeline=self._timeline)

    def nudge(self) -> None:
        # What is no commit's may lie in a half-filled page of the log until the next commit: this is one. It changes
        # nothing, so it waits neither for the disk nor for standbys.
        self._one("select pg_catalog.pg_current_xact_id()::text")

    def view(self) -> SourceView:
        return PgSourceView(self.config, timeline=self._timeline)

    # --- talking to the server ---

    def _connection(self) -> psycopg.Connection[Any]:
        if self._held is None or self._held.closed:
            self._held = connect(self.config, "source")
            row = self._held.execute("select pg_catalog.pg_is_in_recovery()").fetchone()
            if row == (True,):
                self.close()
                raise SourceStandby(f"{place(self.config)} is a standby")
        return self._held

    @contextmanager
    def _translating(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, with what psycopg raises, also while it is opened, turned into the error table's classes."""
        try:
            yield self._connection()
        except psycopg.Error as error:
            raise translated(error, "source", self.config) from error

    def _all(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._translating() as connection:
            return connection.execute(statement, values).fetchall()

    def _one(self, statement: str, values: Sequence[Any] = ()) -> tuple[Any, ...]:
        return self._all(statement, values)[0]

    def _run(self, statement: str) -> None:
        with self._translating() as connection:
            connection.execute(statement)
