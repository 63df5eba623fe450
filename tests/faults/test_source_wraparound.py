"""A server whose transaction ids pass 2^32, where the log's 32 bits begin again while snapshots count on in 64."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.apart import Apart
from faults.lanes import long
from pipeline.load import KEYED, SCHEMA, Load
from pipeline.rig import Rig
from tidegate.connect import pgedges
from tidegate.testing.binaries import available
from tidegate.testing.servers import PostgresServer

ROUND = 1 << 32
PAGE_IDS = 1 << 20
"""So many transactions have their outcome in one file of pg_xact (32 pages of 8 kB, 4 to a byte)."""


def with_resetwal() -> Path | None:
    """The newest server of this machine that comes with pg_resetwal."""
    found = [path for path in available().values() if (path / "pg_resetwal").exists()]
    return found[-1] if found else None


def jump(server: PostgresServer, next_id: int) -> None:
    """Let the server's next transaction have this id. What is there must be older than any, so it is frozen."""
    for database in ("template1", "postgres"):
        server.execute("vacuum (freeze)", database)
    server.stop()
    assert server.directory is not None
    data = server.directory / "data"
    low = next_id % ROUND
    status = data / "pg_xact" / f"{low // PAGE_IDS:04X}"
    held = status.read_bytes() if status.exists() else b""
    status.write_bytes(held.ljust(32 * 8192, b"\0"))
    if server.user is not None:
        status.chmod(0o600)
        subprocess.run(["chown", f"{server.user.pw_uid}:{server.user.pw_gid}", str(status)], check=True)
    # The oldest id too, or the server would vacuum in haste and throw away which transactions committed.
    at = ["-e", str(next_id // ROUND), "-x", str(low), "-u", str(low)]
    subprocess.run(
        [server.binaries / "pg_resetwal", "-f", *at, str(data)],
        check=True,
        capture_output=True,
        **server._as_user(),
    )
    server.start()


@pytest.fixture(params=[ROUND - 400, ROUND + 2_000], ids=["crossed in the copy", "past it"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_500)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 15)
    binaries = with_resetwal()
    if binaries is None:
        pytest.skip("no server here comes with pg_resetwal")
    settings = {"autovacuum": False, "max_prepared_transactions": 20, "deadlock_timeout": "100ms"}
    with PostgresServer(binaries, settings=settings) as server:
        jump(server, request.param)
        yield server


@pytest.mark.parametrize("write", ["upsert", pytest.param("append", marks=long)])
def test_a_copy_is_exact_around_the_end_of_the_32_bits(
    server: PostgresServer, postgres: PostgresServer, database: Callable[..., str], write: str
) -> None:
    pair = Apart(server, postgres, database())
    first = int(pair.rows("select pg_current_xact_id()::text")[0][0])
    load = Load(pair.source_conninfo, 41, truncates=False)
    fill(pair, load)
    rig: Rig = pair.rig([f"public.{table}" for table in KEYED], write=write)
    load.start()
    try:
        for _ in range(4):
            rig.start()
            time.sleep(0.4)
            rig.cut()
        rig.start().opens().copied()
        rig.reaches(lambda: load.committed > 600, "enough was written")
    finally:
        load.stop()
    for table in KEYED:
        rig.reaches(lambda table=table: (pair.equal if write == "upsert" else pair.folds)(table), f"{table} is exact")
    last = int(pair.rows("select pg_current_xact_id()::text")[0][0])
    assert first < ROUND < last or first > ROUND
    assert rig.totals["changes_contained"] + rig.counters()["changes_contained"] > 5
    pair.close()


def fill(pair: Apart, load: Load) -> None:
    """The load's tables and rows in one transaction."""
    pair.source.execute(SCHEMA)
    pair.source.execute(
        "insert into t_int select i, nextval('opid'), i % 100, repeat('x', 1300) from generate_series(0, 249) i;"
        " insert into t_txt select 'a' || k, opid, amt, big from t_int;"
        " insert into t_two select i % 7, gen_random_uuid(), nextval('opid'), i, null from generate_series(0, 249) i"
    )
