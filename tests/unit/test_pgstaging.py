"""Transactions that are sent before they commit come as if they had been sent then; what is rolled back never comes."""

from __future__ import annotations

import struct
import tempfile
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.connect import pgstaging
from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.pgposition import PgPosition
from tidegate.connect.pgstaging import Staging
from tidegate.errors import SourceLogBroken, SourceUnreachable, WorkerDiskFull
from unit import pgwire
from unit.test_pglanes import KEYED, describe, framed

pytestmark = pytest.mark.usefixtures("decoder")


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgstaging, "STAGED_BYTES_MAX", 100)


def staging(doubts: Doubts | None = None) -> Staging:
    return Staging(Stand(PgPosition(100), describe), doubts or Doubts())


def told(held: Staging, *messages: bytes) -> list[bytes]:
    return [message for piece in held.feed(framed(list(messages))) for message in messages_of(piece)]


def messages_of(frames: memoryview) -> list[bytes]:
    found, at = [], 0
    while at < len(frames):
        (length,) = struct.unpack_from(">I", frames, at)
        found.append(bytes(frames[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def block(xid: int, *messages: bytes, first: bool = True) -> list[bytes]:
    """Messages of the transaction itself; those of others are numbered already."""
    numbered = [pgwire.numbered(xid, message) for message in messages]
    return [pgwire.stream_start(xid, first=first), *numbered, pgwire.stream_stop()]


def inserted(*values: str) -> list[bytes]:
    return [pgwire.insert(1, [value, ""]) for value in values]


# --- whatever the history ---


@dataclass
class Open:
    """A transaction under way: what the server has sent of it, by the number in front, and which numbers it may use."""

    xid: int
    numbers: list[int]
    sent: list[tuple[int, bytes]] = field(default_factory=list)


class History:
    """Transactions under way at once, as a server streams them, and as one does that does not."""

    def __init__(self, r: Random) -> None:
        self.r = r
        self.streamed: list[bytes] = []
        self.plain: list[bytes] = []
        self._open: list[Open] = []
        self._numbers = count(10)
        self._ends = count(200, 20)

    def grow(self, steps: int) -> History:
        for _ in range(steps):
            step = self.r.choice((self._begin, self._send, self._send, self._give_up_a_part, self._end, self._small))
            step()
        while self._open:
            self._end()
        return self

    def _begin(self) -> None:
        xid = next(self._numbers)
        self._open.append(Open(xid, [xid]))
        self._block(self._open[-1], first=True)

    def _send(self) -> None:
        if self._open:
            self._block(self.r.choice(self._open), first=False)

    def _block(self, one: Open, *, first: bool) -> None:
        changes = []
        for change in self._changes():
            if self.r.random() < 0.3:
                one.numbers.append(next(self._numbers))
            changes.append((one.xid if change[:1] == b"O" else self.r.choice(one.numbers), change))
        one.sent += changes
        numbered = [pgwire.numbered(number, change) for number, change in changes]
        self.streamed += [pgwire.stream_start(one.xid, first=first), *numbered, pgwire.stream_stop()]

    def _changes(self) -> list[bytes]:
        odd = [pgwire.type_message(), pgwire.origin(), pgwire.truncate(1, 3), pgwire.logical_message(), KEYED]
        rows = inserted("a", "b" * self.r.choice((1, 40, 500)))
        return [self.r.choice([*odd, *rows, *rows]) for _ in range(self.r.randrange(6))]

    def _give_up_a_part(self) -> None:
        one = self.r.choice([*self._open, None])
        if one is not None and len(one.numbers) > 1:
            part = one.numbers.pop()  # once it was rolled back it never comes again
            one.sent = [(number, change) for number, change in one.sent if number != part]
            self.streamed.append(pgwire.stream_abort(one.xid, part))

    def _end(self) -> None:
        if not self._open:
            return
        one = self._open.pop(self.r.randrange(len(self._open)))
        if self.r.random() < 0.3:
            self.streamed.append(pgwire.stream_abort(one.xid, one.xid))
            return
        commit = next(self._ends)
        self.streamed.append(pgwire.stream_commit(one.xid, commit, commit + 10))
        changes = [change for _, change in one.sent]
        self.plain += [pgwire.begin(commit, xid=one.xid), *changes, pgwire.commit(commit, commit + 10)]

    def _small(self) -> None:
        commit = next(self._ends)
        whole = [pgwire.begin(commit), *self._changes(), pgwire.commit(commit, commit + 10)]
        self.streamed += whole
        self.plain += whole


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    r=st.randoms(use_true_random=False),
    memory_bytes=st.sampled_from([0, 300, 1 << 20]),
    piece_bytes=st.sampled_from([1, 100, 1 << 20]),
)
def test_the_same_comes_as_from_a_server_that_waits_for_the_commit(
    r: Random, memory_bytes: int, piece_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pgstaging, "STAGED_BYTES_MAX", memory_bytes)
        patched.setattr(pgstaging, "PIECE_BYTES", piece_bytes)
        history = History(r).grow(r.randint(1, 25))
        found, rest = [], history.streamed
        with closing(staging()) as held:
            while rest:
                size = r.randint(1, 9)
                gulp, rest = rest[:size], rest[size:]
                found += told(held, *gulp)
        assert found == history.plain


# --- one by one ---


def test_what_is_in_no_block_passes_as_it_is() -> None:
    frames = framed([KEYED, pgwire.begin(200), *inserted("a"), pgwire.commit(200, 210), b"?", b""])
    (piece,) = staging().feed(frames)
    assert piece.obj is frames.obj
    assert piece == frames


def test_a_transaction_comes_with_its_commit_and_under_its_own_number() -> None:
    held = staging()
    assert told(held, *block(7, KEYED, *inserted("a"))) == []
    assert told(held, *block(7, *inserted("b"), first=False)) == []
    found = told(held, pgwire.stream_commit(7, 300, 310))
    assert found == [pgwire.begin(300, xid=7), KEYED, *inserted("a", "b"), pgwire.commit(300, 310)]


def test_a_transaction_without_changes_comes_too() -> None:
    found = told(staging(), *block(7), pgwire.stream_commit(7, 300, 310))
    assert found == [pgwire.begin(300, xid=7), pgwire.commit(300, 310)]


def test_a_rollback_of_what_was_never_sent_is_nothing() -> None:
    held = staging()
    assert told(held, pgwire.stream_abort(7, 8), pgwire.stream_abort(7, 7), *block(7, KEYED)) == []
    assert told(held, pgwire.stream_commit(7, 300, 310))[1:-1] == [KEYED]


def test_an_alter_table_that_was_rolled_back_has_never_been() -> None:
    wider = pgwire.relation(1, "public", "keyed", [("k", 25), ("v", 25), ("more", 25)], key=["k"])
    part = [pgwire.numbered(8, one) for one in (wider, pgwire.insert(1, ["b", "", "m"]))]
    blocks = [*block(7, KEYED, *inserted("a")), pgwire.stream_start(7, first=False), *part, pgwire.stream_stop()]
    again = block(7, KEYED, *inserted("c"), first=False)
    found = told(staging(), *blocks, pgwire.stream_abort(7, 8), *again, pgwire.stream_commit(7, 300, 310))
    assert found[1:-1] == [KEYED, *inserted("a"), KEYED, *inserted("c")]


@pytest.mark.usefixtures("on_disk")
def test_a_large_transaction_comes_in_pieces_and_its_file_is_gone_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgstaging, "PIECE_BYTES", 1_000)
    monkeypatch.setattr("tidegate.connect.spool.BLOCK_BYTES", 500)
    files = opened_files(monkeypatch)
    held = staging()
    rows = inserted(*(f"{n:030}" for n in range(200)))
    assert told(held, *block(7, *rows)) == []
    sizes, found = [], []
    for piece in held.feed(framed([pgwire.stream_commit(7, 300, 310)])):
        sizes.append(len(piece))
        found += messages_of(piece)
    assert found[1:-1] == rows
    assert max(sizes) < 2_000
    assert len(files) == 1
    assert files[0].closed


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("how", ["rolled back", "the reader is closed", "nobody wants the rest"])
def test_what_is_staged_on_disk_is_let_go(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = opened_files(monkeypatch)
    held = staging()
    told(held, *block(7, *inserted("x" * 500)))
    if how == "rolled back":
        told(held, pgwire.stream_abort(7, 7))
    elif how == "the reader is closed":
        held.close()
    else:
        pieces = held.feed(framed([pgwire.stream_commit(7, 300, 310)]))
        next(pieces)
        pieces.close()
    assert [file.closed for file in files] == [True]


def test_what_all_transactions_hold_in_memory_is_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgstaging, "STAGED_BYTES_MAX", 1_000)
    files = opened_files(monkeypatch)
    held = staging()
    for xid in range(1, 6):
        told(held, *block(xid, *inserted("x" * 300)))
    assert len(files) == 2, "the first three are in memory"
    told(held, pgwire.stream_abort(1, 1), *block(6, *inserted("x" * 300)))
    assert len(files) == 2, "one took the room of another"
    held.close()
    assert all(file.closed for file in files)


def opened_files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those that are opened from now on."""
    files: list[Any] = []
    original = tempfile.TemporaryFile

    def opened(**how: Any) -> Any:
        files.append(original(**how))
        return files[-1]

    monkeypatch.setattr("tidegate.connect.spool.tempfile.TemporaryFile", opened)
    return files


@pytest.mark.usefixtures("on_disk")
def test_a_full_disk_is_said_as_a_chunk_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tidegate.connect.spool.tempfile.TemporaryFile", full)
    with pytest.raises(WorkerDiskFull, match=r"a transaction could not be kept in .*: No space left"):
        told(staging(), *block(7, *inserted("x" * 500)))


SENT = block(7, *inserted("a"))


@pytest.mark.parametrize(
    "messages",
    [
        [pgwire.stream_stop()],
        [pgwire.stream_commit(7, 300, 310)],
        [*SENT, *block(7)],
        block(7, first=False),
        [pgwire.stream_start(7), pgwire.stream_start(8)],
        [*SENT, pgwire.stream_start(8), pgwire.stream_commit(7, 300, 310)],
        [*SENT, pgwire.stream_start(7, first=False), pgwire.stream_abort(7, 8)],
        [pgwire.stream_start(7), pgwire.begin(200)],
        [pgwire.stream_start(7), b"I"],
        [pgwire.stream_start(7)[:-1]],
        [*SENT, pgwire.stream_commit(7, 300, 310) + b"?"],
    ],
    ids=[
        "a stop outside",
        "a commit of an unknown",
        "a first block again",
        "no first block",
        "a block inside a block",
        "a commit inside a block",
        "an abort inside a block",
        "a begin inside a block",
        "half a change",
        "half a start",
        "more than a commit",
    ],
)
def test_what_makes_no_sense_is_read_again_once_and_then_breaks_the_log(messages: list[bytes]) -> None:
    doubts = Doubts()
    for expected in (SourceUnreachable, SourceLogBroken):
        held = staging(doubts)
        with pytest.raises(expected):
            told(held, *messages)
        held.close()
