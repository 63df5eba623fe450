"""How often the same may be said: of each kind of line a hundred at once, then one a minute, and how many were left out
is told less and less often. So one that is said in a loop for a week leaves room for the others."""

from __future__ import annotations

import threading
from dataclasses import dataclass

Kind = tuple[str, object]
"""What is said, and of what."""

BURST = 100
REFILL_S = 60.0
KINDS_MAX = 20_000
LOOK_S = 60.0
OTHERS: Kind = ("others", None)
"""Stands for the kinds beyond `KINDS_MAX`, and for what is too much in all."""
TELL_FIRST_S, TELL_LAST_S = 2.0, 300.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float
    left_out: int = 0
    tell_at: float = 0.0
    pause_s: float = TELL_FIRST_S


class Flood:
    """Thread-safe. Times are readings of one steady clock, in seconds."""

    def __init__(self, *, burst: int = 1_000, per_s: float = 5.0) -> None:
        """Of all kinds together `burst` lines at once and then `per_s` are let through."""
        self._burst, self._per_s = burst, per_s
        self._all = _Bucket(burst, 0.0)
        self._kinds: dict[Kind, _Bucket] = {}
        self._looked_at = 0.0
        self._lock = threading.Lock()

    def admits(self, kind: Kind, now: float) -> bool:
        """Whether a line of this kind is said now."""
        with self._lock:
            kind = kind if kind in self._kinds or self._room(now) else OTHERS
            bucket = self._kinds.setdefault(kind, _Bucket(BURST, now))
            _refill(bucket, now, BURST, 1 / REFILL_S)
            _refill(self._all, now, self._burst, self._per_s)
            if bucket.tokens >= 1 and self._all.tokens >= 1:
                if bucket.tokens == BURST and not bucket.left_out:
                    bucket.pause_s = TELL_FIRST_S  # it was quiet for long
                bucket.tokens -= 1
                self._all.tokens -= 1
                return True
            if not bucket.left_out:
                bucket.tell_at = now + bucket.pause_s
            bucket.left_out += 1
            return False

    def due(self, now: float, *, everything: bool = False) -> list[tuple[Kind, int]]:
        """What is to be told now: kinds, and how many lines of each were left out since it was told last."""
        told: list[tuple[Kind, int]] = []
        with self._lock:
            for kind, bucket in self._kinds.items():
                if bucket.left_out and (everything or now >= bucket.tell_at):
                    told.append((kind, bucket.left_out))
                    bucket.left_out = 0
                    bucket.pause_s = min(bucket.pause_s * 2, TELL_LAST_S)
        return told

    def _room(self, now: float) -> bool:
        """Whether another kind can be told apart; kinds that were quiet for long are forgotten for it."""
        if len(self._kinds) < KINDS_MAX:
            return True
        if now - self._looked_at < LOOK_S:
            return False
        self._looked_at = now
        quiet_s = BURST * REFILL_S
        self._kinds = {kind: one for kind, one in self._kinds.items() if one.left_out or now - one.at < quiet_s}
        return len(self._kinds) < KINDS_MAX


def _refill(bucket: _Bucket, now: float, most: float, per_s: float) -> None:
    bucket.tokens = min(most, bucket.tokens + max(0.0, now - bucket.at) * per_s)
    bucket.at = now
