"""A state machine that does to a server whatever people, workers, clocks, networks and crashes may do, and checks after
each step what must always hold. Its oracle is facts (who was promised what, who holds which lease), not the rules
again."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lifecycle.world import FakeWorker, Installation, Process, ServerKilled, World, definition
from tidegate.errors import (
    CommandRefused,
    Fenced,
    Invalid,
    NoUnits,
    PositionLost,
    PositionWentBack,
    SourceLogDisabled,
    SourceUnreachable,
    StaleVersion,
    TidegateError,
)
from tidegate.server.control import WORKER_MOVES
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
TASKS_MAX = 4

any_number = st.integers(0, 1_000_000)
WORDS = [*FakeWorker.SENDS, *WORKER_MOVES, "restarted", "schema_change", "cut", "halted"]
rarely = st.sampled_from([False, False, False, True])


class Machine(RuleBasedStateMachine):
    seen: ClassVar[Counter[str]] = Counter()
    """Moves, refusals and steps over all runs, to see that enough happened."""
    installation: ClassVar[Installation | None] = None

    def __init__(self) -> None:
        super().__init__()
        installed = self._installed()
        installed.reset()
        self.raw = installed.connect()
        limits = Limits(detection_s=20, detection_back_s=10)
        self.world = World(installed.home, store=installed.store, limits=limits, jobs_at_once=False)
        self.epochs: dict[int, int] = {}
        self.versions: dict[int, int] = {}
        self.last_event = 0
        self.states: dict[int, str] = {}
        self.looked_at: dict[int, tuple[str, float, float]] = {}
        self.positions: dict[int, str] = {}
        self.remembered: list[tuple[int, int]] = []
        self.units_ceiling = UNITS

    @classmethod
    def _installed(cls) -> Installation:
        if cls.installation is None:
            fast = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - thousands of commits
            cls.installation = Installation(Path(tempfile.mkdtemp(prefix="tidegate-machine-", dir=fast)), UNITS)
        return cls.installation

    @classmethod
    def uninstall(cls) -> None:
        """After the last run."""
        if cls.installation is not None:
            cls.installation.close()
            shutil.rmtree(cls.installation.home)
            cls.installation = None

    def teardown(self) -> None:
        try:
            self._all_ends_well()
        finally:
            self.raw.close()

    # --- what is so ---

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.raw.execute(query, values).fetchall()

    def _commits(self) -> int:
        """Changes whenever anybody has committed something."""
        found: int = self._rows("pragma data_version")[0][0]
        return found

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

    def _present(self, process: Process) -> bool:
        """Whether the process's epoch is its run's present one."""
        found = self._rows(
            "select r.epoch, r.token_hash is not null, t.run_id = r.id from run r join task t on t.id = r.task_id "
            "where r.id = ?",
            process.launch.run_id,
        )
        return found[0] == (process.launch.epoch, 1, 1)

    def _units_used(self) -> int:
        states = ", ".join(f"'{state}'" for state in TAKES_UNITS)
        found = self._rows(
            f"select coalesce(sum(r.units), 0) from task t join run r on r.id = t.run_id where t.state in ({states})"
        )
        used: int = found[0][0]
        return used

    def _group_units(self) -> int:
        units: int = self._rows("select units from resource_group")[0][0]
        return units

    def _pick(self, among: list[Any], number: int) -> Any:
        return among[number % len(among)]

    # --- people ---

    @initialize(
        tasks=st.lists(
            st.tuples(
                st.integers(1, 2), st.sampled_from([0, 1, -1]), st.sampled_from(["initialize", "running", "paused"])
            ),
            min_size=1,
            max_size=3,
        )
    )
    def installed(self, tasks: list[tuple[int, int, str]]) -> None:
        """Most of a task's life happens after it was first run."""
        self.world.add_data_sources()
        for units, restarts, upto in tasks:
            self._create(units, restarts, 2)
            task = self._tasks()[-1]
            self._command(task, "submit", None)
            if upto != "initialize" and self._units_used() + units <= UNITS:
                self._command(task, "run", None)
                self.all_goes_well()
                self.all_goes_well()
            if upto == "paused" and self._state(task) == "running":
                self._command(task, "pause", None)
                self.all_goes_well()

    @precondition(lambda self: len(self._tasks()) < TASKS_MAX)
    @rule(units=st.integers(1, 3), restarts=st.sampled_from([0, 1, -1]), keep=st.integers(1, 3))
    def somebody_creates_a_task(self, units: int, restarts: int, keep: int) -> None:
        self._create(units, restarts, keep)

    def _create(self, units: int, restarts: int, keep: int) -> None:
        number = self._rows("select count(*) from task")[0][0]
        wanted = definition(
            f"task_{number}", units=units, restarts={"max": restarts}, snapshots={"every": "60s", "keep": keep}
        )
        self.world.control.create_task(wanted, actor="ann")

    @precondition(lambda self: self._tasks())
    @rule(which=any_number)
    def somebody_looks(self, which: int) -> None:
        task = self._pick(self._tasks(), which)
        self.remembered = [*self.remembered[-5:], (task, self._version(task))]

    @precondition(lambda self: self._tasks())
    @rule(which=any_number, command=st.sampled_from(COMMANDS))
    def somebody_commands(self, which: int, command: str) -> None:
        self._command(self._pick(self._tasks(), which), command, None)

    @precondition(lambda self: self._tasks())
    @rule(which=any_number, what=any_number, even_remove=rarely)
    def somebody_commands_what_is_offered(self, which: int, what: int, even_remove: bool) -> None:
        task = self._pick(self._tasks(), which)
        offered = sorted(self._offered(task) - (set() if even_remove else {"remove"}))
        if offered:
            self._command(task, self._pick(offered, what), None)

    somebody_goes_on_commanding_what_is_offered = somebody_commands_what_is_offered

    @precondition(lambda self: self.remembered)
    @rule(which=any_number, command=st.sampled_from(COMMANDS))
    def somebody_commands_after_what_was_seen_earlier(self, which: int, command: str) -> None:
        task, version = self._pick(self.remembered, which)
        if task in self._tasks():
            self._command(task, command, version)

    @precondition(lambda self: self._tasks())
    @rule(which=any_number, command=st.sampled_from(["run", "continue"]), other=st.sampled_from(COMMANDS))
    def somebody_is_faster(self, which: int, command: str, other: str) -> None:
        """Another command is carried out while the first one is being looked into."""
        task = self._pick(self._tasks(), which)
        plane, before = self.world.data_plane, self._version(task)

        def meanwhile() -> None:
            plane.while_checking = lambda: None
            try:
                self.world.command(task, other)
            except TidegateError:
                self.seen["refused"] += 1

        plane.while_checking = meanwhile
        try:
            self.world.command(task, command)
        except (StaleVersion, CommandRefused) as error:
            self.seen["overtaken" if isinstance(error, StaleVersion) else "refused"] += 1
        except TidegateError:
            self.seen["refused"] += 1
        else:
            own = self._rows("select count(*) from key_event where task_id = ? and name = ?", task, command)
            assert own[0][0] >= 1
            moved = self._rows(
                "select count(*) from key_event where task_id = ? and state_to is not null and task_version > ?",
                task,
                before,
            )
            assert moved[0][0] == 1, "two commands won on one version"
        finally:
            plane.while_checking = lambda: None

    def _offered(self, task: int) -> set[str]:
        state = self._state(task)
        if state == "failure":
            return {"stop", "continue" if self._has_snapshot(task) else "run"}
        return PROMISED.get(state, set())

    def _command(self, task: int, command: str, version: int | None) -> None:
        """Accepted exactly when it was promised; a refusal changes nothing and says what is possible."""
        stale = version is not None and version != self._version(task)
        before, offered, commits = self._state(task), self._offered(task), self._commits()
        events = self._rows("select count(*) from key_event where state_to is not null")[0][0]
        try:
            self.world.command(task, command, version=version)
        except TidegateError as error:
            assert self._commits() == commits, f"{command} was refused and changed something"
            self.seen[f"refused {error.code}"] += 1
            if command in offered and not stale:
                self._excused(task, command, error)
            elif not isinstance(error, StaleVersion if stale else CommandRefused):
                raise AssertionError(f"{command} in {before} was refused with {error!r}") from error
            if isinstance(error, (CommandRefused, StaleVersion)):
                self._told(task, error)
            return
        assert not stale, "a stale version was taken"
        assert command in offered, f"{command} was accepted in {before}"
        now = self._rows("select count(*) from key_event where state_to is not null")[0][0]
        assert now == events + 1, "an accepted command writes exactly one key event"

    def _told(self, task: int, refusal: CommandRefused | StaleVersion) -> None:
        """A refusal says how things stand."""
        told = {offer["command"] for offer in refusal.facts["offers"] if offer["allowed"]}
        assert told == self._offered(task)
        assert refusal.facts["version"] == self._version(task)

    def _excused(self, task: int, command: str, error: TidegateError) -> None:
        """Why a promised command may be refused all the same."""
        plane = self.world.data_plane
        if isinstance(error, NoUnits):
            wanted = self._rows(
                "select json_extract(v.definition, '$.units') from task t join task_version v "
                "on v.task_id = t.id and v.number = t.submitted where t.id = ?",
                task,
            )[0][0]
            assert self._units_used() + wanted > self._group_units()
            assert command in ("run", "continue")
        elif isinstance(error, SourceUnreachable):
            assert plane.unreachable
        elif isinstance(error, PositionLost):
            assert plane.lost
            assert command == "continue"
        elif isinstance(error, SourceLogDisabled):
            assert plane.against
            assert command in ("run", "submit")
        else:
            raise AssertionError(f"{command} was refused: {error}") from error

    @precondition(lambda self: self._tasks())
    @rule(which=any_number, units=st.integers(1, 3), stale=rarely)
    def somebody_edits_and_submits(self, which: int, units: int, stale: bool) -> None:
        task = self._pick(self._tasks(), which)
        held = self.world.control.detail(task)
        version = held.task.version - 1 if stale else held.task.version
        commits = self._commits()
        try:
            self.world.control.edit_task(task, {**held.definition, "units": units}, version=version, actor="bob")
        except (StaleVersion, CommandRefused):
            assert stale or self._state(task) == "removing"
            assert self._commits() == commits
            return
        assert not stale
        state = self._state(task)
        commits, refusing = self._commits(), self.world.data_plane.unreachable or self.world.data_plane.against
        try:
            self.world.control.submit(task, actor="bob")
        except CommandRefused:
            assert not FROZEN["states"][state]["editable"]
            assert self._commits() == commits
        except (SourceUnreachable, SourceLogDisabled):
            assert refusing
            assert self._commits() == commits
        else:
            assert FROZEN["states"][state]["editable"]
            assert self._state(task) == ("initialize" if state == "draft" else state)

    @rule(units=st.integers(1, 6))
    def somebody_resizes_the_group(self, units: int) -> None:
        self.world.control.edit_group("default", units=units, actor="bob")
        self.units_ceiling = max(units, self._units_used())

    @precondition(lambda self: self._tasks())
    @rule(which=any_number)
    def somebody_asks_for_a_snapshot(self, which: int) -> None:
        task = self._pick(self._tasks(), which)
        try:
            request = self.world.control.request_snapshot(task, actor="ann")
        except CommandRefused:
            assert self._state(task) != "running"
        else:
            assert self._state(task) == "running"
            assert self.world.control.snapshot_request(task, request.id).snapshot is None

    # --- sources and targets ---

    @rule(faulty=rarely)
    def the_source_goes_away_or_comes_back(self, faulty: bool) -> None:
        self.world.data_plane.unreachable = faulty

    @rule(faulty=rarely)
    def the_log_is_lost_or_kept(self, faulty: bool) -> None:
        self.world.data_plane.lost = faulty

    @rule(faulty=rarely)
    def the_source_is_misconfigured_or_mended(self, faulty: bool) -> None:
        self.world.data_plane.against = [SourceLogDisabled("wal_level is replica")] if faulty else []

    @rule(faulty=rarely)
    def a_table_is_dropped_or_made_again(self, faulty: bool) -> None:
        self.world.data_plane.missing = ["table public.orders"] if faulty else []

    @rule(gone=st.booleans())
    def a_look_notices_whether_a_table_is_there(self, gone: bool) -> None:
        self.world.data_plane.missing = ["table public.orders"] if gone else []
        self.world.data_plane.unreachable = False
        self.time_passes(25.0)
        self.world.jobs.do_all()
        self._step()

    # --- the server and its machine ---

    @rule()
    def the_reconciler_looks(self) -> None:
        self._step()

    @rule(seconds=st.sampled_from([0.5, 6.0, 11.0, 31.0, 125.0, 185.0, 305.0]))
    def time_passes_in_silence(self, seconds: float) -> None:
        """No word of a worker comes through."""
        self.world.clock.advance(seconds)
        self._step()

    @rule(seconds=st.sampled_from([0.5, 5.0, 25.0, 65.0]))
    def time_passes(self, seconds: float) -> None:
        while seconds > 0:
            self.world.clock.advance(min(seconds, 9.0))
            seconds -= 9.0
            for process in self._current():
                FakeWorker(self.world, process).beat()
            self._step()

    @rule(seconds=st.sampled_from([-86_400.0, -3.0, 3.0, 86_400.0]))
    def the_clock_jumps(self, seconds: float) -> None:
        self.world.clock.jump(seconds)

    @rule()
    def the_server_is_killed_and_started(self) -> None:
        self.world.restart_server()
        self.looked_at.clear()

    @rule()
    def the_server_is_killed_while_it_starts_a_worker(self) -> None:
        self.world.engine.dies_before_told = True
        try:
            self.world.step()
        except ServerKilled:
            self.seen["killed while starting a worker"] += 1
            self.world.restart_server()
            self.looked_at.clear()
        finally:
            self.world.engine.dies_before_told = False

    @rule(refuses=rarely)
    def the_machine_is_full_or_not(self, refuses: bool) -> None:
        self.world.engine.refuses = refuses

    @precondition(lambda self: self.world.jobs.waiting)
    @rule(which=any_number)
    def a_job_ends(self, which: int) -> None:
        self.world.jobs.do(self._pick(list(self.world.jobs.waiting), which))

    def _step(self) -> None:
        self.world.step()
        self.seen["steps"] += 1
        ticks = self.world.clock.ticks()
        for task, state, state_since in self._rows("select id, state, state_since from task"):
            known = self.looked_at.get(task)
            if known is None or known[:2] != (state, state_since):
                self.looked_at[task] = (state, state_since, ticks)
            elif state in DEADLINES_S:
                assert ticks - known[2] < DEADLINES_S[state], f"{state} did not end by its deadline"

    # --- workers ---

    def _current(self) -> list[Process]:
        return [process for process in self.world.engine.living() if self._present(process)]

    @rule()
    def all_goes_well(self) -> None:
        """Everybody does what they should."""
        self._step()
        self._everybody_speaks()
        self.world.jobs.do_all()
        self._step()

    everything_goes_well = all_goes_well

    @precondition(lambda self: self._current())
    @rule(which=any_number)
    def a_worker_does_as_it_is_told(self, which: int) -> None:
        self._obey(self._pick(self._current(), which))

    def _everybody_speaks(self) -> None:
        """Also workers that no server knows of any more; they are told, and end."""
        for process in self.world.engine.living():
            if self._present(process):
                self._obey(process)
                continue
            try:
                FakeWorker(self.world, process).beat()
            except Fenced:
                process.alive = False
            else:
                raise AssertionError("a worker of a past epoch was not told")

    def _obey(self, process: Process) -> None:
        worker = FakeWorker(self.world, process)
        opened, state = self._rows(
            "select r.opened_at, t.state from run r join task t on t.id = r.task_id where r.id = ?",
            process.launch.run_id,
        )[0]
        if opened is None:
            worker.open()
            return
        orders = worker.beat(self.world.next_position())
        if orders.intent == "pause":
            assert state == "pausing"
            worker.drain()
        elif orders.snapshot is not None:
            worker.snapshot("manual", request=orders.snapshot)
            assert worker.beat().snapshot is None
        else:
            worker.snapshot()

    @precondition(lambda self: self.world.engine.processes)
    @rule(which=any_number, say=st.sampled_from(WORDS))
    def a_worker_says_something(self, which: int, say: str) -> None:
        """Any worker, also one that is dead or was replaced: what it said may arrive late, twice, or out of order."""
        self._hear(self._pick(self.world.engine.processes, which), say)

    @precondition(lambda self: self._current())
    @rule(which=any_number, say=st.sampled_from(WORDS))
    def a_present_worker_says_something(self, which: int, say: str) -> None:
        self._hear(self._pick(self._current(), which), say)

    def _hear(self, process: Process, say: str) -> None:
        present, commits = self._present(process), self._commits()
        try:
            self._say(FakeWorker(self.world, process), say)
        except Fenced:
            assert not present, "the present worker was fenced"
            assert self._commits() == commits, "a superseded worker changed something"
            self.seen["fenced"] += 1
        except (CommandRefused, Invalid, PositionWentBack):
            assert present
            assert self._commits() == commits
            self.seen["word refused"] += 1
        else:
            assert present, f"{say} was taken from a worker of a past epoch"

    def _say(self, worker: FakeWorker, say: str) -> None:
        if say in worker.SENDS:
            worker.SENDS[say](worker)
        elif say in ("gave_up", "open_failed"):
            worker.say(say, {"code": "source.log_broken", "detail": "the log could not be decoded"})
        else:
            worker.say(say)

    @precondition(lambda self: self.world.engine.living())
    @rule(which=any_number)
    def a_worker_dies(self, which: int) -> None:
        self._pick(self.world.engine.living(), which).alive = False

    # --- what must always hold ---

    @invariant()
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
        found = self._rows(
            "select id, task_id, name, state_from, state_to from key_event where id > ? order by id", self.last_event
        )
        for key, task, name, source, target in found:
            self.last_event = key
            if target is None:
                continue
            assert (source, name, target) in LEGAL
            assert self.states.get(task, "draft") == source, "a state changed without a key event"
            self.states[task] = target
            self.seen[f"{source} {name}"] += 1
        for task, state in self._rows("select id, state from task"):
            assert self.states.get(task, "draft") == state, "a state changed without a key event"

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

    # --- the end ---

    def _all_ends_well(self) -> None:
        """With the faults gone, every task comes to rest or runs, and nothing is left over."""
        plane = self.world.data_plane
        plane.unreachable = plane.lost = False
        plane.missing, plane.against = [], []
        self.world.engine.refuses = False
        for _ in range(80):
            if self._at_rest():
                break
            self._everybody_speaks()
            self.world.jobs.do_all()
            self.world.clock.advance(5)
            self.world.step()
        assert self._at_rest(), self._why_not_at_rest()
        self.everything_holds()

    def _why_not_at_rest(self) -> str:
        tasks = self._rows("select id, state, run_id from task")
        runs = self._rows("select id, cleanup, cleanup_tries, cleanup_at, worker_pid, ended_at from run")
        return f"tasks {tasks}, runs {runs}, now {self.world.clock.now()}, jobs {list(self.world.jobs.waiting)}"

    def _at_rest(self) -> bool:
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
        return not due and not self.world.jobs.waiting
