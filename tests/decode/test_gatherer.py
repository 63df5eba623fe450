"""What both gatherers do with transactions: where feeding stops, what is counted, and what the rows become."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from decode.conftest import Open
from decode.streams import KEYLESS, LOG, NET, PAIR, ROOMY, SKIPPED, Table, compared, frames, transaction
from tidegate.decode.fault import Contradiction, Malformed
from tidegate.decode.gatherer import COUNT_MAX, Event, EventKind, Gatherer, Limits, Log, Mode, Net, Stop
from tidegate.decode.pgoutput import Relation, Truncate
from tidegate.model.change import UNCHANGED
from unit import pgwire


def insert(*cells: Any, table: Table = NET) -> bytes:
    return pgwire.insert(table.oid, cells)


def shaped(opened: Open, *tables: Table, **how: Any) -> Gatherer:
    gatherer = opened(**how)
    for table in tables or (NET, PAIR, LOG, KEYLESS, SKIPPED):
        gatherer.shape(table.oid, table.names, table.key, table.mode)
    return gatherer


def fed(opened: Open, *messages: bytes) -> Gatherer:
    """Shaped, and fed to the end."""
    gatherer = shaped(opened)
    stream = frames(*messages)
    assert gatherer.feed(stream, 0, ROOMY)[0:3:2] == (len(stream), Stop.END)
    return gatherer


def net(opened: Open, *changes: bytes, table: Table = NET) -> dict[str, Any]:
    """Rows as tuples; the empty is left out."""
    rows = fed(opened, *transaction(*changes)).take(table.oid)
    assert isinstance(rows, Net)
    found = {"deletes": tuples(rows.deletes), "inserts": tuples(rows.inserts), "puts": tuples(rows.puts)}
    found["patches"] = [(patch.columns, tuples(patch.rows)) for patch in rows.patches]
    found["moved"] = [(moved.columns, tuples(moved.rows), tuples(moved.origin)) for moved in rows.moved]
    return {name: value for name, value in found.items() if value}


def log(opened: Open, *changes: bytes, table: Table = LOG) -> Log:
    rows = fed(opened, *transaction(*changes)).take(table.oid)
    assert isinstance(rows, Log)
    return rows


def tuples(batch: Any) -> list[tuple[Any, ...]]:
    return [] if batch is None else [tuple(row.values()) for row in batch.to_pylist()]


# --- transactions ---


def test_a_transaction_is_an_event_at_its_end(opened: Open) -> None:
    gatherer = shaped(opened)
    stream = frames(*transaction(insert("a", "1", "x"), insert("b", "2", "y"), commit=300, xid=4_000_000_000))
    found = gatherer.feed(stream, 0, ROOMY)
    at_us = 1_700_000_000_000_300
    assert found.events == [Event(EventKind.COMMIT, 4_000_000_000, 0, 300, 310, at_us, 2)]
    assert (found.stop, found.met, gatherer.open) == (Stop.END, None, None)


def test_the_open_transaction_is_known_while_it_is_read(opened: Open) -> None:
    gatherer = shaped(opened)
    gatherer.feed(frames(*transaction(), pgwire.begin(400, 5, 9), insert("a", "1", "x")), 0, ROOMY)
    assert gatherer.open == Event(EventKind.BEGIN, 9, 1, 400, 0, 5, 1)


def test_feeding_goes_on_where_a_buffer_ended_inside_a_frame(opened: Open) -> None:
    stream = frames(*transaction(insert("a", "1", "x"), insert("b", "2", "ä")))
    for border in range(len(stream)):
        gatherer = shaped(opened)
        first = gatherer.feed(stream[:border], 0, ROOMY)
        second = gatherer.feed(stream, first.consumed_bytes, ROOMY)
        assert first.consumed_bytes + second.consumed_bytes == len(stream)
        assert gatherer.changes == 2


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_a_buffer_may_be_any_bytes_and_begin_anywhere(opened: Open, form: Any) -> None:
    stream = frames(*transaction(insert("a", "1", "x")))
    gatherer = shaped(opened)
    assert gatherer.feed(form(b"\xff" * 7 + stream), 7, ROOMY).consumed_bytes == len(stream)
    assert gatherer.changes == 1


@pytest.mark.parametrize("start", [-1, 4])
def test_a_start_outside_of_the_buffer_is_refused(opened: Open, start: int) -> None:
    with pytest.raises(ValueError, match="of 3"):
        opened().feed(b"abc", start, ROOMY)


def test_a_buffer_may_be_longer_than_anything_is_copied_at_once_and_so_may_a_row(opened: Open) -> None:
    long = "ä" * 200_000
    rows = [(f"{number}", long if number % 100 == 7 else "", "x" * number) for number in range(1000)]
    found = net(opened, *(insert(*row) for row in rows))
    assert found == {"inserts": rows}


def test_what_makes_no_sense_far_into_a_buffer_is_left_to_the_next_feeding(opened: Open) -> None:
    gatherer = shaped(opened)
    sound = frames(pgwire.begin(200), *(insert(f"{number}", "1", "x" * 1000) for number in range(1000)))
    stream = sound + frames(b"?")
    assert gatherer.feed(stream, 0, ROOMY)[0:3:2] == (len(sound), Stop.BROKEN)
    with pytest.raises(Malformed, match="unknown"):
        gatherer.feed(stream, len(sound), ROOMY)


@pytest.mark.parametrize("tail", [b"n", b"u", b"t\0\0\0\0"])
def test_a_row_may_end_with_the_buffer_in_any_value(opened: Open, tail: bytes) -> None:
    gatherer = shaped(opened)
    message = b"U" + struct.pack(">I", NET.oid) + b"N" + struct.pack(">H", 3) + b"t\0\0\0\x01at\0\0\0\x011" + tail
    stream = frames(pgwire.begin(200), message)
    assert gatherer.feed(stream, 0, ROOMY)[0:3:2] == (len(stream), Stop.END)
    assert gatherer.changes == 1


# --- shapes ---


def test_a_description_stops_feeding_and_its_rows_wait_for_the_shape(opened: Open) -> None:
    gatherer = opened()
    stream = frames(*transaction(NET.described, insert("a", "1", "x")))
    found = gatherer.feed(stream, 0, ROOMY)
    assert (found.stop, isinstance(found.met, Relation) and found.met.oid) == (Stop.RELATION, NET.oid)
    at = found.consumed_bytes
    for _ in range(2):
        assert gatherer.feed(stream, at, ROOMY)[0:3:2] == (0, Stop.UNSHAPED)
        assert gatherer.feed(stream, at, ROOMY).oid == NET.oid
    gatherer.shape(NET.oid, NET.names, NET.key, NET.mode)
    assert gatherer.feed(stream, at, ROOMY).stop is Stop.END


def test_a_description_sent_again_makes_the_shape_unknown(opened: Open) -> None:
    gatherer = fed(opened, *transaction(insert("a", "1", "x")))
    stream = frames(NET.described, *transaction(insert("b", "1", "x")))
    at = gatherer.feed(stream, 0, ROOMY).consumed_bytes
    assert gatherer.feed(stream, at, ROOMY).stop is Stop.UNSHAPED
    gatherer.shape(NET.oid, NET.names, NET.key, NET.mode)
    gatherer.feed(stream, at + len(frames(pgwire.begin(1))), ROOMY)
    assert gatherer.changes == 2


@pytest.mark.parametrize(
    ("names", "key", "mode"),
    [
        (("k", "v"), (0,), Mode.NET),
        (("k", "v", "other"), (0,), Mode.NET),
        (NET.names, (1,), Mode.NET),
        (NET.names, (0,), Mode.LOG),
    ],
)
def test_rows_of_another_shape_are_taken_first(opened: Open, names: Any, key: Any, mode: Mode) -> None:
    gatherer = fed(opened, *transaction(insert("a", "1", "x")))
    with pytest.raises(ValueError, match="another shape"):
        gatherer.shape(NET.oid, names, key, mode)
    assert tuples(gatherer.take(NET.oid).inserts) == [("a", "1", "x")]  # type: ignore[union-attr]
    gatherer.shape(NET.oid, names, key, mode)


@pytest.mark.parametrize(
    ("oid", "names", "key", "mode"),
    [
        (1, ("a",), (1,), Mode.NET),
        (1, ("a",), (-1,), Mode.LOG),
        (1, ("a",), (0, 0), Mode.NET),
        (1, ("a",), (), Mode.NET),
        (1 << 32, ("a",), (0,), Mode.NET),
        (1, ("a",) * 65_536, (0,), Mode.NET),
    ],
)
def test_a_shape_that_is_none_is_refused(opened: Open, oid: int, names: Any, key: Any, mode: Mode) -> None:
    with pytest.raises(ValueError, match=r"column|key"):
        opened().shape(oid, names, key, mode)


def test_changes_of_a_relation_passed_over_count_in_their_transaction(opened: Open) -> None:
    gatherer = shaped(opened)
    skipped = insert("a", "of another shape", table=SKIPPED)
    (event,) = gatherer.feed(frames(*transaction(skipped, insert("a", "1", "x", table=LOG))), 0, ROOMY).events
    assert (event.changes, gatherer.changes, gatherer.held()) == (2, 1, [LOG.oid])
    assert compared(gatherer.take(LOG.oid))["stamps"][2] == [{"op": 0, "transaction": 0, "index": 1, "nth": 1}]
    with pytest.raises(KeyError):
        gatherer.take(SKIPPED.oid)


def test_a_truncate_stops_feeding_and_counts_for_each_of_its_tables(opened: Open) -> None:
    gatherer = shaped(opened)
    stream = frames(*transaction(insert("a", "1", "x"), pgwire.truncate(1, 3), insert("b", "1", "x")))
    found = gatherer.feed(stream, 0, ROOMY)
    assert (found.stop, found.met) == (Stop.TRUNCATE, Truncate((1, 3)))
    assert gatherer.open is not None
    assert (gatherer.open.changes, gatherer.changes) == (3, 1)
    assert gatherer.feed(stream, found.consumed_bytes, ROOMY).events[0].changes == 4


# --- how much ---


def test_feeding_stops_behind_the_commit_at_which_enough_is_gathered(opened: Open) -> None:
    one = transaction(insert("a", "1", "x"), insert("b", "1", "x"))
    stream = frames(*one, *one, *one)
    size = len(insert("a", "1", "x"))
    for limits in (Limits(changes_max=3), Limits(bytes_max=3 * size), Limits(bytes_max=4 * size)):
        gatherer = shaped(opened)
        found = gatherer.feed(stream, 0, limits)
        assert (found.stop, found.consumed_bytes, len(found.events)) == (Stop.FULL, len(frames(*one, *one)), 2)
        assert (gatherer.changes, gatherer.size_bytes) == (4, 4 * size)
        gatherer.clear()
        assert gatherer.feed(stream, found.consumed_bytes, limits).stop is Stop.END


def test_a_transaction_too_large_is_split_in_order(opened: Open) -> None:
    changes = [insert(str(n), "1", "x", table=LOG) for n in range(5)]
    stream = frames(*transaction(*changes))
    for limits in (Limits(split_changes_max=2), Limits(split_bytes_max=2 * len(changes[0]))):
        gatherer, at, indexes = shaped(opened), 0, []
        while at < len(stream):
            found = gatherer.feed(stream, at, limits)
            at += found.consumed_bytes
            assert gatherer.open is None or gatherer.open.changes == min(5, 2 * (len(indexes) + 1))
            indexes.append([stamp["index"] for stamp in compared(gatherer.take(LOG.oid))["stamps"][2]])
        assert indexes == [[0, 1], [2, 3], [4]]


def test_a_change_larger_than_every_limit_is_gathered_alone(opened: Open) -> None:
    gatherer = shaped(opened)
    stream = frames(*transaction(insert("a", "1", "x" * 1000), insert("b", "1", "x")))
    found = gatherer.feed(stream, 0, Limits(split_bytes_max=10))
    assert (found.stop, gatherer.changes, gatherer.size_bytes) == (Stop.FULL, 1, len(insert("a", "1", "x" * 1000)))


def test_taking_a_relation_leaves_the_others(opened: Open) -> None:
    gatherer = fed(opened, *transaction(insert("a", "1", "x", table=LOG), insert("a", "1", "x"), insert("a", "2", "x")))
    assert gatherer.held() == [LOG.oid, NET.oid]
    gatherer.take(LOG.oid)
    assert (gatherer.held(), gatherer.changes) == ([NET.oid], 2)
    gatherer.take(NET.oid)
    assert (gatherer.held(), gatherer.changes, gatherer.size_bytes) == ([], 0, 0)
    assert gatherer.take(NET.oid) == Net(None, None, None)
    assert compared(gatherer.take(LOG.oid))["rows"][2] == []


def test_what_is_cleared_does_not_come(opened: Open) -> None:
    gatherer = fed(opened, *transaction(insert("a", "1", "x"), insert("a", "1", "x", table=LOG)), pgwire.begin(9))
    gatherer.clear()
    assert (gatherer.held(), gatherer.changes, gatherer.size_bytes) == ([], 0, 0)
    gatherer.feed(frames(insert("b", "1", "x")), 0, ROOMY)
    assert tuples(gatherer.take(NET.oid).inserts) == [("b", "1", "x")]  # type: ignore[union-attr]


# --- going on ---


def test_the_first_changes_of_a_transaction_that_was_cut_are_passed_over(opened: Open) -> None:
    gatherer = shaped(opened)
    gatherer.resume(300, 400, 2)
    changes = [insert(str(n), "1", "x", table=LOG) for n in range(3)]
    events = []
    stream, at = frames(*[m for lsn in (200, 300, 400, 500) for m in transaction(*changes, commit=lsn)]), 0
    found = gatherer.feed(stream, at, ROOMY)
    events = [(event.commit_lsn, event.changes) for event in found.events]
    assert events == [(200, 3), (300, 3), (400, 3), (500, 3)]
    stamps = compared(gatherer.take(LOG.oid))["stamps"][2]
    assert [(at["transaction"], at["index"]) for at in stamps] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 2),
        (3, 0),
        (3, 1),
        (3, 2),
    ]


def test_how_much_is_passed_over_is_said_while_its_transaction_is_open(opened: Open) -> None:
    for lsn, wanted in ((200, COUNT_MAX), (400, 2), (500, 0)):
        gatherer = shaped(opened)
        gatherer.resume(300, 400, 2)
        gatherer.feed(frames(pgwire.begin(lsn), pgwire.truncate(1)), 0, ROOMY)
        assert gatherer.passed_over == wanted


def test_a_transaction_with_fewer_changes_than_before_is_a_contradiction(opened: Open) -> None:
    gatherer = shaped(opened)
    gatherer.resume(300, 400, 2)
    with pytest.raises(Contradiction, match="fewer changes"):
        raised(gatherer, *transaction(insert("a", "1", "x"), commit=400))


def raised(gatherer: Gatherer, *messages: bytes) -> None:
    """Feeds until something is raised."""
    stream, at = frames(*messages), 0
    while at < len(stream):
        at += gatherer.feed(stream, at, ROOMY).consumed_bytes


# --- the net change per key ---


def test_the_last_row_of_a_key_counts_and_stands_where_the_key_came_first(opened: Open) -> None:
    changes = [insert("b", "1", "x"), insert("a", "1", "x"), insert("b", "2", None), insert("c", "", "")]
    assert net(opened, *changes) == {"inserts": [("b", "2", None), ("a", "1", "x"), ("c", "", "")]}


def test_a_row_that_came_and_went_is_deleted(opened: Open) -> None:
    changes = [insert("a", "1", "x"), pgwire.delete(1, key=["a", None, None]), pgwire.delete(1, old=["b", "1", "x"])]
    assert net(opened, *changes) == {"deletes": [("a",), ("b",)]}


def test_a_value_left_out_is_taken_from_the_row_gathered_before(opened: Open) -> None:
    changes = [insert("a", "1", "x"), pgwire.update(1, ["a", "2", UNCHANGED]), pgwire.update(1, ["a", "3", UNCHANGED])]
    assert net(opened, *changes) == {"inserts": [("a", "3", "x")]}


def test_a_value_left_out_of_a_row_at_the_target_makes_a_patch(opened: Open) -> None:
    changes = [
        pgwire.update(1, ["a", "1", UNCHANGED]),
        pgwire.update(1, ["b", UNCHANGED, UNCHANGED]),
        pgwire.update(1, ["c", None, UNCHANGED]),
        pgwire.update(1, ["b", "4", UNCHANGED]),
    ]
    assert net(opened, *changes) == {"patches": [((0, 1), [("a", "1"), ("b", "4"), ("c", None)])]}


def test_an_old_row_gives_the_value_left_out(opened: Open) -> None:
    changed = pgwire.update(1, ["a", "2", UNCHANGED], old=["a", "1", "big"])
    assert net(opened, changed) == {"puts": [("a", "2", "big")]}


def test_a_key_left_out_is_taken_from_the_old_key(opened: Open) -> None:
    changed = pgwire.update(2, ["v", UNCHANGED, "2"], key=[None, "large", "1"])
    assert net(opened, changed, table=PAIR) == {"deletes": [("1", "large")], "inserts": [("v", "large", "2")]}


def test_a_changed_key_deletes_the_old_one(opened: Open) -> None:
    changed = pgwire.update(1, ["b", "2", "x"], key=["a", None, None])
    assert net(opened, insert("b", "0", "y"), changed) == {"deletes": [("a",)], "inserts": [("b", "2", "x")]}


def test_a_key_whose_first_change_is_no_insert_was_there_before(opened: Open) -> None:
    again = [pgwire.delete(1, key=["a", None, None]), insert("a", "1", "x")]
    assert net(opened, *again) == {"puts": [("a", "1", "x")]}
    left = pgwire.update(1, ["b", "2", "x"], key=["a", None, None])
    assert net(opened, left, insert("a", "3", "y")) == {"inserts": [("b", "2", "x")], "puts": [("a", "3", "y")]}
    round_trip = [insert("a", "1", "x"), *again, pgwire.update(1, ["a", "2", "z"])]
    assert net(opened, *round_trip) == {"inserts": [("a", "2", "z")]}


def test_a_moved_row_says_where_its_value_stands_however_often_it_moved(opened: Open) -> None:
    moves = [
        pgwire.update(1, ["b", "1", UNCHANGED], key=["a", None, None]),
        pgwire.update(1, ["c", "2", UNCHANGED], key=["b", None, None]),
    ]
    assert net(opened, *moves) == {"deletes": [("a",), ("b",)], "moved": [((0, 1), [("c", "2")], [("a",)])]}
    back = pgwire.update(1, ["a", "3", UNCHANGED], key=["c", None, None])
    assert net(opened, *moves, back) == {"deletes": [("b",), ("c",)], "patches": [((0, 1), [("a", "3")])]}


def test_keys_of_two_columns_are_not_mistaken_for_each_other(opened: Open) -> None:
    rows = [insert("1", "bc", "a", table=PAIR), insert("2", "c", "ab", table=PAIR), insert("3", "", "abc", table=PAIR)]
    assert len(net(opened, *rows, table=PAIR)["inserts"]) == 3


def test_many_keys_keep_their_order(opened: Open) -> None:
    keys = [str(n * 7919 % 100_003) for n in range(5_000)]
    changes = [insert(key, "1", "x") for key in keys] + [insert(key, "2", "x") for key in reversed(keys)]
    assert net(opened, *changes)["inserts"] == [(key, "2", "x") for key in keys]


# --- the log ---


def test_every_change_is_a_row_and_a_changed_key_two(opened: Open) -> None:
    rows = log(
        opened,
        insert("a", "1", "x", table=LOG),
        pgwire.update(3, ["a", "2", UNCHANGED]),
        pgwire.update(3, ["a", "3", "x"], key=["a", None, None]),
        pgwire.update(3, ["b", "3", UNCHANGED], key=["a", None, None]),
        pgwire.delete(3, key=["b", None, None]),
    )
    assert tuples(rows.rows) == [
        ("a", "1", "x"),
        ("a", "2", None),
        ("a", "3", "x"),
        ("a", None, None),
        ("b", "3", None),
        ("b", None, None),
    ]
    assert [(s["op"], s["index"], s["nth"]) for s in rows.stamps.to_pylist()] == [
        (0, 0, 1),
        (1, 1, 0),
        (1, 2, 0),
        (2, 3, 0),
        (0, 3, 1),
        (2, 4, 0),
    ]
    assert [(one.columns, one.rows.to_pylist()) for one in rows.unchanged] == [((2,), [1, 4])]


def test_without_a_key_an_update_is_a_delete_and_an_insert(opened: Open) -> None:
    rows = log(opened, pgwire.update(4, ["1", "2"], old=["1", "2"]), table=KEYLESS)
    assert [stamp["op"] for stamp in rows.stamps.to_pylist()] == [2, 0]


def test_a_table_without_columns_has_rows(opened: Open) -> None:
    gatherer = opened()
    gatherer.shape(6, (), (), Mode.LOG)
    gatherer.feed(frames(*transaction(pgwire.insert(6, []), pgwire.insert(6, []))), 0, ROOMY)
    rows = gatherer.take(6)
    assert isinstance(rows, Log)
    assert (rows.rows.num_rows, rows.rows.num_columns, rows.stamps.num_rows) == (2, 0, 2)


def test_transactions_are_numbered_through(opened: Open) -> None:
    gatherer = fed(opened, *transaction(), *transaction(insert("a", "1", "x", table=LOG)), *transaction())
    assert compared(gatherer.take(LOG.oid))["stamps"][2][0]["transaction"] == 1


# --- what cannot be ---


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([pgwire.begin(1), pgwire.begin(2)], "'B' of 21 bytes: out of its place"),
        ([pgwire.commit(1, 2)], "'C' of 26 bytes: out of its place"),
        ([insert("a", "1", "x")], "'I' of 26 bytes: out of its place"),
        ([pgwire.truncate(1)], "'T' of 10 bytes: out of its place"),
        (transaction(insert("a", "1")), "relation 1 does not have 2 columns"),
        (transaction(pgwire.update(3, ["a", "1"])), "relation 3 does not have 2 columns"),
        (transaction(pgwire.delete(4, old=["a"])), "relation 4 does not have 1 columns"),
        (transaction(insert(None, "1", "x")), "a change of relation 1 without its key"),
        (transaction(pgwire.update(1, [UNCHANGED, "1", "x"])), "a change of relation 1 without its key"),
        (transaction(pgwire.delete(2, key=[None, None, "1"])), "a change of relation 2 without its key"),
        (
            transaction(pgwire.update(3, [None, "1", "x"], key=["a", None, None])),
            "a change of relation 3 without its key",
        ),
        (transaction(pgwire.delete(1, key=["a", None, None]), pgwire.update(1, ["a", "1", UNCHANGED])), "was deleted"),
        (transaction(insert("a", "1", UNCHANGED)), "an insert into relation 1 that leaves a value out"),
        (transaction(insert("a", UNCHANGED, table=KEYLESS)), "an insert into relation 4 that leaves a value out"),
    ],
)
def test_messages_that_cannot_be_true_together_are_a_contradiction(
    opened: Open, messages: list[bytes], text: str
) -> None:
    with pytest.raises(Contradiction, match=text):
        raised(shaped(opened), *messages)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"?",
        b"I",
        insert("a", "1", "x")[:-1],
        insert("a", "1", "x") + b"x",
        b"I\0\0\0\1N\0\1t\0\0\0\1\xff",
        b"T\0\0\0\2\0\0\0\0\1",
        b"R\0\0\0\1t",
        NET.described[:-1],
        pgwire.update(1, ["a"], old=["a", "b"]),
    ],
)
def test_messages_in_front_of_a_broken_one_are_fed_and_feeding_that_raises(opened: Open, message: bytes) -> None:
    gatherer = shaped(opened)
    sound = frames(pgwire.begin(1), insert("a", "1", "x"))
    stream = sound + frames(message) + frames(pgwire.commit(1, 2))
    found = gatherer.feed(stream, 0, ROOMY)
    assert (found.consumed_bytes, found.stop, gatherer.changes) == (len(sound), Stop.BROKEN, 1)
    for _ in range(2):
        with pytest.raises(Malformed, match=f"of {len(message)} bytes") as error:
            gatherer.feed(stream, len(sound), ROOMY)
        assert not isinstance(error.value, Contradiction)


def test_a_length_no_message_has_is_refused_before_it_is_waited_for(opened: Open) -> None:
    with pytest.raises(Malformed, match="of 1073741824 bytes: longer"):
        opened().feed(struct.pack(">I", 1 << 30), 0, ROOMY)


def test_an_error_does_not_hold_the_values(opened: Open) -> None:
    secret = insert("top secret", "top secret", "top secret")
    texts = []
    for at in range(5, len(secret)):
        garbled = bytearray(secret)
        garbled[at] ^= 0xFF
        with pytest.raises(Malformed) as error:
            raised(shaped(opened), *transaction(bytes(garbled)))
        texts.append(str(error.value))
    assert not any("secret" in text for text in texts)


@pytest.mark.parametrize("message", [b"S\0\0\0\1\1", b"E", b"A\0\0\0\1\0\0\0\1", b"c" + bytes(29)])
def test_messages_of_transactions_that_are_not_committed_are_unknown(opened: Open, message: bytes) -> None:
    with pytest.raises(Malformed, match="unknown message kind"):
        raised(opened(), message)
