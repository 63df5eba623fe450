"""What holds a task up: its source, its own decoding, its target, or nothing. Pure: a verdict with the figures behind
it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

BUSY_SHARE = 0.5
"""Of the time; who takes more of it than all others together holds the rest up."""
FULL_SHARE = 0.75
"""Of the queue; a reader that finds it so has to wait for the writer."""
DECODING_CORES = 0.8
BEHIND_BYTES = 1 << 20
"""Less log than this is on its way anyway."""


class Holds(StrEnum):
    SOURCE = "source"
    """The writer waits, and the source could not give more."""
    DECODE = "decode"
    """The worker's own processor time."""
    TARGET = "target"
    """Writing takes the time."""
    IDLE = "idle"
    """There is nothing to do."""
    UNKNOWN = "unknown"
    """Nothing was measured lately."""


BEHIND = ("writing_share", "waiting_share", "queue_share", "cpu_cores", "rows_read_per_s", "lag_s", "lag_bytes")
"""The figures a verdict goes by."""


@dataclass(frozen=True, slots=True)
class Verdict:
    holds: Holds
    because: str
    figures: Mapping[str, float]


def verdict(values: Mapping[str, float | None]) -> Verdict:
    """From a task's newest figures by name."""
    figures = {name: value for name in BEHIND if (value := values.get(name)) is not None}
    writing, waiting = figures.get("writing_share"), figures.get("waiting_share")
    if writing is None or waiting is None:
        return Verdict(Holds.UNKNOWN, "nothing was measured in the last seconds", figures)
    queue, cores = figures.get("queue_share", 0.0), figures.get("cpu_cores", 0.0)
    moving, behind = figures.get("rows_read_per_s", 0.0) > 0, figures.get("lag_bytes", 0.0) > BEHIND_BYTES
    if writing > BUSY_SHARE or (queue > FULL_SHARE and writing > waiting):
        full = f", and the queue in front of it is {queue:.0%} full" if queue > FULL_SHARE else ""
        return Verdict(Holds.TARGET, f"writing to the target takes {writing:.0%} of the time{full}", figures)
    if not moving and not behind and not figures.get("lag_s"):
        return Verdict(Holds.IDLE, "everything is in the target and nothing comes", figures)
    if cores >= DECODING_CORES:
        return Verdict(Holds.DECODE, f"the worker uses {cores:.1f} processors, writing {writing:.0%}", figures)
    if not behind and waiting > BUSY_SHARE:
        return Verdict(Holds.IDLE, f"{waiting:.0%} of the time there is nothing to do, and nothing is behind", figures)
    if waiting > BUSY_SHARE:
        return Verdict(Holds.SOURCE, f"{waiting:.0%} of the time the source has nothing to give yet", figures)
    return Verdict(
        Holds.DECODE, f"neither the source ({waiting:.0%}) nor the target ({writing:.0%}) takes the time", figures
    )
