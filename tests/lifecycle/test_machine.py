"""The lifecycle under everything at once, through each door and on each kind of store; see `machine.py`.

TIDEGATE_MACHINE_STEPS sets how many steps there are in all, TIDEGATE_TEST_SEED what is done in them.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from lifecycle import campaign as machines
from lifecycle.campaign import SHARES, Broken, campaign, ground
from lifecycle.ground import Ground
from tidegate.store import moves
from tidegate.testing.servers import PostgresServer

SEED = int(os.environ.get("TIDEGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))
STEPS = int(os.environ.get("TIDEGATE_MACHINE_STEPS") or 20_000)
FEWEST = 1_000
"""Steps in which every move is made whatever the seed."""


@pytest.fixture
def sqlite() -> Iterator[Ground]:
    with ground("sqlite") as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("door", "store"), SHARES, ids=lambda word: word)
def test_whatever_happens_the_lifecycle_holds(door: str, store: str, request: pytest.FixtureRequest) -> None:
    server: PostgresServer | None = request.getfixturevalue("postgres") if store == "postgresql" else None
    steps = STEPS * SHARES[door, store] // 100
    with ground(store, server) as held:
        result = campaign(held, steps=steps, seed=SEED, store=store, door=door)
    print(f"TIDEGATE_TEST_SEED={SEED}: {result.steps} steps in {result.seconds} s; {result.other}")
    assert result.steps == steps
    if steps >= FEWEST:
        assert not result.missed(), f"these moves never happened: {result.missed()}"
        assert result.other["store failed before"] > 0
        assert result.other["store failed after"] > 0


def test_all_ways_together_are_as_many_steps_as_asked_for() -> None:
    assert sum(STEPS * share // 100 for share in SHARES.values()) == STEPS


def test_a_seed_is_a_history(sqlite: Ground) -> None:
    first, second = (campaign(sqlite, steps=250, seed=SEED) for _ in range(2))
    print(f"TIDEGATE_TEST_SEED={SEED}")
    assert (first.moves, first.other) == (second.moves, second.other)


def test_a_move_without_its_key_event_is_noticed_and_told_shortly(
    sqlite: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = moves.record

    def forgetful(tx: object, now_in: object, name: str, **more: object) -> None:
        if name != "drained":
            record(tx, now_in, name, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(moves, "record", forgetful)
    monkeypatch.setattr(machines, "SHORTEN_S", 20.0)
    with pytest.raises(Broken, match="without its key event") as told:
        campaign(sqlite, steps=1_000, seed=SEED)
    history = str(told.value).partition("are enough:")[2]
    assert len(history.strip().splitlines()) <= 15, history
