"""What a binary log says, gathered table by table: batches of whole transactions, or pieces of a large one. Pure but
for what the catalogue is asked about a table's shape."""

from __future__ import annotations

from tidegate.connect.lanes import Item
from tidegate.connect.myassembly import Assembler
from tidegate.connect.myfollowed import Followed
from tidegate.connect.myposition import MyPosition, Place
from tidegate.connect.myshapes import Shapes
from tidegate.connect.source import Gathering, LogBatch, LogTransaction
from tidegate.decode.binlog_gatherer import BinlogGatherer, Fed, Stop, Table, Transaction, raw_map
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import TableMap
from tidegate.decode.choice import open_binlog_gatherer
from tidegate.decode.fault import Malformed
from tidegate.decode.gatherer import Buffer, Limits, Mode
from tidegate.errors import SourceLogBroken
from tidegate.model.schema import TableName, TableSchema

BATCH_BYTES_MAX = 8 << 20
# A transaction is cut in two where it alone is this many times as large as a batch.
SPLIT = 2


class Batches:
    """Packets in, batches out; `begin` comes first. What the gatherer leaves to others, and where the log is read, is
    the assembler's."""

    def __init__(self, assembler: Assembler, followed: Followed, shapes: Shapes) -> None:
        self._assembler, self._followed, self._shapes = assembler, followed, shapes
        self._held: BinlogGatherer | None = None
        self._gathering = Gathering({}, 1)
        self._numbers: dict[TableName, int] = {}
        self._schemas: dict[int, TableSchema] = {}
        self._transactions: list[LogTransaction] = []
        self._met: list[TableSchema] = []
        self.checksums = False
        """Whether events end with them, by the last format description."""
        self.hurry = False
        """A batch is wanted at the next commit."""

    def begin(self, gathering: Gathering) -> None:
        """Between two transactions, and with nothing gathered. Raises as `open_binlog_gatherer`."""
        self._gathering, self.hurry = gathering, False
        if self._held is None:
            self._held = open_binlog_gatherer()
        self.goes_on()

    def goes_on(self) -> None:
        """The log goes on where the assembler stands, maybe in another file or format."""
        self.gatherer.begin(self._assembler.at.offset, checksums=self.checksums)

    @property
    def gatherer(self) -> BinlogGatherer:
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

    def step(self, packets: Buffer, at: int) -> tuple[int, list[Item], bool]:
        """Read on from byte `at`; returns where that ended, what is finished, and whether an event stands there that is
        not the gatherer's to read."""
        fed = self.gatherer.feed(packets, at, self._limits())
        self._note(fed)
        finished: list[Item] = [self.cut()] if fed.stop is Stop.FULL else []
        return at + fed.consumed_bytes, finished, fed.stop is Stop.OTHER

    def cut(self) -> LogBatch:
        """What is gathered, and no longer is."""
        gatherer, opened = self.gatherer, self.gatherer.open
        changes, size = gatherer.changes, gatherer.size_bytes
        tables, counts = [], []
        for number in gatherer.held():
            had, had_bytes = gatherer.changes, gatherer.size_bytes
            tables.append((self._schemas[number], gatherer.take(number)))
            counts.append((had - gatherer.changes, had_bytes - gatherer.size_bytes))
        transactions, self._transactions = self._transactions, []
        met, self._met = self._met, []
        self.hurry = False
        if opened is None:
            return LogBatch(tables, met, transactions, self._assembler.told(), True, changes, size, counts)
        if opened.changes:
            transactions.append(self._transaction(opened))
        position = self._assembler.within(self._place(opened), opened.changes)
        return LogBatch(tables, met, transactions, position, not opened.changes, changes, size, counts)

    def shape(self, event: bytes, table: TableMap) -> list[Item]:
        """What a table is from here on; a batch holds one shape of each. Raises `SourceLogFormat`."""
        name, raw = TableName(table.schema, table.name), raw_map(event, checksums=self.checksums)
        number = self._numbers.setdefault(name, len(self._numbers) + 1)
        finished: list[Item] = []
        if name not in self._followed:
            if number in self.gatherer.held():
                finished.append(self.cut())
            names = tuple(map(str, range(len(table.columns))))
            self.gatherer.table(number, Table(table, raw, table.columns, names, (), None))
            return finished
        shape = self._shapes.shape(table)
        schema = shape.schema
        if self._schemas.get(number) is not schema:
            if number in self.gatherer.held():
                finished.append(self.cut())
            self._schemas[number] = schema
            self._met.append(schema)
        mode = self._gathering.tables.get(name, Mode.SKIP)
        if mode is Mode.NET and not schema.key:
            mode = Mode.SKIP  # who gets the shape refuses it
        self.gatherer.table(number, Table(table, raw, shape.columns, schema.names, schema.key_indexes, mode))
        return finished

    def read(self, rows: Rows, end: int) -> list[Item]:
        """A row event that the gatherer leaves to others, and where its header says that it ends. Raises
        `SourceLogFormat`, `SourceLogBroken`."""
        limits = self._limits()
        if rows.table is not None:
            self._push(rows, rows.table)
        self.gatherer.passed(end, ends_statement=rows.ends_statement)
        self._assembler.passed(self.gatherer.offset, ())
        gatherer = self.gatherer
        full = gatherer.changes >= limits.split_changes_max or gatherer.size_bytes >= limits.split_bytes_max
        return [self.cut()] if full and gatherer.changes else []

    def _push(self, rows: Rows, table: TableMap) -> None:
        name = TableName(table.schema, table.name)
        if name not in self._followed:
            return
        changes = [(change.op, change.old, change.new) for change in self._assembler.changes(rows, table)]
        try:
            self.gatherer.push(self._numbers[name], changes)
        except Malformed as error:
            raise SourceLogBroken(f"{name} behind {self._assembler.at}: {error}") from error

    def leave(self) -> list[Item]:
        """The assembler reads the rest of the open transaction."""
        opened = self.gatherer.open
        if opened is None:
            return []
        finished: list[Item] = [self.cut()] if self.holds else []
        self._assembler.adopt(self._place(opened), opened.gtid, opened.at_s, opened.changes)
        self.gatherer.leave()
        return finished

    def _limits(self) -> Limits:
        most = self._gathering.changes_max
        return Limits(1 if self.hurry else most, BATCH_BYTES_MAX, most * SPLIT, BATCH_BYTES_MAX * SPLIT)

    def _note(self, fed: Fed) -> None:
        for ended in fed.ended:
            if ended.changes:
                self._transactions.append(self._transaction(ended))
        self._assembler.passed(self.gatherer.offset, (ended.gtid for ended in fed.ended))

    def _place(self, transaction: Transaction) -> Place:
        return self._assembler.at._replace(offset=transaction.start)

    def _transaction(self, told: Transaction) -> LogTransaction:
        place = self._place(told)
        return LogTransaction(told.number, place, told.at_s * 1_000_000, MyPosition(place))
