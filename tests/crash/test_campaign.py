"""Hundreds of deaths at every kind of moment, on real servers: no row is lost, doubled, stale or torn. The pairs with
MariaDB get their share of them; `TIDEGATE_LONG=1` gives them as many as the others."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tidegate.faultpoint import POINTS
from tidegate.testing.crash.campaign import Campaign, random_seed
from tidegate.testing.crash.fire import Tally
from tidegate.testing.crash.pairs import MARIADB_PAIRS
from tidegate.testing.mariadb import available

SEED = int(os.environ.get("TIDEGATE_TEST_SEED") or random_seed())
MINUTES_MAX = 12.0
# More of what is asked for most often; what is rare is slow.
WEIGHTS = {
    "kill": 8,
    "kill_at_point": 9,
    "kill_twice": 3,
    "kill_server": 0.4,
    "kill_server_at_point": 3,
    "pause": 11,
    "forced_pause": 11,
    "zombie": 1.2,
    "wire_cut": 3,
    "server_crash": 1.2,
    "copy_again": 3,
}
LEAST = {"kills": 300, "pauses": 100, "forced_pauses": 100, "wire_cuts": 100, "server_crashes": 10, "zombies": 10}
# A minute or two; the machinery is the same, and what is MariaDB's own is struck often enough by so few. A machine that
# has much else to do has shown something with less.
WANTED_ON_MARIADB = {"kills": 40, "pauses": 12, "forced_pauses": 12, "wire_cuts": 30, "server_crashes": 4, "zombies": 2}
LEAST_ON_MARIADB = {"kills": 10, "pauses": 3, "forced_pauses": 3, "wire_cuts": 8}
MINUTES_ON_MARIADB = 3.0
LONG = bool(os.environ.get("TIDEGATE_LONG"))


def short(tally: Tally, least: dict[str, int]) -> dict[str, int]:
    """What has not happened often enough."""
    return {kind: tally.counts[kind] for kind, count in least.items() if tally.counts[kind] < count}


def missing(tally: Tally) -> dict[str, int]:
    """The same, and points at which nobody died."""
    return short(tally, LEAST) | {point: 0 for point in POINTS if not tally.points[point]}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1500)
def test_what_dies_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    print(f"TIDEGATE_TEST_SEED={SEED}; the same: make crash MINUTES={MINUTES_MAX:g} SEED={SEED}")
    campaign = Campaign(tmp_path, SEED, weights=WEIGHTS, told=lambda line: print(line, file=sys.stderr))
    result = campaign.run(MINUTES_MAX, enough=lambda tally: not missing(tally))
    told = json.dumps(result.as_json("-"), indent=1)
    assert result.right, told
    assert not missing(result.tally), told  # a run that did too little proves nothing
    assert result.streamed, "no transaction was sent while it was open"
    assert result.looks > 100, "nobody read the target while it happened"


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1500)
@pytest.mark.skipif(not available(), reason="no MariaDB server programs on this machine")
def test_neither_from_mariadb_nor_into_it(tmp_path: Path) -> None:
    wanted, least = (LEAST, LEAST) if LONG else (WANTED_ON_MARIADB, LEAST_ON_MARIADB)
    minutes = MINUTES_MAX if LONG else MINUTES_ON_MARIADB
    pairs = ",".join(":".join(pair) for pair in MARIADB_PAIRS)
    print(f"TIDEGATE_TEST_SEED={SEED}; the same: make crash MINUTES={minutes:g} SEED={SEED} PAIRS={pairs}")
    weights = WEIGHTS if LONG else WEIGHTS | {"server_crash": 3, "zombie": 2}
    # Short rounds, so that some of what is struck is copying.
    campaign = Campaign(
        tmp_path, SEED, pairs=MARIADB_PAIRS, round_s=45, weights=weights, told=lambda line: print(line, file=sys.stderr)
    )
    result = campaign.run(minutes, enough=lambda tally: not short(tally, wanted))
    told = json.dumps(result.as_json("-"), indent=1)
    assert result.right, told
    assert not short(result.tally, least), told
    assert result.looks > 20, "nobody read the target while it happened"
