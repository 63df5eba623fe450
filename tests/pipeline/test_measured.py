"""What a run counts and measures is what happened, as a whole and of each table."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline.pairs import Pair
from pipeline.rig import Rig, eventually
from tidegate.model.measured import TableMeasure, TableState, TableStatus

WIDE = 1_000
NEAR = 0.05
COPIED, SMALL, LARGE = 400, 300, 200


def near(found: float, truth: float) -> bool:
    return abs(found - truth) <= NEAR * truth


def table(rig: Rig, name: str) -> TableMeasure:
    return rig.gauges.tables.measure(name)


@pytest.fixture
def busy(pair: Pair) -> tuple[Pair, Rig]:
    """One table with rows to copy, and then changes of two, known to the last."""
    pair.source.execute("create table small (k int8 primary key, note text)")
    pair.source.execute("create table large (k int8 primary key, note text)")
    pair.source.execute(f"insert into small select g, 'x' from generate_series(1, {COPIED}) g")
    pair.source.execute("analyze small")
    rig = pair.rig(["public.small", "public.large"]).start().copied()
    for first in range(0, SMALL, 10):
        # The same keys again and again: many changes of one row count as many.
        pair.source.execute(f"update small set note = 'y{first}' where k <= 10")
    for first in range(0, LARGE, 20):
        query = f"insert into large select g, repeat('z', {WIDE}) from generate_series({first}, {first + 19}) g"
        pair.source.execute(query)
    rig.reaches(lambda: pair.equal("small") and pair.equal("large"))
    eventually(lambda: rig.counters()["rows_written"] == COPIED + SMALL + LARGE, "all is counted")
    return pair, rig


def test_rows_are_those_that_were_copied_and_changed(busy: tuple[Pair, Rig]) -> None:
    _, rig = busy
    counted = rig.counters()
    assert (counted["rows_read"], counted["rows_copied"]) == (COPIED + SMALL + LARGE, COPIED)
    assert (counted["changes_read"], counted["changes_written"]) == (SMALL + LARGE, SMALL + LARGE)
    assert (counted["dirty_rows"], counted["dirty_bytes"]) == (0, 0)


def test_each_table_has_its_own_rows(busy: tuple[Pair, Rig]) -> None:
    _, rig = busy
    assert (table(rig, "public.small").rows_read, table(rig, "public.large").rows_read) == (COPIED + SMALL, LARGE)
    assert (table(rig, "public.small").rows_written, table(rig, "public.large").rows_written) == (
        COPIED + SMALL,
        LARGE,
    )


def test_bytes_are_those_of_the_values_and_what_frames_them(busy: tuple[Pair, Rig]) -> None:
    _, rig = busy
    large = table(rig, "public.large")
    values = LARGE * WIDE
    assert near(large.bytes_read, values + LARGE * 20)  # a frame and a key of a few bytes
    assert near(large.bytes_written, values + LARGE * 12)
    together = [table(rig, name) for name in ("public.small", "public.large")]
    assert near(sum(one.bytes_written for one in together), rig.counters()["bytes_written"])


def test_the_tables_stand_where_the_copy_does(busy: tuple[Pair, Rig]) -> None:
    _, rig = busy
    eventually(lambda: table(rig, "public.small").state == TableState.FOLLOWING, "the table is in step")
    small = table(rig, "public.small")
    assert (small.rows_copied, small.chunks_done, small.status) == (COPIED, small.chunks_total, TableStatus.NORMAL)
    assert near(small.rows_estimated, COPIED)


def test_a_table_is_told_once_after_it_changed_and_again_if_that_was_lost(busy: tuple[Pair, Rig]) -> None:
    _, rig = busy
    eventually(lambda: not rig.gauges.tables.tell() and not rig.gauges.tables.tell(), "nothing is left to tell")
    rig.gauges.tables.untold(["public.small"])
    assert list(rig.gauges.tables.tell()) == ["public.small"]


def test_delays_are_those_of_a_target_that_was_held_up(pair: Pair) -> None:
    pair.source.execute("create table held (k int8 primary key, note text)")
    rig = pair.rig(["public.held"]).start().copied()
    pair.source.execute("insert into held values (1, 'x')")
    rig.reaches(lambda: pair.equal("held"))
    eventually(lambda: rig.counters()["changes_written"] == 1, "it is counted")
    rig.gauges.since_last()
    held_s = 4.0
    with pair.server.connect(pair.target_name) as lock:
        lock.autocommit = False
        lock.execute("lock table held in access exclusive mode")
        pair.source.execute("insert into held values (2, 'x')")
        began = time.time()
        threading.Event().wait(held_s)
        lock.commit()
    eventually(lambda: rig.counters()["changes_written"] == 2, "the change arrives")
    truth = time.time() - began
    found = rig.gauges.since_last()
    assert held_s <= found["business_delay_s"] <= truth * (1 + NEAR)
    assert held_s * (1 - NEAR) <= found["transmission_delay_s"] <= found["business_delay_s"]
    assert found["read_delay_s"] <= NEAR * truth + 0.2, "it was read at once, and then waited for the target"
    assert near(rig.counters()["writing_s"], truth)


def test_a_run_at_rest_has_no_delay_and_waits_for_the_source(pair: Pair) -> None:
    pair.source.execute("create table still (k int8 primary key, note text)")
    rig = pair.rig(["public.still"]).start().copied()
    pair.source.execute("insert into still values (1, 'x')")
    rig.reaches(lambda: pair.equal("still"))
    eventually(lambda: rig.counters()["changes_written"] == 1, "it is counted")
    rig.gauges.since_last()
    before, began = rig.counters()["waiting_s"], time.monotonic()
    threading.Event().wait(2.0)
    waited_s, lasted_s = rig.counters()["waiting_s"] - before, time.monotonic() - began
    assert {name: s for name, s in rig.gauges.since_last().items() if name.endswith("delay_s") and s} == {}
    assert rig.gauges.lag_s() == 0
    assert waited_s > 0.7 * lasted_s


def test_the_next_worker_goes_on_counting_where_the_last_one_was(busy: tuple[Pair, Rig]) -> None:
    pair, rig = busy
    counted = rig.counters()
    told = {name: table(rig, name).tell() for name in rig.gauges.tables.names}
    rig.pause()
    rig.start()
    rig.gauges.go_on_from(counted)
    rig.gauges.tables.go_on_from(told)
    rig.opens()
    pair.source.execute("insert into large values (1000000, 'x')")
    rig.reaches(lambda: pair.equal("large"))
    eventually(lambda: rig.counters()["rows_written"] == COPIED + SMALL + LARGE + 1, "it is counted")
    assert table(rig, "public.large").rows_written == LARGE + 1
