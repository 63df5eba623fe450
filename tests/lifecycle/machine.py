"""Does to a server whatever people, workers, clocks, networks and crashes may do, one step at a time; what must hold
after each step is the oracle's. Every step takes its chances from a number of its own, so that any history can be
gone through again, whole or in part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lifecycle.oracle import COMMANDS, DEADLINES_S, FROZEN, UNITS, Oracle
from lifecycle.world import FakeWorker, Process, ServerKilled, definition
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

TASKS_MAX = 4
WORDS = [*FakeWorker.SENDS, *WORKER_MOVES, "restarted", "schema_change", "cut", "halted"]


@dataclass(frozen=True)
class Rule:
    """Something that may be done. `needs` gives what it is done to; when that is nothing, it is not possible now."""

    name: str
    do: Callable[[Machine, Random], None]
    needs: Callable[[Machine], Any]
    weight: int


RULES: dict[str, Rule] = {}


def rule(
    needs: Callable[[Machine], Any] = lambda machine: True, weight: int = 1
) -> Callable[[Callable[[Machine, Random], None]], Callable[[Machine, Random], None]]:
    def note(do: Callable[[Machine, Random], None]) -> Callable[[Machine, Random], None]:
        RULES[do.__name__] = Rule(do.__name__, do, needs, weight)
        return do

    return note


def rarely(chance: Random) -> bool:
    return chance.random() < 0.25


class Machine(Oracle):
    remembered: list[tuple[int, int]]
    """Tasks and the versions at which somebody has looked at them."""

    def begin(self, chance: Random) -> None:
        """Most of a task's life happens after it was first run."""
        self.remembered = []
        self.world.add_data_sources()
        for _ in range(chance.randint(1, 3)):
            upto, units = chance.choice(["initialize", "running", "paused"]), chance.randint(1, 2)
            self._create(units, chance.choice([0, 1, -1]), 2)
            task = self._tasks()[-1]
            self._command(task, "submit", None)
            if upto != "initialize" and self._units_used() + units <= UNITS:
                self._command(task, "run", None)
                self._all_goes_well()
                self._all_goes_well()
            if upto == "paused" and self._state(task) == "running":
                self._command(task, "pause", None)
                self._all_goes_well()

    def end(self) -> None:
        """With the faults gone, every task comes to rest or runs, and nothing is left over."""
        self._mend()
        for _ in range(80):
            if self.at_rest():
                break
            self._everybody_speaks()
            self.world.jobs.do_all()
            self.world.clock.advance(5)
            self.world.step()
        assert self.at_rest(), self.why_not_at_rest()
        self.everything_holds()

    def _mend(self) -> None:
        plane = self.world.data_plane
        plane.unreachable = plane.lost = False
        plane.missing, plane.against = [], []
        self._resize(UNITS)
        self.world.engine.refuses = False

    # --- people ---

    @rule(needs=lambda self: len(self._tasks()) < TASKS_MAX)
    def somebody_creates_a_task(self, chance: Random) -> None:
        self._create(chance.randint(1, 3), chance.choice([0, 1, -1]), chance.randint(1, 3))

    def _create(self, units: int, restarts: int, keep: int) -> None:
        number = self._rows("select count(*) from task")[0][0]
        wanted = definition(
            f"task_{number}", units=units, restarts={"max": restarts}, snapshots={"every": "60s", "keep": keep}
        )
        self.world.door.create_task(wanted, actor="ann")

    @rule(needs=lambda self: self._tasks())
    def somebody_looks(self, chance: Random) -> None:
        task = chance.choice(self._tasks())
        self.remembered = [*self.remembered[-5:], (task, self._version(task))]

    @rule(needs=lambda self: self._tasks())
    def somebody_commands(self, chance: Random) -> None:
        self._command(chance.choice(self._tasks()), chance.choice(COMMANDS), None)

    @rule(needs=lambda self: self._tasks(), weight=2)
    def somebody_commands_what_is_offered(self, chance: Random) -> None:
        task = chance.choice(self._tasks())
        offered = sorted(self._offered(task) - (set() if rarely(chance) else {"remove"}))
        if offered:
            self._command(task, chance.choice(offered), None)

    @rule(needs=lambda self: self.remembered)
    def somebody_commands_after_what_was_seen_earlier(self, chance: Random) -> None:
        task, version = chance.choice(self.remembered)
        if task in self._tasks():
            self._command(task, chance.choice(COMMANDS), version)

    @rule(needs=lambda self: self._tasks())
    def somebody_is_faster(self, chance: Random) -> None:
        """Another command is carried out while the first one is being looked into."""
        task, command, other = chance.choice(self._tasks()), chance.choice(["run", "continue"]), chance.choice(COMMANDS)
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

    def _command(self, task: int, command: str, version: int | None) -> None:
        """Accepted exactly when it was promised; a refusal changes nothing and says what is possible."""
        stale = version is not None and version != self._version(task)
        before, offered, commits, made = self._state(task), self._offered(task), self._commits(), self._moves_made()
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
        assert self._moves_made() == made + 1, "an accepted command writes exactly one key event"

    def _told(self, task: int, refusal: CommandRefused | StaleVersion) -> None:
        """A refusal says how things stand."""
        told = {offer["command"] for offer in refusal.facts["offers"] if offer["allowed"]}
        assert told == self._offered(task)
        assert refusal.facts["version"] == self._version(task)

    def _excused(self, task: int, command: str, error: TidegateError) -> None:
        """Why a promised command may be refused all the same."""
        plane = self.world.data_plane
        if isinstance(error, NoUnits):
            assert self._units_used() + self._units_wanted(task) > self._group_units()
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

    def _units_wanted(self, task: int) -> int:
        found = self._rows(
            "select v.definition ->> 'units' from task t join task_version v "
            "on v.task_id = t.id and v.number = t.submitted where t.id = ?",
            task,
        )
        return int(found[0][0])

    @rule(needs=lambda self: self._tasks())
    def somebody_edits_and_submits(self, chance: Random) -> None:
        task, units, stale = chance.choice(self._tasks()), chance.randint(1, 3), rarely(chance)
        held = self.world.door.detail(task)
        version = held.task.version + 1 if stale else held.task.version
        commits = self._commits()
        try:
            self.world.door.edit_task(task, {**held.definition, "units": units}, version=version, actor="bob")
        except (StaleVersion, CommandRefused):
            assert stale or self._state(task) == "removing"
            assert self._commits() == commits
            return
        assert not stale
        state = self._state(task)
        commits, refusing = self._commits(), self.world.data_plane.unreachable or self.world.data_plane.against
        try:
            self.world.door.submit(task, actor="bob")
        except CommandRefused:
            assert not FROZEN["states"][state]["editable"]
            assert self._commits() == commits
        except (SourceUnreachable, SourceLogDisabled):
            assert refusing
            assert self._commits() == commits
        else:
            assert FROZEN["states"][state]["editable"]
            assert self._state(task) == ("initialize" if state == "draft" else state)

    @rule()
    def somebody_resizes_the_group(self, chance: Random) -> None:
        self._resize(chance.randint(1, 6))

    def _resize(self, units: int) -> None:
        self.world.door.edit_group("default", units=units, actor="bob")
        self.units_ceiling = max(units, self._units_used())

    @rule(needs=lambda self: self._tasks())
    def somebody_asks_for_a_snapshot(self, chance: Random) -> None:
        task = chance.choice(self._tasks())
        try:
            request = self.world.door.request_snapshot(task, actor="ann")
        except CommandRefused:
            assert self._state(task) != "running"
        else:
            assert self._state(task) == "running"
            assert self.world.door.snapshot_request(task, request.id).snapshot is None

    # --- sources and targets ---

    @rule()
    def the_source_goes_away_or_comes_back(self, chance: Random) -> None:
        self.world.data_plane.unreachable = rarely(chance)

    @rule()
    def the_log_is_lost_or_kept(self, chance: Random) -> None:
        self.world.data_plane.lost = rarely(chance)

    @rule()
    def the_source_is_misconfigured_or_mended(self, chance: Random) -> None:
        self.world.data_plane.against = [SourceLogDisabled("wal_level is replica")] if rarely(chance) else []

    @rule()
    def a_table_is_dropped_or_made_again(self, chance: Random) -> None:
        self.world.data_plane.missing = ["table public.orders"] if rarely(chance) else []

    @rule()
    def a_look_notices_whether_a_table_is_there(self, chance: Random) -> None:
        self._look(gone=chance.random() < 0.5)

    def _look(self, *, gone: bool) -> None:
        self.world.data_plane.missing = ["table public.orders"] if gone else []
        self.world.data_plane.unreachable = False
        self._pass(25.0)
        self.world.jobs.do_all()
        self._step()

    # --- the server and its machine ---

    @rule()
    def the_reconciler_looks(self, chance: Random) -> None:
        self._step()

    @rule()
    def time_passes_in_silence(self, chance: Random) -> None:
        """No word of a worker comes through."""
        self._be_silent(chance.choice([0.5, 6.0, 11.0, 31.0, 125.0, 185.0, 305.0]))

    def _be_silent(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        self._step()

    @rule()
    def time_passes(self, chance: Random) -> None:
        self._pass(chance.choice([0.5, 5.0, 25.0, 65.0]))

    def _pass(self, seconds: float) -> None:
        while seconds > 0:
            self.world.clock.advance(min(seconds, 9.0))
            seconds -= 9.0
            for process in self._current():
                FakeWorker(self.world, process).beat()
            self._step()

    @rule()
    def the_clock_jumps(self, chance: Random) -> None:
        self.world.clock.jump(chance.choice([-86_400.0, -3_600.0, -3.0, 3.0, 3_600.0, 86_400.0, 20 * 365 * 86_400.0]))

    @rule()
    def the_server_is_killed_and_started(self, chance: Random) -> None:
        self._start_again()

    def _start_again(self) -> None:
        self.world.restart_server()
        self.looked_at.clear()

    @rule()
    def the_server_is_killed_while_it_starts_a_worker(self, chance: Random) -> None:
        self.world.engine.dies_before_told = True
        try:
            self.world.step()
        except ServerKilled:
            self.seen["killed while starting a worker"] += 1
            self._start_again()
        finally:
            self.world.engine.dies_before_told = False

    @rule(weight=3)
    def the_store_fails_once(self, chance: Random) -> None:
        """In the middle of something, before a transaction takes effect or after: whoever waited is told the same."""
        when, others = chance.choice(["before", "after"]), chance.choice([0, 0, 1, 2])
        what, commits = self._something(chance), self._commits()
        with self.ground.failing.once(when, others):
            try:
                what()
            except TidegateError as error:
                if error.code == "store.unavailable":
                    raise
                self.seen["refused"] += 1
        struck = self.ground.failing.struck
        self.seen[f"store failed {struck}"] += bool(struck)
        if struck == "before" and not others:
            assert self._commits() == commits, "a transaction that failed left something"
        if struck and rarely(chance):
            self._start_again()

    def _something(self, chance: Random) -> Callable[[], object]:
        """Something that may write, to be done once."""
        whats: list[Callable[[], object]] = [self.world.step]
        if tasks := self._tasks():
            task, command = chance.choice(tasks), chance.choice(COMMANDS)
            whats.append(lambda: self.world.command(task, command))
        if current := self._current():
            worker, word = FakeWorker(self.world, chance.choice(current)), chance.choice(WORDS)
            whats += [worker.open, lambda: self._say(worker, word)]
        return chance.choice(whats)

    @rule()
    def the_machine_is_full_or_not(self, chance: Random) -> None:
        self.world.engine.refuses = rarely(chance)

    @rule(needs=lambda self: self.world.jobs.waiting)
    def a_job_ends(self, chance: Random) -> None:
        self.world.jobs.do(chance.choice(list(self.world.jobs.waiting)))

    def _step(self) -> None:
        self.world.step()
        ticks = self.world.clock.ticks()
        for task, state, state_since in self._rows("select id, state, state_since from task"):
            known = self.looked_at.get(task)
            if known is None or known[:2] != (state, state_since):
                self.looked_at[task] = (state, state_since, ticks)
            elif state in DEADLINES_S:
                assert ticks - known[2] < DEADLINES_S[state], f"{state} did not end by its deadline"

    # --- workers ---

    @rule(weight=2)
    def everything_goes_well(self, chance: Random) -> None:
        """Everybody does what they should."""
        self._all_goes_well()

    def _all_goes_well(self) -> None:
        self._step()
        self._everybody_speaks()
        self.world.jobs.do_all()
        self._step()

    @rule(needs=lambda self: self._current())
    def a_worker_does_as_it_is_told(self, chance: Random) -> None:
        self._obey(chance.choice(self._current()))

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

    @rule(needs=lambda self: self.world.engine.processes)
    def a_worker_says_something(self, chance: Random) -> None:
        """Any worker, also one that is dead or was replaced: what it said may arrive late, twice, or out of order."""
        self._hear(chance.choice(self.world.engine.processes), chance.choice(WORDS))

    @rule(needs=lambda self: self._current())
    def a_present_worker_says_something(self, chance: Random) -> None:
        self._hear(chance.choice(self._current()), chance.choice(WORDS))

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

    @rule(needs=lambda self: self.world.engine.living())
    def a_worker_dies(self, chance: Random) -> None:
        chance.choice(self.world.engine.living()).alive = False
