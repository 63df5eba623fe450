"""A source that cannot give its log any more, for good: the run ends with advice and does not try for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.apart import Apart
from faults.keeping import kept
from tidegate.errors import PositionLost, Retry, SourceLogBroken, TidegateError
from tidegate.testing.servers import PostgresServer, newest


@pytest.fixture
def pair(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Apart]:
    with PostgresServer(newest(), settings={"autovacuum": False}) as server:
        pair = Apart(server, postgres, database())
        yield pair
        pair.close()


def garble(segment: Path) -> None:
    """The second half of the file."""
    held = segment.read_bytes()
    segment.write_bytes(held[: 1 << 16] + b"\xa5" * (len(held) - (1 << 16)))


@pytest.mark.parametrize(
    ("harm", "errors"),
    [(Path.unlink, (PositionLost,)), (garble, (SourceLogBroken, PositionLost))],
    ids=["a file is gone", "a file is garbled"],
)
def test_a_log_that_is_broken_ends_the_run_with_advice(
    pair: Apart, harm: Callable[[Path], None], errors: tuple[type[TidegateError], ...]
) -> None:
    pair.source.execute("create table public.a (id int primary key, t text)")
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.pause()
    pair.source.execute("select pg_switch_wal()")
    ((name,),) = pair.rows("select pg_walfile_name(pg_current_wal_insert_lsn())")
    pair.source.execute("insert into a select i, repeat('x', 1000) from generate_series(1, 40000) i")
    assert pair.server.directory is not None
    harm(pair.server.directory / "data" / "pg_wal" / name)
    with kept(rig) as keeper:
        error = keeper.fails()
    assert isinstance(error, errors), error
    assert error.retry is Retry.NEVER
    assert "Run it again" in error.advice
    assert "xxx" not in error.detail
    assert len(keeper.passing) < 5
