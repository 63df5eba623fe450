"""What PostgreSQL's log says, gathered table by table: batches of whole transactions, or pieces of a large one. Pure
but for the question about a table's shape."""

from __future__ import annotations

from tidegate.connect.lanes import Item
from tidegate.connect.pgassembly import Stand
from tidegate.connect.pgposition import PgPosition
from tidegate.connect.source import Gathering, LogBatch, LogTransaction
from tidegate.decode.choice import open_gatherer
from tidegate.decode.gatherer import Event, EventKind, Gatherer, Limits, Mode, Stop
from tidegate.decode.pgoutput import Relation, Truncate
from tidegate.errors import SourceLogBroken
from tidegate.model.change import Change, LogPart, Op
from tidegate.model.schema import TableSchema

BATCH_BYTES_MAX = 8 << 20
# A transaction is cut in two where it alone is this many times as large as a batch.
SPLIT = 2


class Batches:
    """Frames in, batches out; a truncate comes as a part. `begin` comes first."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._held: Gatherer | None = None
        self._gathering = Gathering({}, 1)
        self._transactions: list[LogTransaction] = []
        self._met: list[TableSchema] = []
        self.hurry = False
        """A batch is wanted at the next commit."""

    def begin(self, gathering: Gathering) -> None:
        """Between two transactions, and with nothing gathered. Raises as `open_gatherer`."""
        self._gathering, self.hurry = gathering, False
        if self._held is None:
            self._held = open_gatherer()
            start = self._stand.start
            self._held.resume(start.lsn, start.inside, start.changes)
        for oid, table in self._stand.tables.items():
            self._shape(oid, table)

    @property
    def _gatherer(self) -> Gatherer:
        if self._held is None:
            raise SourceLogBroken("the log is gathered before anybody said what of it")
        return self._held

    @property
    def in_transaction(self) -> bool:
        return self._held is not None and self._held.open is not None

    @property
    def holds(self) -> bool:
        """Whether there is anything to tell."""
        return self._held is not None and bool(self._transactions or self._met or self._held.changes)

    def step(self, frames: memoryview, at: int) -> tuple[int, list[Item]]:
        """Read on from byte `at`, to the end or to what must be dealt with first; returns where that is, and what is
        finished. Raises `Malformed` and `SourceLogBroken` for the frame there."""
        fed = self._gatherer.feed(frames, at, self._limits())
        self._note(fed.events)
        at += fed.consumed_bytes
        match fed.stop:
            case Stop.FULL:
                return at, [self.cut()]
            case Stop.RELATION if isinstance(fed.met, Relation):
                return at, self._described(fed.met)
            case Stop.TRUNCATE if isinstance(fed.met, Truncate):
                return at, self._truncated(fed.met)
            case Stop.UNSHAPED if not fed.consumed_bytes:
                self._stand.table(fed.oid)
                raise SourceLogBroken(f"a change of relation {fed.oid} before its shape")
            case Stop.END if at < len(frames):
                raise SourceLogBroken("half a message")
        return at, []

    def cut(self, *, before: int = 0) -> LogBatch:
        """What is gathered, and no longer is; the last changes that were read, `before` of them, are none of it."""
        gatherer, opened = self._gatherer, self._gatherer.open
        changes, size = gatherer.changes, gatherer.size_bytes
        tables, counts = [], []
        for oid in gatherer.held():
            had, had_bytes = gatherer.changes, gatherer.size_bytes
            tables.append((self._stand.tables[oid], gatherer.take(oid)))
            counts.append((had - gatherer.changes, had_bytes - gatherer.size_bytes))
        transactions, self._transactions = self._transactions, []
        met, self._met = self._met, []
        self.hurry = False
        if opened is None:
            return LogBatch(tables, met, transactions, self._stand.whole(), True, changes, size, counts)
        transactions.append(_transaction(opened))
        position = self._inside(opened, opened.changes - before)
        return LogBatch(tables, met, transactions, position, False, changes, size, counts)

    def _limits(self) -> Limits:
        most = self._gathering.changes_max
        return Limits(1 if self.hurry else most, BATCH_BYTES_MAX, most * SPLIT, BATCH_BYTES_MAX * SPLIT)

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if event.kind is EventKind.COMMIT and event.end_lsn > self._stand.start.lsn:  # I2: others were read before
                self._transactions.append(_transaction(event))
                self._stand.reached = event.end_lsn

    def _inside(self, opened: Event, changes: int) -> PgPosition:
        """Behind so many changes of the open transaction; I2: never before those that were there already."""
        if changes < self._gatherer.passed_over:
            return self._stand.whole()
        return PgPosition(self._stand.reached, opened.commit_lsn, changes)

    def _shape(self, oid: int, table: TableSchema) -> None:
        mode = self._gathering.tables.get(table.name, Mode.SKIP)
        if mode is Mode.NET and not table.key:
            mode = Mode.SKIP  # who gets the shape refuses it
        self._gatherer.shape(oid, table.names, table.key_indexes, mode)

    def _described(self, relation: Relation) -> list[Item]:
        """The shape a table has from here on; a batch holds one of each."""
        table = self._stand.describe(relation)
        finished: list[Item] = []
        if self._stand.tables.get(relation.oid) != table:
            if relation.oid in self._gatherer.held():
                finished = [self.cut()]
            self._stand.tables[relation.oid] = table
            self._met.append(table)
        self._shape(relation.oid, self._stand.tables[relation.oid])
        return finished

    def _truncated(self, truncate: Truncate) -> list[Item]:
        opened = self._gatherer.open
        if opened is None:
            raise SourceLogBroken("a truncate outside of a transaction")
        finished: list[Item] = [self.cut(before=len(truncate.oids))] if self.holds else []
        first = opened.changes - len(truncate.oids)
        passed_over = min(len(truncate.oids), max(0, self._gatherer.passed_over - first))
        if passed_over < len(truncate.oids):
            tables = [self._stand.table(oid) for oid in truncate.oids[passed_over:]]
            changes = [Change(table, Op.TRUNCATE, None, None) for table in tables]
            commit = PgPosition(opened.commit_lsn)
            at_us, position = opened.at_us, self._inside(opened, opened.changes)
            part = LogPart(opened.xid, at_us, changes, first + passed_over, False, position, commit, 16 * len(changes))
            finished.append(part)
        return finished


def _transaction(event: Event) -> LogTransaction:
    return LogTransaction(event.transaction, event.xid, event.at_us, PgPosition(event.commit_lsn))
