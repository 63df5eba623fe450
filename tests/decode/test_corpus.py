"""Streams that showed a fault once, as they were kept and garbled again: both gatherers say the same of them."""

from __future__ import annotations

import random

import pytest

from decode.conftest import LACKING
from decode.fuzz import CORPUS, agreed, garbled, shown
from tidegate.decode.fault import Fault

KEPT = sorted(CORPUS.glob("*.bin"))
AGAIN = 10

pytestmark = pytest.mark.skipif(bool(LACKING), reason=LACKING)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_stream_comes_out_the_same_as_it_is_and_garbled_again(path: object) -> None:
    stream = path.read_bytes()  # type: ignore[attr-defined]
    agreed(stream)
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    r = random.Random(seed)
    for _ in range(AGAIN):
        agreed(garbled(stream, r))


def test_the_kept_streams_show_every_fault() -> None:
    found = [agreed(path.read_bytes()).error for path in KEPT]
    # Fewer changes than before need a reader that resumes.
    assert set(Fault) - {shown(error[1]) for error in found if error} == {Fault.FEWER}
