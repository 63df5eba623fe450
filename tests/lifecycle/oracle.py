"""What must always hold of a server's store, whatever is done to it: facts (who was promised what, who holds which
lease, which moves are legal), read past the server; not the rules again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from lifecycle.ground import Ground
from lifecycle.world import Process, World
from tidegate.server.jobs import Work
from tidegate.server.limits import Limits

FROZEN = json.loads((Path(__file__).parent / "frozen_lifecycle.json").read_text())
LEGAL = {(source, name, target) for name, _, source, target, _ in FROZEN["moves"]}
DEADLINES_S = {state: facts["deadline_s"] for state, facts in FROZEN["states"].items() if facts["deadline_s"]}
COMMANDS = ("run", "pause", "force-pause", "continue", "stop", "remove", "submit")
# What people were promised, written by hand; Failure depends on whether there is a snapshot.
PROMISED = {
    "draft": {"submit", "remove"},
    "initialize": {"run", "remove"},
    "running": {"pause", "force-pause", "stop"},
    "paused": {"continue", "stop"},
    "stopped": {"run", "remove"},
    "detection_exception": {"stop"},
}
TAKES_UNITS = {"starting", "running", "pausing", "force_pausing", "continuing"}
MAY_HAVE_WORKER = {"starting", "running", "pausing", "continuing"}
UNITS = 4


class Oracle:
    """One life of a store, from its first start."""

    def __init__(self, ground: Ground, seen: Counter[str], door: Any = None) -> None:
        ground.reset()
        self.ground = ground
        self.seen = seen
        # The clock jumps by decades; what is told here stays for the whole life.
        limits = Limits(detection_s=20, detection_back_s=10, keep_s=1e12)
        self.world = World(ground.home, store=ground.store, limits=limits, jobs_at_once=False, door=door)
        self.epochs: dict[int, int] = {}
        self.versions: dict[int, int] = {}
        self.last_event = 0
        self.last_change = 0
        self.states: dict[int, str] = {}
        self.looked_at: dict[int, tuple[str, float, float]] = {}
        self.positions: dict[int, str] = {}
        self.units_ceiling = UNITS

    # --- what is so ---

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.ground.rows(query, *values)

    def _commits(self) -> int:
        """Changes whenever anybody has committed something."""
        return self.ground.commits()

    def _state(self, task: int) -> str:
        found: str = self._rows("select state from task where id = ?", task)[0][0]
        return found

    def _version(self, task: int) -> int:
        found: int = self._rows("select version from task where id = ?", task)[0][0]
        return found

    def _tasks(self) -> list[int]:
        return [row[0] for row in self._rows("select id from task where state <> 'removed' order by id")]

    def _has_snapshot(self, task: int) -> bool:
        return bool(
            self._rows(
                "select 1 from task t join run r on r.id = t.run_id and r.ended_at is null "
                "join snapshot s on s.run_id = r.id where t.id = ? limit 1",
                task,
            )
        )

    def _offered(self, task: int) -> set[str]:
        state = self._state(task)
        if state == "failure":
            return {"stop", "continue" if self._has_snapshot(task) else "run"}
        return PROMISED.get(state, set())

    def _present(self, process: Process) -> bool:
        """Whether the process's epoch is its run's present one."""
        found = self._rows(
            "select r.epoch, r.token_hash is not null, t.run_id = r.id from run r join task t on t.id = r.task_id "
            "where r.id = ?",
            process.launch.run_id,
        )
        return found[0] == (process.launch.epoch, 1, 1)

    def _current(self) -> list[Process]:
        return [process for process in self.world.engine.living() if self._present(process)]

    def _units_used(self) -> int:
        states = ", ".join(f"'{state}'" for state in sorted(TAKES_UNITS))
        found = self._rows(
            f"select coalesce(sum(r.units), 0) from task t join run r on r.id = t.run_id where t.state in ({states})"
        )
        used: int = found[0][0]
        return used

    def _group_units(self) -> int:
        units: int = self._rows("select units from resource_group")[0][0]
        return units

    def _moves_made(self) -> int:
        made: int = self._rows("select count(*) from key_event where state_to is not null")[0][0]
        return made

    # --- what must always hold ---

    def everything_holds(self) -> None:
        self._no_run_has_two_live_leases_and_no_epoch_two_workers()
        self._epochs_and_versions_only_grow()
        self._no_more_units_are_used_than_there_are()
        self._states_changed_only_by_legal_moves_each_with_one_key_event()
        self._only_tasks_that_work_have_a_worker_that_may_speak()
        self._stored_positions_never_go_back()
        self._no_more_snapshots_are_kept_than_asked_for()
        self._what_is_noted_as_cleaned_is_gone()
        self._a_stopped_task_keeps_no_state_of_its_run()

    def _no_run_has_two_live_leases_and_no_epoch_two_workers(self) -> None:
        started = Counter((p.launch.run_id, p.launch.epoch) for p in self.world.engine.processes)
        assert not [epoch for epoch, count in started.items() if count > 1]
        holders = Counter(process.launch.run_id for process in self._current())
        assert not [run for run, count in holders.items() if count > 1]

    def _epochs_and_versions_only_grow(self) -> None:
        for run, epoch in self._rows("select id, epoch from run"):
            assert epoch >= self.epochs.get(run, 0)
            self.epochs[run] = epoch
        for task, version in self._rows("select id, version from task"):
            assert version >= self.versions.get(task, 0)
            self.versions[task] = version

    def _no_more_units_are_used_than_there_are(self) -> None:
        used = self._units_used()
        self.units_ceiling = max(self._group_units(), min(self.units_ceiling, used))
        assert used <= self.units_ceiling

    def _states_changed_only_by_legal_moves_each_with_one_key_event(self) -> None:
        """What the triggers noted and what the key events tell is the same, and legal."""
        told: dict[int, list[tuple[str, str]]] = {}
        for key, task, name, source, target in self._rows(
            "select id, task_id, name, state_from, state_to from key_event where id > ? order by id", self.last_event
        ):
            self.last_event = key
            if target is not None:
                assert (source, name, target) in LEGAL
                told.setdefault(task, []).append((source, target))
                self.seen[f"{source} {name}"] += 1
        noted: dict[int, list[tuple[str, str]]] = {}
        for key, task, source, target in self._rows(
            "select id, task_id, state_from, state_to from state_log where id > ? order by id", self.last_change
        ):
            self.last_change = key
            assert self.states.get(task) == source, "a state changed past the log"
            self.states[task] = target
            if source is None:
                assert target == "draft", "a task did not begin as a draft"
            else:
                noted.setdefault(task, []).append((source, target))
        assert noted == told, "a state changed without its key event, or a key event was written without its change"
        assert dict(self._rows("select id, state from task")) == self.states

    def _only_tasks_that_work_have_a_worker_that_may_speak(self) -> None:
        speaking = self._rows(
            "select t.state from task t join run r on r.task_id = t.id where r.token_hash is not null"
        )
        assert {state for (state,) in speaking} <= MAY_HAVE_WORKER

    def _stored_positions_never_go_back(self) -> None:
        for run, position in self._rows(
            "select run_id, sortable from snapshot s where id = (select max(id) from snapshot where run_id = s.run_id)"
        ):
            assert position >= self.positions.get(run, "")
            self.positions[run] = position

    def _no_more_snapshots_are_kept_than_asked_for(self) -> None:
        assert not self._rows(
            "select 1 from run r where (select count(*) from snapshot s where s.run_id = r.id) > r.snapshots_keep"
        )

    def _what_is_noted_as_cleaned_is_gone(self) -> None:
        cleaned = {key for (key,) in self._rows("select key from run where cleanup = 'done'")}
        assert not cleaned & self.world.data_plane.made

    def _a_stopped_task_keeps_no_state_of_its_run(self) -> None:
        assert not self._rows("select 1 from run r join snapshot s on s.run_id = r.id where r.ended_at is not null")

    # --- rest ---

    def at_rest(self) -> bool:
        """Every task runs with one worker, or rests without; nothing is being done and nothing is left."""
        for _, state, run in self._rows("select id, state, run_id from task"):
            living = [p for p in self.world.engine.living() if p.launch.run_id == run]
            if state in (*DEADLINES_S, "detection_exception") or len(living) != (state == "running"):
                return False
        due = self._rows(
            "select 1 from run where cleanup = 'due' or (cleanup = 'left' and cleanup_at <= ?) "
            "or (worker_pid is not null and ended_at is not null)",
            self.world.clock.now(),
        )
        # Somebody looks at some task all the time; that changes nothing of one that is at rest.
        return not due and not any(job.work is Work.CLEAN for job in self.world.jobs.waiting)

    def why_not_at_rest(self) -> str:
        tasks = self._rows("select id, state, run_id from task")
        runs = self._rows("select id, cleanup, cleanup_tries, cleanup_at, worker_pid, ended_at from run")
        return f"tasks {tasks}, runs {runs}, now {self.world.clock.now()}, jobs {list(self.world.jobs.waiting)}"
