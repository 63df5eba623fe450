"""The target's disk is full: nothing of the batch is there, and all of it arrives once there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.keeping import kept
from pipeline.pairs import Pair
from pipeline.rig import eventually
from tidegate.errors import TargetExhausted
from tidegate.testing.servers import PostgresServer


@pytest.fixture
def small_disk(postgres: PostgresServer, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A tablespace of a few megabytes."""
    place = Path("/tmp") / f"tidegate-disk-{tmp_path.name}"  # noqa: S108  the server's user must reach it
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", place], capture_output=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip("this user may not mount")
    (place / "data").mkdir()
    if postgres.user is not None:
        subprocess.run(["chown", str(postgres.user.pw_uid), str(place / "data")], check=True)
    postgres.execute(f"create tablespace small location '{place / 'data'}'")
    yield "small"
    postgres.execute("drop tablespace small")
    subprocess.run(["umount", place], check=True)
    place.rmdir()


@pytest.fixture
def pair(small_disk: str, postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(postgres, database(), database())
    yield pair
    pair.target.execute("drop table if exists a, ballast")
    pair.close()


def test_a_full_disk_is_waited_for(pair: Pair, small_disk: str) -> None:
    pair.source.execute("create table public.a (id int primary key, t text)")
    pair.source.execute("insert into a select i, 'row' from generate_series(1, 50) i")
    pair.target.execute(
        f"create table a (id int, t text, _tidegate_op text, _tidegate_committed_at timestamptz,"
        f' _tidegate_position text collate "C", _tidegate_detail jsonb) tablespace {small_disk}'
    )
    pair.target.execute(f"create table ballast (t text) tablespace {small_disk}")
    pair.target.execute("alter table ballast alter t set storage external")
    pair.target.execute("insert into ballast select repeat('x', 1000) from generate_series(1, 4000)")
    rig = pair.rig(["public.a"], write="append")
    with kept(rig) as keeper:
        keeper.copied()
        pair.source.execute("insert into a select i, repeat(md5(i::text), 10) from generate_series(1001, 8000) i")
        eventually(lambda: any(isinstance(e, TargetExhausted) for e in keeper.passing), "the disk is full")
        assert pair.arrived("select count(*) from a where id > 1000") == [(0,)]
        pair.target.execute("drop table ballast")
        pair.target.execute("vacuum full a")
        keeper.reaches(
            lambda: pair.arrived("select count(*), count(distinct id) from a") == [(7050, 7050)], "all of it"
        )
        assert {type(error) for error in keeper.passing} == {TargetExhausted}, keeper.reasons()
