"""The audit log: entries that are only ever added, each marked with a secret key over itself and the mark before it.

Whoever can write the store but has not the key can neither change an entry, nor take one out, nor put them into another
order, nor shorten the log, without `check` telling: entries are numbered without a gap, each mark holds the one before,
and a sealed head says which entry is the last. The whole log with the head it had earlier is genuine: that it is not
the newest, only a head that was kept outside the store tells (`audithead`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass

from sqlalchemy import ColumnElement, Connection, select

from tidegate.store import catalog
from tidegate.store.rows import columns, read
from tidegate.store.tables import audit_entry

HEAD = "audit_head"
CHUNK = 500
Mark = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Entry:
    """`at` in seconds since 1970-01-01 UTC; `outcome` is done, refused or failed, and `code` why; `detail` is what it
    was done with: a role, limits. A text that is not known is empty."""

    at: float
    actor: str
    credential: str
    address: str
    action: str
    subject: str
    project: str
    outcome: str
    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EntryRow:
    id: int
    at: float
    actor: str
    credential: str
    address: str
    action: str
    subject: str
    project: str
    outcome: str
    code: str
    detail: str
    mac: str


@dataclass(frozen=True, slots=True)
class Sought:
    """Which entries are wanted; None or 0: any. `projects` are those whoever asks may read of."""

    projects: Collection[str] | None = None
    project: str | None = None
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    address: str | None = None
    since: float | None = None
    until: float | None = None


def begin(tx: Connection, mark: Mark) -> None:
    """Once in a store's life: a head that is gone later is found to be gone."""
    empty = tx.execute(select(audit_entry.c.id).limit(1)).one_or_none() is None
    if empty and catalog.get_setting(tx, HEAD) is None:
        catalog.add_setting(tx, HEAD, sealed(0, "", mark))


def append(tx: Connection, entries: Sequence[Entry], mark: Mark) -> tuple[int, str]:
    """In a write transaction in which nobody else appends (`Database.alone`); number and mark of the last. It goes on
    whatever became of the log, and makes nothing good that was harmed: a head that is not as it was written stays so,
    and no gap is closed."""
    told = told_by(catalog.get_setting(tx, HEAD), mark)
    number, before = newest(tx)
    if told is not None and told[0] > number:
        number, before = told
    rows = []
    for entry in entries:
        number += 1
        before = _marked(number, entry, before, mark)
        rows.append(dict(zip(_FIELDS, (number, *astuple(entry), before), strict=True)))
    tx.execute(audit_entry.insert(), rows)
    if told is not None:
        catalog.set_setting(tx, HEAD, sealed(number, before, mark))
    return number, before


def has(tx: Connection, number: int, mac: str) -> bool:
    """Whether the entry of this number has this mark."""
    found = tx.execute(select(audit_entry.c.mac).where(audit_entry.c.id == number)).one_or_none()
    return found is not None and hmac.compare_digest(found[0], mac)


def find(tx: Connection, sought: Sought, *, before: int | None, limit: int) -> list[EntryRow]:
    """Newest first; with an id below `before`."""
    query = select(*columns(audit_entry, EntryRow)).where(*_conditions(sought))
    if before is not None:
        query = query.where(audit_entry.c.id < before)
    return [read(EntryRow, row) for row in tx.execute(query.order_by(audit_entry.c.id.desc()).limit(limit))]


def after(tx: Connection, sought: Sought, number: int) -> list[EntryRow]:
    """The next `CHUNK` after this one, oldest first."""
    query = select(*columns(audit_entry, EntryRow)).where(*_conditions(sought), audit_entry.c.id > number)
    return [read(EntryRow, row) for row in tx.execute(query.order_by(audit_entry.c.id).limit(CHUNK))]


def check(
    chunks: Iterator[list[EntryRow]], head: str | None, mark: Mark, expected: Mapping[tuple[int, str], str]
) -> Checked:
    """Goes through all entries. `head` is the setting of that name, read before the first of `chunks`; `expected` are
    numbers and marks of entries as they were noted earlier, with who noted them."""
    last, before = 0, ""
    told, missed = told_by(head, mark), dict(expected)
    if told is None:
        return Checked(0, "", "the head was changed or removed")
    for chunk in chunks:
        for row in chunk:
            if row.id != last + 1:
                missing = f"entry {last + 1} is" if row.id == last + 2 else f"entries {last + 1} to {row.id - 1} are"
                return Checked(last, before, f"{missing} missing")
            if not hmac.compare_digest(row.mac, _marked(row.id, _entry(row), before, mark)):
                return Checked(last, before, f"entry {row.id} was changed, or is not where it was")
            last, before = row.id, row.mac
            missed.pop((last, before), None)
    if last < told[0]:
        return Checked(last, before, f"entry {last + 1} and what follows are missing: there were {told[0]}")
    for (number, _), by in missed.items():
        if number > last:
            return Checked(last, before, f"entry {last + 1} and what follows are missing: {by} noted {number}")
        return Checked(last, before, f"entry {number} is not the one that {by} noted")
    return Checked(last, before, "")


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries hold from the first on, the mark of the last of them, and what is wrong after it (nothing: all
    is as it was written)."""

    entries: int
    mac: str
    wrong: str


_FIELDS = tuple(EntryRow.__dataclass_fields__)


def _entry(row: EntryRow) -> Entry:
    return Entry(*(getattr(row, name) for name in Entry.__dataclass_fields__))


def _marked(number: int, entry: Entry, before: str, mark: Mark) -> str:
    said = astuple(entry)
    if not entry.detail:
        said = said[:-1]  # as entries were marked before there were details
    return mark(json.dumps(["entry", number, *said, before], ensure_ascii=False))


def _seal(number: int, mac: str, mark: Mark) -> str:
    return mark(json.dumps(["head", number, mac]))


def sealed(number: int, mac: str, mark: Mark) -> str:
    return json.dumps({"id": number, "mac": mac, "seal": _seal(number, mac, mark)})


def newest(tx: Connection) -> tuple[int, str]:
    newest = select(audit_entry.c.id, audit_entry.c.mac).order_by(audit_entry.c.id.desc()).limit(1)
    found = tx.execute(newest).one_or_none()
    return (found[0], found[1]) if found is not None else (0, "")


def told_by(head: str | None, mark: Mark) -> tuple[int, str] | None:
    """Number and mark of the last entry, as the head says; None: it is not as it was written."""
    try:
        held = json.loads(head or "")
        number, mac, seal = int(held["id"]), str(held["mac"]), str(held["seal"])
    except (ValueError, KeyError, TypeError):
        return None
    return (number, mac) if hmac.compare_digest(seal, _seal(number, mac, mark)) else None


def _conditions(sought: Sought) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if sought.projects is not None:
        found.append(audit_entry.c.project.in_(sought.projects))
    named = ("project", "actor", "action", "outcome", "address")
    found += [audit_entry.c[name] == wanted for name in named if (wanted := getattr(sought, name)) is not None]
    if sought.since is not None:
        found.append(audit_entry.c.at >= sought.since)
    if sought.until is not None:
        found.append(audit_entry.c.at < sought.until)
    return found
