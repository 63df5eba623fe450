"""XA transactions as the log has them: their rows stand where they were prepared, and count from where they are
committed. Until then they are held, beyond some megabytes in a file.

MariaDB names an XA transaction where its transaction begins; MySQL in the statements around its rows, `XA START` and
`XA COMMIT`, and where it is prepared.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.connect.myposition import Place
from tidegate.decode.binlog_gtid import Xid
from tidegate.model.change import Change, Op
from tidegate.model.schema import TableName, TableSchema

HELD_BYTES = 8 << 20
"""So much of a prepared transaction is held in memory; what is more, in a file."""

_HEX = r"X'((?:[0-9A-F]{2})*)'"
_XID = re.compile(rf"XA\s+\w+\s+{_HEX}\s*,\s*{_HEX}\s*,\s*(\d{{1,10}})\s*(?:ONE\s+PHASE)?", re.IGNORECASE)


def xid_of(statement: str) -> Xid | None:
    """The transaction that `XA START`, `END`, `COMMIT` or `ROLLBACK` names, as servers write them to the log; None: it
    names none."""
    found = _XID.fullmatch(statement.strip())
    return None if found is None else Xid(int(found[3]), bytes.fromhex(found[1]), bytes.fromhex(found[2]))


@dataclass(slots=True)
class Prepared:
    """The changes of a prepared XA transaction."""

    start: Place
    passed_over: set[TableName] = field(default_factory=set)
    _tables: list[TableSchema] = field(default_factory=list)
    _file: tempfile.SpooledTemporaryFile[str] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(HELD_BYTES, "w+", encoding="utf-8")  # noqa: SIM115
    )

    def add(self, change: Change) -> None:
        if not self._tables or self._tables[-1] is not change.table:
            self._tables.append(change.table)
        self._file.write(json.dumps([len(self._tables) - 1, change.op, change.old, change.new]) + "\n")

    def changes(self) -> Iterator[tuple[Change, int]]:
        """Each with about how many bytes it is."""
        self._file.seek(0)
        for line in self._file:
            table, op, old, new = json.loads(line)
            rows = (None if row is None else tuple(row) for row in (old, new))
            yield Change(self._tables[table], Op(op), *rows), len(line)

    def close(self) -> None:
        self._file.close()
