"""Many lives of the state machine under one seed: prints what was done as one JSON object, and the history of a
failure, made as short as it gets. Without `--door` and `--store` the steps are shared out among all of them.

    make lifecycle STEPS=500000 SEED=7
    PYTHONPATH=tests python -m lifecycle.campaign --steps 20000 --door http --store postgresql
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from lifecycle.door import HttpDoor
from lifecycle.ground import Ground, PostgresGround, SqliteGround
from lifecycle.guide import MOVES, Move, lead, least_made
from lifecycle.machine import RULES, Machine
from lifecycle.oracle import UNITS
from tidegate.server.control import Control
from tidegate.testing.crash.campaign import commit
from tidegate.testing.servers import PostgresServer

STEPS_EACH = 250
GUIDED = "lead"
# A step is led there with this chance; then so are the next ones, for what is rare needs several in a row.
GUIDE_CHANCE, GUIDE_STEPS = 0.02, 12
SHORTEN_S = 60.0

STORES = ("sqlite", "postgresql")
DOORS = ("store", "http")
# Of each hundred steps: most where they cost least, and on every way enough to make every move.
SHARES = {("store", "sqlite"): 76, ("http", "sqlite"): 9, ("store", "postgresql"): 9, ("http", "postgresql"): 6}


@dataclass(frozen=True)
class Step:
    """A rule's name and the seed of its chances; `goal` of a step that was led."""

    name: str
    seed: int
    goal: Move | None = None


@dataclass
class Result:
    """What a campaign did. `moves` counts each legal move by its state and name."""

    seed: int
    door: str
    store: str
    steps: int = 0
    lives: int = 0
    seconds: float = 0.0
    moves: dict[str, int] = field(default_factory=dict)
    other: dict[str, int] = field(default_factory=dict)

    def missed(self) -> list[str]:
        """Legal moves that never happened."""
        return [move for move, count in self.moves.items() if not count]


class Broken(AssertionError):
    """Something did not hold; the message replays it."""


def campaign(ground: Ground, *, steps: int, seed: int, store: str = "sqlite", door: str = "store") -> Result:
    """Do `steps` steps in lives of `STEPS_EACH`. Raises `Broken` with the shortest history found."""
    began, result = time.monotonic(), Result(seed, door, store)
    chance, seen = random.Random(seed), Counter[str]()
    with ExitStack() as stack:
        http = None
        if door == "http":
            http = HttpDoor(Control(ground.store, None))  # type: ignore[arg-type]  # each life serves its own
            stack.callback(http.close)

        def birth() -> Machine:
            return Machine(ground, seen, http)

        while result.steps < steps:
            result.steps += _life(birth, chance, min(STEPS_EACH, steps - result.steps), result)
            result.lives += 1
    result.seconds = round(time.monotonic() - began, 1)
    names = [f"{source} {name}" for source, name, _ in MOVES]
    result.moves = {name: seen[name] for name in names}
    result.other = {name: count for name, count in sorted(seen.items()) if name not in names}
    return result


def _life(birth: Callable[[], Machine], chance: random.Random, steps: int, result: Result) -> int:
    first, trail = chance.getrandbits(32), []
    machine = birth()
    try:
        machine.begin(random.Random(first))
        led, goal = 0, None
        for _ in range(steps):
            if not led and chance.random() < GUIDE_CHANCE:
                led, goal = GUIDE_STEPS, least_made(machine, chance)
            if led and goal is not None:
                step = Step(GUIDED, 0, goal)
                made = machine.seen[f"{goal[0]} {goal[1]}"]
            else:
                step = Step(_choose(machine, chance), chance.getrandbits(32))
            trail.append(step)
            _take(machine, step)
            led -= bool(led)
            if led and goal is not None and machine.seen[f"{goal[0]} {goal[1]}"] > made:
                led = 0
        machine.end()
    except Exception as error:
        told = f"{type(error).__name__}: {error}"
        kept = _shortened(birth, first, trail)
        history = "\n  ".join(f"{step.name} {step.seed} {step.goal or ''}" for step in kept)
        raise Broken(
            f"{told}\nseed {result.seed}, door {result.door}, store {result.store}, life {result.lives} "
            f"(begun with {first}), after {len(trail)} steps; {len(kept)} of them are enough:\n  {history}"
        ) from error
    return steps


def _choose(machine: Machine, chance: random.Random) -> str:
    """A rule that is possible now."""
    names, weights = list(RULES), [rule.weight for rule in RULES.values()]
    while True:
        name = chance.choices(names, weights)[0]
        if RULES[name].needs(machine):
            return name


def _take(machine: Machine, step: Step) -> None:
    if step.goal is not None:
        lead(machine, step.goal)
    else:
        RULES[step.name].do(machine, random.Random(step.seed))
    machine.everything_holds()


def _fails(birth: Callable[[], Machine], first: int, trail: list[Step]) -> bool:
    machine = birth()
    try:
        machine.begin(random.Random(first))
        for step in trail:
            if step.goal is not None or RULES[step.name].needs(machine):
                _take(machine, step)
        machine.end()
    except Exception:  # noqa: BLE001  whatever it is, this is what is looked for
        return True
    return False


def _shortened(birth: Callable[[], Machine], first: int, trail: list[Step]) -> list[Step]:
    """Without the steps that are not needed for a failure, as far as time allows."""
    until, size = time.monotonic() + SHORTEN_S, max(1, len(trail) // 2)
    while size and time.monotonic() < until:
        at = 0
        while at < len(trail) and time.monotonic() < until:
            rest = trail[:at] + trail[at + size :]
            if _fails(birth, first, rest):
                trail = rest
            else:
                at += size
        size //= 2
    return trail


# --- its grounds ------------------------------------------------------------------------------------------------------


@contextmanager
def ground(store: str, server: PostgresServer | None = None) -> Iterator[Ground]:
    """A store of that kind in memory-backed storage; on PostgreSQL in a new database of `server`."""
    fast = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  thousands of commits
    with tempfile.TemporaryDirectory(prefix="tidegate-machine-", dir=fast) as folder:
        if store == "sqlite":
            made: Ground = SqliteGround(Path(folder), UNITS)
        else:
            assert server is not None
            server.create_database("machine")
            url = f"postgresql://postgres@{server.host}:{server.port}/machine"
            made = PostgresGround(Path(folder), url, UNITS)
        try:
            yield made
        finally:
            made.close()
            if server is not None:
                server.drop_database("machine")


def run(steps: int, seed: int, door: str, store: str) -> Result:
    """A campaign on a ground, and a server, of its own."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer()) if store == "postgresql" else None
        return campaign(stack.enter_context(ground(store, server)), steps=steps, seed=seed, store=store, door=door)


def main(words: list[str] | None = None) -> int:
    """Print the result of a campaign as JSON; 1 if something did not hold, 2 if not every move was made."""
    parser = argparse.ArgumentParser(description="Drive the lifecycle's state machine.")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--door", choices=DOORS)
    parser.add_argument("--store", choices=STORES)
    parser.add_argument("--results", type=Path, help="folder for lifecycle-<date>-<commit>.json; else standard output")
    given = parser.parse_args(words)
    shares = {way: given.steps * share // 100 for way, share in SHARES.items()}
    if given.door or given.store:
        shares = {(given.door or "store", given.store or "sqlite"): given.steps}
    parts: list[Result] = []
    began, at = datetime.now(UTC), commit()
    try:
        for (door, store), steps in shares.items():
            parts.append(run(steps, given.seed, door, store))
    except Broken as error:
        print(json.dumps({"seed": given.seed, "broken": str(error), "parts": [asdict(part) for part in parts]}))
        print(error, file=sys.stderr)
        return 1
    missed = sorted({f"{part.door} {part.store} {move}" for part in parts for move in part.missed()})
    steps = sum(part.steps for part in parts)
    said = {"commit": at, "began": began.isoformat(timespec="seconds"), "seed": given.seed, "steps": steps}
    said |= {"missed": missed, "parts": [asdict(part) for part in parts]}
    if given.results is not None:
        given.results.mkdir(parents=True, exist_ok=True)
        (given.results / f"lifecycle-{began:%Y%m%d}-{at}.json").write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps(said))
    return 2 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
