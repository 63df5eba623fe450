"""The part of `Control` for the audit log: who did what, when, from where, and what came of it.

An entry is stored before its answer leaves the server. It holds names and codes only, never what was sent (I8).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tidegate.errors import Invalid
from tidegate.flood import Flood
from tidegate.server.desk import Desk
from tidegate.server.views import Moment, rfc3339
from tidegate.store import audit, catalog
from tidegate.store.audit import Entry, EntryRow, Sought
from tidegate.store.audithead import AuditHead

DONE, REFUSED, FAILED = "done", "refused", "failed"
OUTCOMES = (DONE, REFUSED, FAILED)
ENTRIES_MAX = 1000
# Of refusals of nobody in particular: anybody could fill the store with them.
STRANGERS_BURST, STRANGERS_PER_S = 200, 0.2
# Of refusals of those who are known, all together; of each actor and code a hundred at once, then one a minute.
KNOWN_BURST, KNOWN_PER_S = 2_000, 2.0
LEFT_OUT = "left out"
_WIDTHS = {"actor": 100, "credential": 120, "address": 100, "action": 100, "subject": 300, "project": 100, "code": 100}
_DETAIL_WIDTH = 500


@dataclass(frozen=True, slots=True)
class AuditEntryView:
    """`mac` is the entry's mark, over itself and the one before it."""

    id: int
    at: Moment
    actor: str
    credential: str
    address: str
    action: str
    subject: str
    project: str
    outcome: str
    code: str
    detail: str
    """What it was done with: role, permissions, limits."""
    mac: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """Whether the log is as it was written. `head` names its last entry: noted elsewhere and given to a later check, it
    also shows whether the log was made anew by somebody who has the server's key. `noted` is the number of the entry
    that the server noted last outside the store, and that the log was found to have or not to have; None: nothing."""

    ok: bool
    entries: int
    head: str
    wrong: str
    noted: int | None


class AuditLog(Desk):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._strangers = Flood(burst=STRANGERS_BURST, per_s=STRANGERS_PER_S)
        self._refused = Flood(burst=KNOWN_BURST, per_s=KNOWN_PER_S)
        self._head = AuditHead(self.store.data_dir, self.store.vault.mark)

    def audit(self, entries: Sequence[Entry], *, stranger: bool = False, everything: bool = False) -> None:
        """Add entries. Of what a `stranger` was refused, and of refusals of one who is known beyond so many a minute,
        not all is kept, but how much was left out; `everything` tells that now. Raises `StoreUnavailable`."""
        ticks = self.clock.ticks()
        if stranger:
            entries = [one for one in entries if self._strangers.admits((one.code, one.address), ticks)]
        elif len(entries) == 1 and entries[0].outcome == REFUSED:
            # Nothing was changed by it, and a loop of a program is one piece of news.
            entries = [one for one in entries if self._refused.admits((one.code, one.actor), ticks)]
        now, more = self.clock.now(), "more like it"
        for (code, address), left_out in self._strangers.due(ticks, everything=everything):
            said = f"{left_out} {more}"
            entries = [*entries, Entry(now, "", "", str(address or ""), LEFT_OUT, said, "", REFUSED, code)]
        for (code, actor), left_out in self._refused.due(ticks, everything=everything):
            said = f"{left_out} {more}"
            entries = [*entries, Entry(now, str(actor or ""), "", "", LEFT_OUT, said, "", REFUSED, code)]
        if not entries:
            return
        with self.db.write() as tx:
            self.db.alone(tx)
            agrees = self._head.agrees(tx)
            last = audit.append(tx, [_cut(one) for one in entries], self.store.vault.mark)
        if agrees:
            self._head.note(*last)

    def audit_entries(self, sought: Sought, *, before: int | None = None, limit: int = 100) -> list[AuditEntryView]:
        """Newest first."""
        with self.db.read() as tx:
            rows = audit.find(tx, sought, before=before, limit=max(1, min(limit, ENTRIES_MAX)))
        return [AuditEntryView(**asdict(row)) for row in rows]

    def audit_lines(self, sought: Sought) -> Iterator[str]:
        """All of them as lines of JSON, oldest first."""
        for chunk in self._chunks(sought):
            for row in chunk:
                said = asdict(row) | {"at": rfc3339(row.at)}
                yield json.dumps(said, ensure_ascii=False) + "\n"

    def check_audit(self, expected: str | None = None) -> AuditCheck:
        """Whether any entry was changed, taken out or moved. `expected` is a head that was noted earlier. Raises
        `Invalid`."""
        noted: dict[tuple[int, str], str] = {}
        kept = self._head.read()
        if kept is not None and kept.number:
            noted[kept.number, kept.mac] = "the server, outside the store,"
        if expected is not None:
            said, _, mac = expected.partition(":")
            if not said.isascii() or not said.isdigit() or len(mac) != 64:
                raise Invalid("expect: is a head as an earlier check said it")
            noted[int(said[:18]), mac] = "you"
        with self.db.read() as tx:
            head = catalog.get_setting(tx, audit.HEAD)
        found = audit.check(self._chunks(Sought()), head, self.store.vault.mark, noted)
        wrong = found.wrong
        if not wrong and kept is not None and not kept.number:
            wrong = f"what the server noted outside the store, in {self._head.path}, cannot be read"
        number = kept.number if kept else None
        return AuditCheck(not wrong, found.entries, f"{found.entries}:{found.mac}", wrong, number)

    def _chunks(self, sought: Sought) -> Iterator[list[EntryRow]]:
        last = 0
        while True:
            with self.db.read() as tx:
                chunk = audit.after(tx, sought, last)
            if not chunk:
                return
            yield chunk
            last = chunk[-1].id


def _cut(entry: Entry) -> Entry:
    """As long as its columns are, and of what can be printed."""
    texts = {name: getattr(entry, name)[:width] for name, width in _WIDTHS.items()}
    texts["detail"] = _ended(entry.detail)
    shown: dict[str, Any] = {
        name: "".join(c if c.isprintable() else "\ufffd" for c in text) for name, text in texts.items()
    }
    return replace(entry, **shown)


def _ended(detail: str) -> str:
    """One that is cut says so."""
    return detail if len(detail) <= _DETAIL_WIDTH else detail[: _DETAIL_WIDTH - 1] + "…"
