"""Hundreds of deaths at every kind of moment, on real servers: no row is lost, doubled, stale or torn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tidegate.faultpoint import POINTS
from tidegate.testing.crash.campaign import Campaign, random_seed
from tidegate.testing.crash.fire import Tally

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


def missing(tally: Tally) -> dict[str, int]:
    """What has not happened often enough, and points at which nobody died."""
    short = {kind: tally.counts[kind] for kind, least in LEAST.items() if tally.counts[kind] < least}
    return short | {point: 0 for point in POINTS if not tally.points[point]}


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
