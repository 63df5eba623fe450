"""Workers that were taken for dead and come back: another one has the run by then, and nothing of theirs counts.

The server's signals do not reach them here, as if they ran on a machine that was cut off: what holds them back is the
epoch alone, at the store, the source and the target.

    PYTHONPATH=tests python -m faults.zombies --count 200 --seed 7
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.whole import RIM, Whole, ended, eventually, whole
from tidegate.testing.servers import PostgresServer

TAKEOVERS = 10
SPARED = {"PYTHONPATH": str(RIM), "RIM_SPARES": "1"}

# Each write at the target, by the epoch in the writer's name and the epoch the run had at that moment.
WATCH = """
create table public.write_log (run text, epoch bigint, present bigint, table_name text);
create function public.note_write() returns trigger language plpgsql as $$
declare said text[] := string_to_array(current_setting('application_name'), ' ');
begin
  insert into public.write_log
  select said[2], said[3]::bigint, p.epoch, tg_table_name from tidegate.position p where p.run = said[2];
  return null;
end $$;
"""


def watch(held: Whole, tables: list[str]) -> None:
    held.target.execute(WATCH)
    for table in tables:
        held.target.execute(
            f"create trigger noted after insert or update or delete on {table} "
            "for each statement execute function public.note_write()"
        )


def old_writes(held: Whole) -> int:
    """Writes that took effect although a newer epoch had the run."""
    row = held.target.execute("select count(*) from public.write_log where epoch <> present").fetchone()
    return int(row[0]) if row else 0


def takeovers(
    folder: Path, server: PostgresServer, database: Callable[..., str], *, count: int, seed: int
) -> dict[str, Any]:
    """Have `count` workers taken over while they stand still, and let each go on; what came of it."""
    chance = random.Random(seed)
    with whole(folder, server, database, seed=seed, environment=SPARED) as held:
        held.shop.start()
        held.task("app", "ledger", write="append")
        held.task("ups", "account", write="upsert")
        held.task("duck", "ledger", to="lake", write="append")
        watch(held, ["app.ledger", "ups.account"])
        done = 0
        while done < count:
            tasks = chance.sample(["app", "ups", "duck"], min(chance.randint(2, 3), count - done))
            done += _round(held, tasks, chance)
        held.shop.stop()
        held.is_whole("app")
        eventually(lambda: held.same_accounts("ups"), "the accounts are equal")
        eventually(lambda: held.lake_is_whole("duck"), "the lake has all rows once")
        for task in ("app", "ups", "duck"):
            held.site.becomes(task, "Running")
        writers = held.target.execute("select count(distinct (run, epoch)) from public.write_log").fetchone()
        held.site.command("duck", "pause")
        held.site.becomes("duck", "Paused")
        eventually(lambda: held.lake_is_free(), "the file is let go")
        rows, distinct, _ = held.lake_numbers("duck")
        return {
            "zombies": done,
            "old_writes": old_writes(held),
            "writers": writers[0] if writers else 0,
            "rows": held.shop.committed,
            "lost": held.shop.committed - distinct,
            "doubled": rows - distinct,
            "slots": len(held.slots()),
        }


def _round(held: Whole, tasks: list[str], chance: random.Random) -> int:
    frozen = {task: (held.worker(task), held.site.epoch(task)) for task in tasks}
    for pid, _ in frozen.values():
        os.kill(pid, signal.SIGSTOP)
    for task, (_, epoch) in frozen.items():
        eventually(lambda task=task, epoch=epoch: held.site.epoch(task) > epoch, f"{task} is taken over")  # type: ignore[misc]
        if task != "duck" and chance.random() < 0.7:
            held.worker(task)  # the new one writes; else the old one comes back while it still opens
    for pid, _ in frozen.values():
        os.kill(pid, signal.SIGCONT)
    for task, (pid, _) in frozen.items():
        eventually(lambda pid=pid: ended(pid), f"the zombie of {task} ends by itself")  # type: ignore[misc]
    for task in tasks:
        held.worker(task)
        held.site.command(task, "pause")  # and the restarts that were quick are forgotten
    for task in tasks:
        held.site.becomes(task, "Paused")
        held.site.command(task, "continue")
    for task in tasks:
        held.site.becomes(task, "Running")
    return len(tasks)


def main(words: list[str] | None = None) -> int:
    """Print as JSON what came of it; 1 if anything of it must not be."""
    parser = argparse.ArgumentParser(description="Have workers taken over while they stand still.")
    parser.add_argument("--count", type=int, default=TAKEOVERS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = parser.parse_args(words)
    numbers = itertools.count(1)
    with tempfile.TemporaryDirectory(prefix="tidegate-zombies-") as folder, PostgresServer() as server:

        def database(made_on: PostgresServer) -> str:
            name = f"zombies_{next(numbers)}"
            made_on.create_database(name)
            return name

        came = takeovers(Path(folder) / "site", server, database, count=given.count, seed=given.seed)
    print(json.dumps({"seed": given.seed} | came))
    return 1 if came["old_writes"] or came["lost"] or came["doubled"] else 0


if __name__ == "__main__":
    sys.exit(main())
