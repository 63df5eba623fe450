"""`python -m tidegate.testing.crash`: one campaign, its result as one JSON object on standard output or in a file.

Exit code 0: nothing was lost, doubled or torn; 1: something was. The folder of a campaign that failed is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tidegate.testing.crash.campaign import ROUND_S, Campaign, commit, long_enough, random_seed, tell
from tidegate.testing.crash.fire import Tally
from tidegate.testing.crash.pairs import PAIRS, Pair, all_of

LONG_TIMES = 2
"""A long run ends after so many times the minutes asked for, whatever it has done."""


def _pairs(text: str) -> tuple[Pair, ...]:
    try:
        return all_of(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tidegate.testing.crash", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="what every random choice follows from")
    parser.add_argument("--round-seconds", type=float, default=ROUND_S)
    parser.add_argument(
        "--long", action="store_true", help="not only for so long, but until all that a long run is to do was done"
    )
    parser.add_argument(
        "--pairs",
        type=_pairs,
        default=PAIRS,
        metavar="SOURCE:TARGET[:WRITE],…",
        help="what is attacked, such as mariadb:postgres,postgres:mariadb:append; else PostgreSQL into PostgreSQL and"
        " DuckDB",
    )
    parser.add_argument("--results", type=Path, help="folder for crash-<date>-<commit>.json; else standard output")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random_seed()
    folder = Path(tempfile.mkdtemp(prefix="tidegate-crash-"))
    pairs: tuple[Pair, ...] = given.pairs
    named = "" if pairs == PAIRS else " --pairs " + ",".join(":".join(pair) for pair in pairs)
    tell(f"python -m tidegate.testing.crash --minutes {given.minutes:g} --seed {seed}{named}{' --long' * given.long}")
    campaign = Campaign(folder, seed, pairs=pairs, round_s=given.round_seconds, steers=given.long, told=tell)
    began = time.monotonic()

    def enough(tally: Tally) -> bool:
        return time.monotonic() - began >= given.minutes * 60 and (not given.long or long_enough(tally, pairs))

    result = campaign.run(given.minutes * (LONG_TIMES if given.long else 1), enough)
    said = json.dumps(result.as_json(at := commit()), indent=1, ensure_ascii=False)
    if given.results is not None:
        given.results.mkdir(parents=True, exist_ok=True)
        ends = "" if pairs == PAIRS else "-" + "-".join(sorted({end for pair in pairs for end in pair[:2]}))
        (given.results / f"crash-{result.began:%Y%m%d}-{at}{ends}.json").write_text(said + "\n")
    else:
        sys.stdout.write(said + "\n")
    if result.right:
        shutil.rmtree(folder, ignore_errors=True)
        return 0
    tell(f"kept: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
