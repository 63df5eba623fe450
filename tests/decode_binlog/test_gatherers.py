"""Both gatherers of MariaDB's log: alike in all they say, and their rows are those of the readable decoder."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from decode.conftest import LACKING
from decode_binlog import wire
from decode_binlog.gathering import ROOMY, Feeding, Seen, garbled
from decode_binlog.replay import events_of
from decode_binlog.scenarios import SCENARIOS
from decode_binlog.streams import Kind, Made, events, gtid, number, placed, query
from decode_binlog.test_recorded import REFUSED, completed, log_of, maps_of
from tidegate.decode.binlog import BinlogDecoder, file_events
from tidegate.decode.binlog_cursor import Malformed, Refused
from tidegate.decode.binlog_event import Commit, Query
from tidegate.decode.binlog_gatherer import BinlogGatherer, Stop, Table, packets, raw_map
from tidegate.decode.binlog_gtid import MariadbBegin
from tidegate.decode.binlog_native import NativeBinlogGatherer
from tidegate.decode.binlog_plain import PlainBinlogGatherer
from tidegate.decode.binlog_rows import Rows
from tidegate.decode.binlog_table import TableMap, Type
from tidegate.decode.gatherer import Limits, Log, Mode, Net
from tidegate.model.change import UNCHANGED, Op

Open = Callable[[], BinlogGatherer]
MODES = {"net": Mode.NET, "skipped": Mode.SKIP, "passed": None}
LIMITS = st.builds(
    Limits,
    changes_max=st.sampled_from([1, 3, 1000]),
    bytes_max=st.sampled_from([1, 300, 1 << 20]),
    split_changes_max=st.sampled_from([1, 4, 1000]),
    split_bytes_max=st.sampled_from([1, 400, 1 << 20]),
)
SEEDS = st.integers(0, 2**32)
given_twins = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=True
)


@pytest.fixture(params=["python", "native"])
def opened(request: pytest.FixtureRequest) -> Open:
    if request.param == "python":
        return PlainBinlogGatherer
    if LACKING:
        pytest.skip(LACKING)
    return NativeBinlogGatherer


@pytest.fixture
def twins() -> tuple[Open, Open]:
    if LACKING:
        pytest.skip(LACKING)
    return PlainBinlogGatherer, NativeBinlogGatherer


def both(twins: tuple[Open, Open], stream: list[bytes], borders: list[int], **how: Any) -> Seen:
    plain, native = (Feeding(one(), **how).feed(stream, borders) for one in twins)
    for number_, (a, b) in enumerate(zip(plain.said, native.said, strict=False)):
        assert b == a, f"what was said {number_}th"
    assert native == plain
    return plain


# --- alike ---


@given(SEEDS, LIMITS, st.lists(st.integers(0, 5000), max_size=5), st.booleans())
@given_twins
def test_a_stream_comes_out_the_same_however_it_is_cut(
    twins: tuple[Open, Open], seed: int, limits: Limits, borders: list[int], checksums: bool
) -> None:
    stream = events(random.Random(seed), checksums=checksums)
    both(twins, stream, borders, modes=MODES, limits=limits)


@given(SEEDS, LIMITS)
@given_twins
def test_a_garbled_stream_comes_out_the_same(twins: tuple[Open, Open], seed: int, limits: Limits) -> None:
    r = random.Random(seed)
    both(twins, garbled(events(r, checksums=r.random() < 0.1), r), [], modes=MODES, limits=limits)


@pytest.mark.parametrize("name", [each.name for each in SCENARIOS])
def test_what_a_server_recorded_comes_out_the_same(twins: tuple[Open, Open], name: str) -> None:
    stream = list(file_events(log_of(name)))
    both(twins, stream, [100, 5000], modes=dict.fromkeys(("numbers", "small", "texts", "times"), Mode.NET))


@given(SEEDS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_server_recorded_comes_out_the_same_when_it_is_garbled(twins: tuple[Open, Open], seed: int) -> None:
    r = random.Random(seed)
    name = r.choice(["numbers_minimal", "times", "compressed_events", "transactions", "image_minimal"])
    both(twins, garbled(list(file_events(log_of(name))), r), [])


# --- the readable decoder's rows ---


# An insert that leaves a value out has no place in a batch.
WHOLE = [each.name for each in SCENARIOS if each.name not in REFUSED and not each.name.startswith("image")]


@pytest.mark.parametrize("name", WHOLE)
def test_the_rows_of_a_recorded_log_are_those_of_the_readable_decoder(opened: Open, name: str) -> None:
    maps = maps_of(name)
    columns = {table: completed(maps[table].columns, table) for table in maps}
    feeding = Feeding(opened(), completed=columns)
    seen = feeding.feed(list(file_events(log_of(name))))
    assert seen.error is None
    assert rows_taken(seen) == rows_read(log_of(name), columns)


@pytest.mark.parametrize("name", ["numbers", "numbers_minimal", "times", "compressed_events", "transactions"])
def test_what_logs_mostly_have_is_left_to_nobody_else(opened: Open, name: str) -> None:
    seen = Feeding(opened()).feed(list(file_events(log_of(name))))
    assert seen.read_by_others == 0
    assert rows_taken(seen)


def rows_taken(seen: Seen) -> list[Any]:
    taken = [(one["stamps"][2], one["rows"][2]) for number_, one in pairs(seen) if isinstance(one, dict)]
    found = []
    for stamps, rows in taken:
        for stamp, row in zip(stamps, rows, strict=True):
            found.append(((stamp["transaction"], stamp["index"], stamp["nth"]), stamp["op"], tuple(row.values())))
    return [row for *_, row in sorted(found, key=lambda one: one[0])]


def pairs(seen: Seen) -> list[Any]:
    return [one for one in seen.said if len(one) == 2 and isinstance(one[1], dict)]


def rows_read(log: bytes, columns: dict[str, Any]) -> list[Any]:
    """By the readable decoder, of transactions that are not passed over, as rows of a log."""
    found: list[Any] = []
    for part in ordinary(log):
        for body in part:
            if not isinstance(body, Rows) or body.table is None:
                continue
            key = [at for at, _ in body.table.key or ()]
            known = columns[body.table.name]
            years = [at for at, column in enumerate(known) if column.type is Type.YEAR]
            for change in body.changes(known):
                old, new = (
                    image and tuple("0" if at in years and cell == "0000" else cell for at, cell in enumerate(image))
                    for image in change
                )
                if body.op is Op.UPDATE and key and all(old[at] == new[at] for at in key):
                    old = None
                found += [image for image in (old, new) if image is not None]
    return found


def ordinary(log: bytes) -> list[list[Any]]:
    """The bodies of transactions that have nothing but rows."""
    parts: list[list[Any]] = []
    for event in events_of(log):
        if isinstance(event.body, MariadbBegin):
            parts.append([])
        if parts:
            parts[-1].append(event.body)
    plain = []
    for part in parts:
        begin = part[0]
        odd = begin.standalone or begin.ddl or begin.prepares or begin.completes
        texts = [body.statement for body in part if isinstance(body, Query)]
        if not odd and all(text == "COMMIT" for text in texts) and (texts or any(isinstance(b, Commit) for b in part)):
            plain.append(part)
    return plain


# --- what they do ---

TABLE = Made(5, "net", (Kind(3, b"", number(4), False), Kind(15, b"\x64\0", number(1), collation=45)), keyed=True)
FORMAT = wire.format_description("10.11.8-MariaDB-log")


def row(key: int, text: str | None) -> bytes:
    cells = struct.pack("<i", key) + (b"" if text is None else wire.sized(text.encode()))
    return bytes([2 * (text is None)]) + cells


def changed(kind: int, *images: bytes) -> bytes:
    head = (5).to_bytes(6, "little") + struct.pack("<H", 1) + wire.packed(2)
    return wire.event(kind, head + b"\x03" * (2 if kind == 24 else 1) + b"".join(images))


def transaction(*changes: bytes, sequence: int = 1) -> list[bytes]:
    inside = [event for change in changes for event in (TABLE.map(), change)]
    return [gtid(sequence), *inside, wire.event(16, bytes(8))]


def fed(opened: Open, *stream: bytes, modes: Any = MODES, limits: Limits = ROOMY) -> Seen:
    return Feeding(opened(), modes=modes, limits=limits).feed(placed([FORMAT, *stream], checksums=False))


def test_the_net_change_of_each_key_is_kept(opened: Open) -> None:
    first = transaction(changed(23, row(1, "a"), row(2, "b"), row(3, None)))
    second = transaction(changed(24, row(1, "a"), row(1, "c")), changed(25, row(2, "b")), sequence=2)
    third = transaction(changed(24, row(3, None), row(4, "d")), sequence=3)
    (taken,) = [one for _, one in pairs(fed(opened, *first, *second, *third))]
    assert taken["inserts"][2] == [{"c0": "1", "c1": "c"}, {"c0": "4", "c1": "d"}]
    assert taken["deletes"][2] == [{"c0": "2"}, {"c0": "3"}]


def test_transactions_say_where_they_stand_and_whose_they_are(opened: Open) -> None:
    seen = fed(opened, *transaction(changed(23, row(1, "a")), changed(25, row(1, "a"))), gtid(2), query(b"COMMIT"))
    ended = [one for said in seen.said if len(said) == 6 for one in said[1].ended]
    assert [(str(one.gtid), one.number, one.changes, one.at_s) for one in ended] == [
        ("3-7-1", 0, 2, 1_700_000_000),
        ("3-7-2", 1, 0, 1_700_000_000),
    ]
    assert ended[0].start == 4 + len(FORMAT)
    assert ended[0].end == ended[1].start < ended[1].end


def test_a_transaction_with_a_statement_in_it_is_left_to_others_from_its_beginning(opened: Open) -> None:
    odd = [gtid(1), TABLE.map(), changed(23, row(1, "a")), query(b"ROLLBACK")]
    seen = fed(opened, *odd, *transaction(changed(23, row(2, "b")), sequence=2))
    (taken,) = [one for _, one in pairs(seen)]
    assert taken["inserts"][2] == [{"c0": "2", "c1": "b"}]


def test_a_transaction_is_not_begun_before_it_is_whole(opened: Open) -> None:
    stream = placed([FORMAT, *transaction(changed(23, row(1, "a")))], checksums=False)
    feeding = Feeding(opened())
    feeding.feed(stream[:-1])
    assert (feeding.gatherer.open, feeding.gatherer.changes) == (None, 0)


def test_a_large_transaction_is_taken_in_pieces(opened: Open) -> None:
    changes = [changed(23, row(n, "x" * 90)) for n in range(8)]
    limits = Limits(changes_max=1000, bytes_max=400, split_changes_max=3, split_bytes_max=1 << 20)
    seen = fed(opened, *transaction(*changes), limits=limits)
    counts = [len(one["inserts"][2]) for _, one in pairs(seen)]
    assert counts == [3, 3, 2]
    opens = [said[2].changes for said in seen.said if len(said) == 6 and said[2] is not None]
    assert opens[:1] == [0] or 3 in opens


def test_tables_that_are_passed_over_do_not_count_and_those_that_are_skipped_do(opened: Open) -> None:
    for mode, counted in ((None, 0), (Mode.SKIP, 1)):
        seen = fed(opened, *transaction(changed(23, row(1, "a"))), modes={"net": mode})
        assert [one.changes for said in seen.said if len(said) == 6 for one in said[1].ended] == [counted]
        assert not pairs(seen)


def test_a_value_that_was_left_out_is_told_from_one_that_is_null(opened: Open) -> None:
    """Read by others, and pushed."""
    gatherer = opened()
    stream = placed([FORMAT, *transaction(changed(23, row(1, "a")))], checksums=False)
    Feeding(gatherer, modes=MODES).feed(stream)
    gatherer.clear() if gatherer.held() else None
    held = packets([stream[1]])
    gatherer.feed(held + packets(stream[2:3]), 0, Limits(bytes_max=1))
    gatherer.push(1, [(Op.UPDATE, None, ("1", UNCHANGED)), (Op.UPDATE, None, ("2", None))])
    net = gatherer.take(1)
    assert isinstance(net, Net)
    assert [patch.rows.to_pylist() for patch in net.patches] == [[{"c0": "1"}]]
    assert net.puts is not None
    assert net.puts.to_pylist() == [{"c0": "2", "c1": None}]


def test_a_table_of_another_shape_is_refused_while_rows_of_it_are_held(opened: Open) -> None:
    gatherer = opened()
    stream = placed([FORMAT, *transaction(changed(23, row(1, "a")))], checksums=False)
    feeding = Feeding(gatherer, modes=MODES)
    feeding.taken = list  # type: ignore[method-assign]
    feeding.feed(stream)
    body = BinlogDecoder.amid(feeding._format, {}).decode(stream[2]).body  # type: ignore[arg-type]
    assert isinstance(body, TableMap)
    other = Table(body, raw_map(stream[2], checksums=False), body.columns, ("a", "b"), (0,), Mode.NET)
    with pytest.raises(ValueError, match="another shape"):
        gatherer.table(1, other)
    assert gatherer.held() == [1]
    gatherer.take(1)
    gatherer.table(1, other)


def test_any_bytes_are_left_to_others_or_waited_for(opened: Open) -> None:
    gatherer = opened()
    gatherer.begin(4, checksums=False)
    r = random.Random(20261123)
    for _ in range(2000):
        raw = r.randbytes(r.randrange(60))
        stop = gatherer.feed(packets([raw]) if r.random() < 0.5 else raw, 0, ROOMY).stop
        assert stop in (Stop.END, Stop.OTHER)


def test_each_single_and_double_is_written_as_the_readable_decoder_writes_it(twins: tuple[Open, Open]) -> None:
    r = random.Random(20261124)
    singles = [struct.unpack("<f", r.randbytes(4))[0] for _ in range(3000)]
    singles += [sign * 2.0**n for n in range(-149, 128) for sign in (1, -1)]
    singles += [float(n) / 10**k for n in range(1, 40) for k in range(9)] + [float(2**24 + n) for n in range(-40, 200)]
    doubles = [struct.unpack("<d", r.randbytes(8))[0] for _ in range(3000)] + [2.0**n for n in range(-1074, 1024)]
    doubles += [float(2**53 + n) for n in range(-40, 200)] + [n * 10.0**k for n in (1, 5, 9.5) for k in range(-30, 30)]
    table = Made(5, "log", tuple(Kind(c, bytes([s]), number(1), False) for c, s in ((4, 4), (5, 8))), keyed=False)
    count = min(len(singles), len(doubles))
    body = b"".join(b"\0" + struct.pack("<fd", *two) for two in zip(singles[-count:], doubles[-count:], strict=True))
    head = (5).to_bytes(6, "little") + struct.pack("<H", 1) + wire.packed(2) + b"\x03"
    inside = [table.map(), wire.event(23, head + body)]
    stream = placed([FORMAT, gtid(1), *inside, wire.event(16, bytes(8))], checksums=False)
    seen = both(twins, stream, [])
    assert seen.read_by_others == 0
    assert len(rows_taken(seen)) == count


def test_what_is_said_of_an_error_is_what_the_readable_decoder_says(opened: Open) -> None:
    broken = changed(23, row(1, "a")[:-1] + b"\xff")
    seen = fed(opened, *transaction(broken))
    assert seen.error is not None
    assert seen.error[0] is Refused
    assert "a text of 1 bytes is not utf8mb4" in seen.error[1]
    cut = fed(opened, *transaction(changed(23, row(1, "a")[:-1])))
    assert cut.error is not None
    assert cut.error[0] is Malformed


def test_batches_are_logs_or_nets_as_was_asked(opened: Open) -> None:
    for mode, kind in ((Mode.LOG, Log), (Mode.NET, Net)):
        feeding = Feeding(opened(), modes={"net": mode})
        feeding.taken = list  # type: ignore[method-assign]
        feeding.feed(placed([FORMAT, *transaction(changed(23, row(1, "a")))], checksums=False))
        assert isinstance(feeding.gatherer.take(1), kind)
