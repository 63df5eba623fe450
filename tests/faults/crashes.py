"""A run under fire: its source's or its target's server falls again and again while writers and the run go on. The
crash campaign repeats it as often as it likes."""

from __future__ import annotations

from faults.apart import Apart
from faults.enduring import Enduring
from faults.keeping import Kept, kept
from pipeline.load import KEYED
from pipeline.rig import Rig, eventually
from tidegate.testing.downfall import Downfall
from tidegate.testing.servers import PostgresServer

NOTICED_S = 60.0


def survive(pair: Apart, server: PostgresServer, *, write: str, crashes: int, seed: int, rows: int = 250) -> Kept:
    """Fill, run, and let `server` (the source's or the target's) fall `crashes` times, each time after progress was
    seen: in the copy, at the hand-over and in the log. Exact afterwards, or it fails. Returns the run."""
    print(f"seed {seed}")
    load = Enduring(pair.source_conninfo, seed, truncates=write == "upsert")
    load.fill(rows)
    tables = [*KEYED] if write == "upsert" else [*KEYED, "t_nokey"]
    rig = pair.rig([f"public.{table}" for table in tables], write=write, snapshots={"every": "1s"})
    downfall = Downfall(server, seed, away_s=(0.5, 1.5))
    load.start()
    try:
        with kept(rig) as keeper:
            for _ in range(crashes):
                progress(keeper)
                downfall.once()
            keeper.copied()
            load.end()
            for table in tables:
                keeper.reaches(lambda table=table: exact(pair, write, table), f"{table} is exact (seed {seed})")
    finally:
        load.end()
    if write == "append":
        nothing_twice(pair, tables, seed)
    assert sum(downfall.ways.values()) == crashes
    enough(rig, load, seed)
    return keeper


def progress(keeper: Kept) -> None:
    """Wait until the run has written something since it last opened."""
    rig = keeper.rig
    before = rig.epoch

    def moved() -> bool:
        if keeper.failure is not None:
            raise keeper.failure
        counted = rig.counters() if rig.epoch else {}
        written = counted.get("batches", 0) + counted.get("chunks_done", 0)
        return rig.epoch >= before and written > 1

    eventually(moved, f"the run gets on; on the way: {keeper.reasons()}", NOTICED_S)


def exact(pair: Apart, write: str, table: str) -> bool:
    if write == "upsert":
        return pair.equal(table)
    return pair.multiset_folds(table) if table == "t_nokey" else pair.folds(table)


def nothing_twice(pair: Apart, tables: list[str], seed: int) -> None:
    for table in tables:
        twice = pair.target.execute(
            f"select opid, count(*) from {table} where _tidegate_op <> 'delete' group by 1 having count(*) > 1"
        ).fetchall()
        assert not twice, (table, seed)


def enough(rig: Rig, load: Enduring, seed: int) -> None:
    """A run that met too little proves nothing."""
    assert load.committed > 150, (load.committed, seed)
    assert rig.totals["transactions"] > 100, (rig.totals, seed)
    assert rig.totals["changes_read"] > 300, (rig.totals, seed)
