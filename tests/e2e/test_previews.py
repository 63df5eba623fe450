"""What Continue is announced to cost is what it costs."""

from __future__ import annotations

import os
import random
import time

from e2e.conftest import World
from e2e.shop import audit_append
from tidegate.connect.pgposition import lsn_text, parse_lsn
from tidegate.testing.site import eventually

SEED = 61
FORCED_PAUSES = 100 if os.environ.get("TIDEGATE_LONG") else 12
# Transactions of the published tables that end between two places of the log, as the server itself decodes them.
ENDING = """
select count(*) from pg_logical_slot_peek_binary_changes(%s, null, null, 'proto_version', '1', 'publication_names', %s)
 where get_byte(data, 0) = ascii('C') and lsn > %s and lsn <= %s
"""


def newest(world: World) -> int:
    row = world.target.execute("select coalesce(max(n), 0) from ledger").fetchone()
    return int(row[0]) if row else 0


def sessions(world: World) -> int:
    found = world.target.execute(
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    ).fetchone()
    return int(found[0]) if found else 0


def test_what_a_forced_pause_makes_continue_read_is_announced_exactly(world: World) -> None:
    """The log between the announced positions, no less and no more, and nothing the target has."""
    r = random.Random(SEED)
    shop = world.shop(SEED)
    task, site = world.task("appended", ["public.ledger"], write="append", snapshots={"every": "1s"}), world.site
    shop.start()
    eventually(lambda: site.task(task)["task"]["phase"] == "incremental" and newest(world) > 100, "the log is followed")
    for turn in range(FORCED_PAUSES):
        time.sleep(r.random() * 0.2)  # the moment is what is random here
        site.command(task, "force-pause")
        shop.hold()
        site.becomes(task, "Paused")
        # A write that the worker had sent may still be committed by the target's server after it was killed.
        eventually(lambda: not sessions(world), "the target's server lets go of the killed worker")
        held = newest(world)

        announced = site.ask("GET", f"/tasks/{task}/operations/continue/preview")
        assert announced["allowed"], announced
        start, end = parse_lsn(announced["reads_from"]), parse_lsn(announced["source_end"])
        assert (announced["reread_bytes"], announced["repeats"]) == (end - start, "none")
        missing = world.source.execute(ENDING, (*(world.slots() * 2), lsn_text(start), lsn_text(end))).fetchone()
        assert missing == (shop.committed - held,), f"what the target lacks lies between the two (seed {SEED})"

        site.command(task, "continue", version=announced["version"])
        site.becomes(task, "Running")
        opened = next(e for e in site.ask("GET", f"/tasks/{task}/events") if e["name"] == "opened")
        assert opened["facts"]["position"] == announced["reads_from"], f"turn {turn}, seed {SEED}"
        eventually(lambda: newest(world) == shop.committed, f"what was missing arrives (turn {turn}, seed {SEED})")
        assert not audit_append(world.target, shop), f"nothing is there twice (seed {SEED})"
        shop.go()
    shop.stop()
    assert shop.committed > FORCED_PAUSES
