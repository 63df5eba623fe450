"""The lifecycle under everything at once; see `machine.py`."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from lifecycle.machine import LEGAL, Machine

SEED = int(os.environ.get("TIDEGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))
STEPS = int(os.environ.get("TIDEGATE_TEST_STEPS") or 20_000)
STEPS_EACH = 100
MISSED_MAX = 3

# What needs a rare coincidence; each has a test of its own in the other files.
RARE = {("continuing", "object_missing"), ("starting", "object_missing"), ("removing", "remove_failed")}


@pytest.fixture(autouse=True)
def uninstalled() -> Iterator[None]:
    yield
    Machine.uninstall()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_happens_the_lifecycle_holds() -> None:
    print(f"TIDEGATE_TEST_SEED={SEED}")
    Machine.seen.clear()
    machine = seed(SEED)(Machine)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(1, STEPS // STEPS_EACH),
            stateful_step_count=STEPS_EACH,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            # Making a failure smaller takes minutes: with TIDEGATE_TEST_SHRINK=1 and the seed that was printed.
            phases=[Phase.generate, *([Phase.shrink] if os.environ.get("TIDEGATE_TEST_SHRINK") else [])],
        ),
    )
    if STEPS >= 10_000:
        missed = {
            f"{source} {name}"
            for source, name, _ in LEGAL
            if (source, name) not in RARE and not Machine.seen[f"{source} {name}"]
        }
        # Each has a test of its own; a machine that misses many has not been everywhere.
        assert len(missed) <= MISSED_MAX, f"these moves never happened: {sorted(missed)}; what did: {Machine.seen}"
