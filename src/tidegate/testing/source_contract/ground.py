"""What the cases of the source contract are written with: statements, runs, and what a run's log and chunks say."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, ClassVar, Protocol

from tidegate.connect.source import ChunkMark, LogReader, Source
from tidegate.connect.target import KeyRange
from tidegate.errors import TidegateError
from tidegate.model.change import Change, LogPart, Op, Row
from tidegate.model.position import Position
from tidegate.model.schema import TableName, TableSchema

DEADLINE_S = 30.0
RUN = "c0ffee_t1r1"
OTHER_RUN = "c0ffee_t2r1"


class Session(Protocol):
    """A connection to the database that is read: every statement its own transaction, unless `begin` was said."""

    def execute(self, statement: str) -> object: ...


@contextmanager
def raises(*errors: type[Exception]) -> Iterator[list[Exception]]:
    """What `pytest.raises` is; the error is in the list afterwards."""
    found: list[Exception] = []
    try:
        yield found
    except errors as error:
        found.append(error)
        return
    raise AssertionError(f"nothing was raised; wanted {' or '.join(error.__name__ for error in errors)}")


class Ground:
    schema: ClassVar[str] = "public"
    """Where tables lie that are named without a schema."""
    large: ClassVar[int] = 12_000
    """So many rows in one transaction are too many for one part of the log."""
    truncates: ClassVar[bool] = True
    keeps_log: ClassVar[bool] = True
    """Whether the source knows each run and keeps its log for it until told otherwise."""
    partitioned: ClassVar[Sequence[str]] = ()
    """Statements that make a table t of partitions, with rows; empty: there is no such thing, or all of it is in the
    log."""
    unlogged: ClassVar[Mapping[str, str]] = {}
    """What can become of one of them that the log does not tell (`Unlogged`) → a statement that does it."""
    types: ClassVar[Mapping[str, Sequence[str]]] = {
        "varchar(100)": ("''", "'a b'", "'''quoted'''", "null"),
        "int": ("0", "-2147483648", "null"),
        "numeric(20,5)": ("12345.67890", "-0.00001", "null"),
        "date": ("'2024-02-29'", "null"),
    }
    """Column type → literals of it."""

    _held: list[Source | LogReader]
    _runs: dict[str, dict[TableName, TableSchema]]
    """What each run follows, as the engine remembers it."""

    def source(self) -> Source:
        """A new instance, always of the same database."""
        raise NotImplementedError

    def session(self) -> AbstractContextManager[Session]:
        """A new session of that database, closed behind the block."""
        raise NotImplementedError

    def small_chunks(self) -> AbstractContextManager[None]:
        """In the block, tables of some hundred rows are cut into several chunks."""
        raise NotImplementedError

    # --- called by pytest around each test ---

    def setup_method(self) -> None:
        self._held, self._runs = [], {}

    def teardown_method(self) -> None:
        for held in reversed(self._held):
            if isinstance(held, Source):
                for run in (RUN, OTHER_RUN):
                    with suppress(TidegateError):
                        held.end(run)
            held.close()

    # --- making things ---

    def fresh(self) -> Source:
        source = self.source()
        self._held.append(source)
        return source

    def execute(self, *statements: str) -> None:
        """One after the other in one session."""
        with self.session() as session:
            for statement in statements:
                session.execute(statement)

    def whole(self, *statements: str) -> None:
        """All in one transaction."""
        self.execute("begin", *statements, "commit")

    def table(self, name: str = "t", rows: int = 3) -> TableName:
        """A table with a key and rows 1 to `rows`."""
        self.execute(f"create table {name} (id int primary key, note varchar(100), big text)")
        if rows:
            values = ", ".join(f"({n}, 'n{n}', null)" for n in range(1, rows + 1))
            self.execute(f"insert into {name} values {values}")
        return TableName(self.schema, name)

    def begun(self, *tables: TableName, run: str = RUN) -> tuple[Source, Position]:
        source = self.fresh()
        position = source.begin(run, tables)
        self._runs[run] = {name: source.schema(name) for name in tables}
        return source, position

    def another(self, source: Source) -> Source:
        """As an engine's other thread has it."""
        other = source.another()
        self._held.append(other)
        return other

    def followed(self, source: Source, position: Position, run: str = RUN) -> Log:
        reader = source.log(run, position, tables=self._runs.get(run))
        self._held.append(reader)
        return Log(reader)

    # --- reading ---

    def read(
        self,
        source: Source,
        schema: TableSchema,
        keys: KeyRange | None = None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> tuple[ChunkMark, TableSchema, list[dict[str, str | None]]]:
        """A chunk, with what is done between its snapshot and its rows."""
        reader = source.chunk(schema, keys or KeyRange(None, None))
        try:
            reader.lock()
            mark = reader.mark()
            meanwhile()
            seen, batches = reader.rows()
            return mark, seen, [row for batch in batches for row in batch.to_pylist()]
        finally:
            reader.close()


class Log:
    """A log reader that is read until something is there."""

    def __init__(self, reader: LogReader) -> None:
        self.reader = reader
        self.parts: list[LogPart] = []
        """All parts of transactions so far that changed something here."""
        self.idle: list[LogPart] = []
        """The source's word of how far its log goes; transactions of others, which some servers name, are no more."""

    def more(self, timeout_s: float = 0.2) -> None:
        for part in self.reader.take(timeout_s):
            assert isinstance(part, LogPart), "batches were not asked for"
            others = part.transaction is None or not (part.changes or part.first_index)
            (self.idle if others else self.parts).append(part)

    def until(self, done: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < end, f"not within {DEADLINE_S:.0f} s: {what}"
            self.more()

    def changes(self, count: int) -> list[Change]:
        """All changes so far, once there are `count`; there must not be more."""
        self.until(lambda: len(self.seen) >= count and (not self.parts or self.parts[-1].ends), f"{count} changes")
        assert len(self.seen) == count, [(change.op, change.new) for change in self.seen]
        return self.seen

    @property
    def seen(self) -> list[Change]:
        return [change for part in self.parts for change in part.changes]

    def close(self) -> None:
        self.reader.close()


def cell(change: Change, name: str, row: Row | None = None) -> Any:
    """A column of the new row, or of another."""
    image = change.new if row is None else row
    assert image is not None
    return image[change.table.names.index(name)]


def ids(changes: Sequence[Change]) -> list[tuple[str, str]]:
    """(operation, id of the row that is there now, or was)."""
    return [
        (change.op, str(cell(change, "id", change.new or change.old))) for change in changes if change.op != Op.TRUNCATE
    ]
