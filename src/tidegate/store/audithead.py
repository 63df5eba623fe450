"""The head of the audit log as it is kept beside the store: a file of the server's own user, which a log that was put
back to an earlier state, or emptied with all that the store says of it, does not agree with.

It is written after each addition while the log still has what the file names, and never else: evidence is not written
over. Whoever can write both the store and the data directory, where the key is, can make everything agree.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import structlog
from sqlalchemy import Connection

from tidegate.store import audit
from tidegate.store.audit import Entry, Mark, Sought

log = structlog.get_logger()

FILE = "audit.head"
HARMED = "audit log harmed"
SERVER = "server"


@dataclass(frozen=True, slots=True)
class Noted:
    """Number and mark of the entry that was the last; number 0 for a file that cannot be read."""

    number: int
    mac: str


class AuditHead:
    """Thread-safe. Two servers on one store have one each, in their own data directories."""

    def __init__(self, data_dir: Path, mark: Mark) -> None:
        self.path = data_dir / FILE
        self._mark = mark
        self._turn = threading.Lock()

    def read(self) -> Noted | None:
        """None: nothing was noted yet, or the file was removed."""
        try:
            held = self.path.read_text("ascii", "replace")
        except FileNotFoundError:
            return None
        except OSError:
            return Noted(0, "")
        found = audit.told_by(held, self._mark)
        return Noted(*found) if found is not None else Noted(0, "")

    def agrees(self, tx: Connection) -> bool:
        """Whether the log has the entry that was noted."""
        noted = self.read()
        return noted is None or audit.has(tx, noted.number, noted.mac)

    def note(self, number: int, mac: str) -> None:
        """The log agrees with what was noted before, and ends with this entry now. A file that cannot be written is
        older than it might be, and still true."""
        with self._turn:
            before = self.read()
            if before is not None and before.number >= number:
                return  # another thread was faster
            fresh = self.path.with_suffix(".new")
            try:
                fresh.unlink(missing_ok=True)
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(audit.sealed(number, mac, self._mark))
                    file.flush()
                    os.fsync(file.fileno())
                fresh.replace(self.path)
            except OSError as error:
                log.warning("audit.head_not_kept", file=str(self.path), reason=error.strerror)


def begin(tx: Connection, head: AuditHead, mark: Mark) -> None:
    """At every start of a server: a log that is not what was noted is told, in the log itself. Once for each head."""
    audit.begin(tx, mark)
    if head.agrees(tx):
        return
    noted = head.read() or Noted(0, "")
    said = f"noted={noted.number} found={audit.newest(tx)[0]}"
    log.error("audit.harmed", noted=noted.number, found=audit.newest(tx)[0], file=str(head.path))
    told = audit.find(tx, Sought(action=HARMED), before=None, limit=1)
    if not told or told[0].detail.partition(" ")[0] != said.partition(" ")[0]:
        audit.append(tx, [Entry(time.time(), SERVER, "", "", HARMED, "", "", "failed", "", said)], mark)
