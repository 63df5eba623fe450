"""One transaction of a million rows: bounded memory, and exact even when the worker dies in the middle of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import duckdb
import pytest

from e2e.conftest import World
from tidegate.testing.site import eventually

ROWS = 1_000_000
MEMORY_MAX_BYTES = 512 << 20


def peak_bytes(pid: int) -> int:
    """The most memory the process ever had in use."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def fill(world: World) -> None:
    world.source.execute(
        "insert into big select i, i % 1000, 'status ' || i % 5, i * 1.25, now(), md5(i::text)"
        f" from generate_series(1, {ROWS}) i"
    )


@pytest.mark.slow
@pytest.mark.parametrize("target", ["postgres", "duckdb"])
def test_a_million_rows_in_one_transaction_stay_under_512_mb_and_arrive_once(world: World, target: str) -> None:
    site = world.site
    lake = site.folder / "lake.duckdb"
    site.ask("POST", "/data-sources", {"name": "lake", "kind": "duckdb", "config": {"path": str(lake)}})
    world.source.execute(
        "create table big (id bigint primary key, n int, status varchar(20), amount numeric(12,2),"
        " at timestamptz, note text)"
    )
    # Append to PostgreSQL, where a row too many would show; upsert into DuckDB.
    write, place = ("append", "dst") if target == "postgres" else ("upsert", "lake")
    task = world.task("huge", ["public.big"], write=write, target={"data_source": place, "schema": "main_"})
    fill(world)

    def written() -> int:
        return int((site.task(task)["task"]["counters"] or {}).get("changes_written", 0))

    eventually(lambda: 100_000 < written() < ROWS, "the transaction is half written", 120)
    peaks = [peak_bytes(pid) for pid in site.workers()]
    for pid in site.workers():
        os.kill(pid, signal.SIGKILL)

    def arrived() -> bool:
        found = site.task(task)["task"]
        assert found["status"] == "Running", found
        return found["lag_bytes"] is not None and found["lag_bytes"] < 1 << 20 and found["health"] == "steady"

    eventually(arrived, "the rest arrives", 180)
    peaks += [peak_bytes(pid) for pid in site.workers()]
    assert len(peaks) == 2
    assert max(peaks) < MEMORY_MAX_BYTES, [peak >> 20 for peak in peaks]
    site.command(task, "pause")
    site.becomes(task, "Paused")
    query = "select count(*), count(distinct id), sum(n)::bigint, sum(amount) from main_.big"
    if target == "duckdb":
        with duckdb.connect(str(lake), read_only=True) as connection:
            found = connection.execute(query).fetchone()
    else:
        found = world.target.execute(query).fetchone()
    whole = world.source.execute(query.replace("main_", "public")).fetchone()
    assert found == whole
    print("peak memory of the workers, MB:", [peak >> 20 for peak in peaks])
