"""Until when PostgreSQL keeps the log that slots need, by size and by age; one query for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from tidegate.connect.source import Retention, Retentions

# Columns and settings that older versions lack come as NULL: inactive_since is of 17, the limit by age of 18. A server
# does not tell how much room its disk has.
_ASKED = """
select pg_catalog.pg_current_wal_lsn() - '0/0'::pg_lsn, s.slot_name, s.wal_status, s.safe_wal_size,
       pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn),
       nullif(t.limit_s, 0)
         - extract(epoch from now() - (to_jsonb(s) ->> 'inactive_since')::timestamptz)
  from (select (select setting::float8 * case unit when 'min' then 60 when 'ms' then 0.001 else 1 end
                  from pg_catalog.pg_settings where name = 'idle_replication_slot_timeout') as limit_s) t
  left join pg_catalog.pg_replication_slots s on s.slot_name = any(%s)
"""


def retentions(connection: psycopg.Connection[Any], runs: Sequence[str]) -> Retentions:
    """Of the slots of these runs."""
    rows = connection.execute(_ASKED, ([f"tidegate_{run}" for run in runs],)).fetchall()
    found = {row[1].removeprefix("tidegate_"): _retention(*row[2:]) for row in rows if row[1] is not None}
    missing = {run: Retention(0, 0, lost=f"slot tidegate_{run} no longer exists") for run in runs if run not in found}
    return Retentions(int(rows[0][0]), found | missing)


def _retention(status: str | None, safe: int | None, retained: Any, left_s: Any) -> Retention:
    if status == "lost" or retained is None:
        return Retention(0, 0, lost=f"its slot was invalidated by the server (wal_status {status})")
    # What is below zero is gone at the next checkpoint.
    by_size = None if safe is None else max(0, safe)
    return Retention(int(retained), by_size, None if left_s is None else max(0.0, float(left_s)))
