"""Workers that come back after another one has taken over; see `zombies.py`."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.zombies import TAKEOVERS, takeovers
from tidegate.testing.servers import PostgresServer

SEED = int(os.environ.get("TIDEGATE_TEST_SEED") or random.SystemRandom().randrange(2**32))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_comes_back_from_the_dead_changes_nothing(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    print(f"TIDEGATE_TEST_SEED={SEED}")
    came = takeovers(tmp_path / "site", postgres, database, count=TAKEOVERS, seed=SEED)
    print(came)
    assert came["zombies"] == TAKEOVERS
    assert came["old_writes"] == 0
    assert (came["lost"], came["doubled"]) == (0, 0)
    assert came["slots"] == 3
    assert came["writers"] >= 4, "too few epochs wrote for this to mean anything"
