"""What the target itself saw of a task's positions: a trigger notes every write, and by which worker it came."""

from __future__ import annotations

import threading
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from tidegate.connect.pgposition import PgPosition
from tidegate.testing.crash.stage import Stage

_TRIGGER = """
create table if not exists public.position_history (
    id bigserial primary key, run text, epoch bigint, position text, worker text);
create or replace function public.note_position() returns trigger language plpgsql as $$ begin
    insert into public.position_history (run, epoch, position, worker)
    values (new.run, new.epoch, new.position, current_setting('application_name'));
    return new;
end $$;
create or replace trigger note_position after insert or update on tidegate.position
    for each row execute function public.note_position();
"""


@dataclass(slots=True)
class Findings:
    writes: int = 0
    old_epoch: int = 0
    """Writes by a worker whose epoch was over."""
    backward: int = 0
    """Positions behind the one before them."""
    notes: list[str] = field(default_factory=list)


class History:
    """Watches the target database of one round; installed as soon as a task has made its state tables."""

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage, self._number = stage, number
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._install, name="position history", daemon=True)
        self._thread.start()

    def _install(self) -> None:
        while not self._ending.wait(0.05):
            with suppress(psycopg.Error), self._stage.at_target(self._number) as connection:
                connection.execute(_TRIGGER.encode())
                return

    def judge(self) -> Findings:
        """Once everything has ended."""
        self._ending.set()
        self._thread.join(30)
        found = Findings()
        newest: dict[str, tuple[int, PgPosition | None]] = defaultdict(lambda: (0, None))
        with self._stage.at_target(self._number) as connection:
            if connection.execute("select to_regclass('public.position_history')").fetchone() == (None,):
                return found
            rows = connection.execute("select run, epoch, position, worker from position_history order by id")
            for run, epoch, text, worker in rows.fetchall():
                found.writes += 1
                spoke = str(worker).rpartition(" ")[2]
                before, behind = newest[run]
                if epoch < before or (spoke.isdigit() and int(spoke) < before):
                    found.old_epoch += 1
                    found.notes.append(f"{run}: epoch {worker} wrote after {before}")
                at = PgPosition.parse(text) if text else None
                if at is not None and behind is not None and at < behind:
                    found.backward += 1
                    found.notes.append(f"{run}: {at} after {behind}")
                newest[run] = (max(before, epoch), at or behind)
        return found
