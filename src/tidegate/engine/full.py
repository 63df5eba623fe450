"""Full synchronization: chunks begun, written and counted, and tables that join a run under way."""

from __future__ import annotations

import time

from tidegate.connect.capability import WriteMode
from tidegate.connect.spool import BlockSpool
from tidegate.connect.target import Append, Clear, KeyRange, Step, TargetTable
from tidegate.engine.copy import ChunkRead, Copier, Stage
from tidegate.engine.handoff import Chunk, ChunkState, TableCopy
from tidegate.engine.joining import Joiner
from tidegate.engine.opening import planned_copy, prepare
from tidegate.engine.running import Running
from tidegate.engine.unlogged import first_look
from tidegate.engine.writer import stamped
from tidegate.errors import Fenced, Retry, SourceLogBroken, SourceSchemaChange, TidegateError
from tidegate.faultpoint import crossing
from tidegate.model.measured import TableState
from tidegate.model.schema import TableName, TableSchema

# One is written while another is read and a third connects and locks.
COPY_PARALLEL = 3
CHUNK_ATTEMPTS = 20
CHUNK_PAUSE_S = 0.5


class FullCopy:
    """Used by the run's one thread; reading goes on in threads of its own."""

    def __init__(self, running: Running) -> None:
        self._run = running
        self._copier = Copier(COPY_PARALLEL)
        self._failures: dict[int, tuple[int, float]] = {}
        self._forms: dict[TableName, tuple[TableSchema, str]] = {}
        self._joiner = Joiner(running.plan, running.source)
        self._joiner.start(set(running.handoff.tables))

    @property
    def busy(self) -> bool:
        """Whether chunks are under way."""
        return bool(self._copier.reads)

    @property
    def ready(self) -> bool:
        """Whether a chunk waits to be written, or for its snapshot."""
        return any(read.stage in (Stage.READY, Stage.LOCKED) for read in self._copier.reads)

    @property
    def wanted(self) -> bool:
        """Whether there is something to copy, or a table waits to join: then every change must be decided by itself."""
        return self._run.handoff.copying or self.busy or self._joiner.waiting

    def close(self) -> None:
        self._copier.close()
        self._joiner.close()

    def advance(self) -> None:
        self._run.gauges.set("reading_bytes", sum(read.spool.bytes for read in self._copier.reads))
        for read in self._copier.at(Stage.FAILED):
            self._retry(read)
        for read in self._copier.at(Stage.LOCKED):
            read.chunk.mark = read.mark()
            read.chunk.state = ChunkState.READING
        if self._run.handoff.copying:
            for copy, chunk in self._next(self._copier.free()):
                self._copier.begin(copy, chunk, self._run.source.chunk(copy.schema, chunk.keys), self._form(copy))
        for read in self._copier.at(Stage.READY)[:1]:  # the others are read, and the log is taken, between two
            self._write(read)

    def join(self) -> None:
        """Take in the tables that were found; while every change is decided by itself."""
        if self._run.writer.calm:
            for found in self._joiner.joined():
                self._join(found)

    def abandon(self) -> None:
        """Give up the chunks that are being read; they are to do again."""
        self._copier.close()
        for chunk in (c for copy in self._run.handoff.tables.values() for c in copy.chunks):
            if chunk.state is ChunkState.READING:
                chunk.state, chunk.mark = ChunkState.TODO, None

    def _next(self, count: int) -> list[tuple[TableCopy, Chunk]]:
        now = time.monotonic()
        found: list[tuple[TableCopy, Chunk]] = []
        for copy in self._run.handoff.tables.values():
            if copy.in_step:
                continue
            for chunk in copy.chunks:
                if len(found) >= count:
                    return found
                waits = self._failures.get(id(chunk), (0, 0.0))[1] > now
                if chunk.state is ChunkState.TODO and not waits and not self._copier.under_way(chunk):
                    found.append((copy, chunk))
        return found

    def _form(self, copy: TableCopy) -> str:
        """In which the target would take the table's rows as they are."""
        held = self._forms.get(copy.name)
        if held is None or held[0] is not copy.schema:
            place = self._run.shapes.place(copy.schema)
            held = self._forms[copy.name] = (copy.schema, self._run.target.block_form(place))
        return held[1]

    def _put_back(self, read: ChunkRead) -> None:
        """The chunk is to do again, after a pause."""
        chunk = read.chunk
        self._copier.done(read)
        chunk.state, chunk.mark = ChunkState.TODO, None
        attempts = self._failures.get(id(chunk), (0, 0.0))[0]
        self._failures[id(chunk)] = (attempts, time.monotonic() + CHUNK_PAUSE_S)

    def _retry(self, read: ChunkRead) -> None:
        """A chunk that could not be read is to do again; after many attempts in a row the run sees the error."""
        error, chunk = read.error, read.chunk
        self._put_back(read)
        attempts, again_at = self._failures[id(chunk)]
        self._failures[id(chunk)] = (attempts + 1, again_at)
        if not isinstance(error, TidegateError):
            raise error or RuntimeError("a chunk failed without a reason")
        self._run.gauges.tables.wrong(read.copy.name, f"{error.code}: {error.detail}")
        if error.retry is Retry.NEVER or attempts + 1 >= CHUNK_ATTEMPTS:
            raise error

    def _write(self, read: ChunkRead) -> None:
        """R3: rows, `done` and the snapshot in one transaction."""
        run = self._run
        run.flush()
        copy, chunk, schema = read.copy, read.chunk, read.schema
        if schema is None:
            raise SourceLogBroken(f"{copy.name}: a chunk was read without its schema")
        if not self._foresee(schema, read):
            return
        place = run.shapes.place(schema)
        steps: list[Step] = []
        if place.mode is WriteMode.UPSERT and not copy.empty:
            steps.append(Clear(place, None if chunk.keys == KeyRange(None, None) else [chunk.keys]))
        rows = self._rows(read, place)
        steps.append(rows)
        chunk.state, chunk.rows = ChunkState.DONE, read.spool.rows
        rows.last = copy.chunks_done == len(copy.chunks)
        crossing("chunk.writing")
        run.writer.write(steps, run.writer.position, run.state.chunk_entry(copy, chunk))
        crossing("chunk.written")
        self._failures.pop(id(chunk), None)
        run.gauges.copied(copy.name, read.spool.rows, read.spool.bytes)
        run.gauges.tables.right(copy.name)
        self._copier.done(read)
        run.count_copy([copy])
        run.settle()  # the log may have passed the chunk's snapshot already

    def _rows(self, read: ChunkRead, place: TargetTable) -> Append:
        if isinstance(read.spool, BlockSpool):
            return Append(place, (), read.spool, read.spool.rows)
        if place.mode is WriteMode.APPEND:
            return Append(place, stamped(iter(read.spool), place, self._run.writer.position))
        return Append(place, read.spool)

    def _foresee(self, seen: TableSchema, read: ChunkRead) -> bool:
        """A chunk may show a table's new shape before the log does: the target gets new columns now, and the log's own
        shape stays what it is. A shape that ends the run does so when the log is there too; False: not yet."""
        run = self._run
        if seen == run.shapes.known[seen.name]:
            return True
        try:
            run.shapes.widen(seen)
        except SourceSchemaChange:
            run.store_reached()
            mark = read.chunk.mark
            # What was read before the log came to its newest shape looks as if that were undone, and does not know what
            # older rows have in a new column: it is read again.
            older = read.under != run.shapes.known[seen.name]
            if mark is None or (mark.log_end <= run.writer.position and not older):
                raise
            self._put_back(read)
            return False
        return True

    def _join(self, found: TableSchema | TidegateError) -> None:
        """A new table that matches: the source follows it already, and the fence (R4) is behind us. That one cannot
        join is no reason to end the run."""
        run = self._run
        try:
            if isinstance(found, TidegateError):
                raise found
            empty = prepare(run.plan, run.target, found)
            copy = planned_copy(run.plan, run.source, run.target, found, run.writer.position, empty=empty)
        except TidegateError as error:
            if error.retry is not Retry.NEVER or isinstance(error, Fenced):
                raise
            if isinstance(found, TableSchema):
                run.gauges.tables.wrong(found.name, f"{error.code}: {error.detail}", TableState.REFUSED)
            run.hooks.event("table_refused", {"reason": error.detail, "code": error.code})
            return
        run.flush()
        entries = run.state.add(copy)
        entries |= first_look(run.source, run.state, [found.name])
        run.writer.write([], run.writer.position, entries)
        run.shapes.known[found.name] = found
        run.count_copy([copy])
        left_out = list(run.source.omitted_columns([found.name]).get(found.name, ()))
        run.hooks.event("table_joined", {"table": str(found.name)} | ({"left_out": left_out} if left_out else {}))
