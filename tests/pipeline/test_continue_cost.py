"""What Continue is said to read is what it reads: pieces of the copy, and the log from where the target stands."""

from __future__ import annotations

import itertools
from typing import Any

from pipeline.pairs import Pair
from tidegate.connect.config import parse_config
from tidegate.connect.pgposition import parse_lsn
from tidegate.connect.source import ChunkReader
from tidegate.engine.preflight import Side, check_continue, estimate_rows
from tidegate.sources.postgres import PostgresSource
from tidegate.targets.postgres import PostgresTarget
from tidegate.testing.servers import PostgresServer, newest, until


class Counting(PostgresSource):
    """Tells which pieces were read, and how often the log was asked for a sign."""

    pieces = 0
    nudges = 0

    def chunk(self, *given: Any) -> ChunkReader:
        type(self).pieces += 1
        return super().chunk(*given)

    def nudge(self) -> None:
        type(self).nudges += 1
        super().nudge()


def ends(pair: Pair) -> tuple[Side, Side]:
    return ("postgres", pair.server.config(pair.source_name)), ("postgres", pair.server.config(pair.target_name))


def test_pieces_of_the_copy_that_are_announced_are_read_and_no_others(pair: Pair) -> None:
    class Here(Counting):
        pass

    pair.source.execute("create table public.a (id int primary key, n int)")
    pair.source.execute("insert into a select i, i from generate_series(1, 10000) i; analyze a")
    pair.source_config = pair.source_config.model_copy(update={"chunk_rows": 100})
    pair.source_class = Here
    rig = pair.rig(["public.a"]).start().opens()
    rig.reaches(lambda: rig.counters()["chunks_done"] >= 2, "some pieces are copied")
    rig.cut()
    cost = check_continue(rig.run, rig.task, *ends(pair), None)
    assert 0 < cost.chunks_left < cost.chunks_total
    assert cost.delivery == str(PostgresTarget.delivery)
    Here.pieces = 0
    rig.start().opens().copied()
    rig.reaches(lambda: pair.equal("a"))
    assert Here.pieces == cost.chunks_left


def test_the_log_that_is_announced_begins_where_the_target_stands(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key, n int)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("insert into a values (1, 1)")
    rig.reaches(lambda: pair.equal("a"))
    rig.cut()
    pair.source.execute("insert into a select i, i from generate_series(2, 500) i")
    cost = check_continue(rig.run, rig.task, *ends(pair), None)
    assert (cost.reads_from, cost.chunks_left) == (pair.position(rig), 0)
    assert cost.reread_bytes == parse_lsn(cost.source_end) - parse_lsn(cost.reads_from)


def test_rows_of_a_run_from_scratch_are_estimated_from_what_the_source_knows(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int primary key); create table public.b (id int primary key)")
    pair.source.execute("insert into a select generate_series(1, 1000); insert into b select generate_series(1, 500)")
    pair.source.execute("analyze a; analyze b")
    task = pair.rig(["public.a", "public.b"]).task
    assert estimate_rows(task, ends(pair)[0]) == 1500


def test_a_log_whose_end_does_not_come_is_asked_for_a_sign(pair: Pair) -> None:
    """What an open transaction has written may lie in a page that is not full."""

    class Here(Counting):
        pass

    pair.source.execute("create table public.a (id int primary key)")
    pair.source_class = Here
    rig = pair.rig(["public.a"]).start().opens().copied()
    with pair.server.connect(pair.source_name, autocommit=False) as other:
        numbers = itertools.count()

        def writes_until_asked() -> bool:
            """The server may have written that page by itself."""
            if rig.pipeline.behind_bytes == 0:
                other.execute("insert into a values (%s)", (next(numbers),))
            return Here.nudges > 0

        rig.reaches(writes_until_asked, "a sign is asked for")
        rig.reaches(lambda: rig.pipeline.behind_bytes == 0, "and has come")
        other.rollback()


def test_a_sign_waits_for_no_standby_that_is_away() -> None:
    with PostgresServer(newest()) as server:
        server.create_database("src")
        source = PostgresSource(parse_config(PostgresSource.Config, server.config("src"), of="src"))
        server.execute("alter system set synchronous_standby_names = 'nobody'")
        with server.connect() as connection:
            connection.execute("select pg_reload_conf()")
            until(
                lambda: connection.execute("show synchronous_standby_names").fetchone() == ("nobody",), "it holds", 30
            )
            source.nudge()  # raises when no answer comes
            source.close()


def test_a_log_in_which_only_other_tables_are_busy_is_seen_to_be_read(pair: Pair) -> None:
    """What the target holds may stand until the next snapshot."""
    pair.source.execute("create table public.a (id int primary key); create table public.busy (t text)")
    rig = pair.rig(["public.a"], snapshots={"every": "1h"}).start().opens().copied()
    rig.reaches(lambda: rig.pipeline.reached is not None, "it was looked at")
    before = rig.pipeline.reached
    pair.source.execute("insert into busy select 'x' from generate_series(1, 1000)")
    rig.reaches(lambda: rig.pipeline.reached != before, "the log is read on")
    assert rig.counters()["changes_read"] == 0
