"""Matches table names with people's regular expressions, which may take no longer than expressions do: one that
repeats repetitions can take years over a name of forty letters, and would hold whoever tries it for as long."""

from __future__ import annotations

import time
from functools import lru_cache

import regex

PATIENCE_S = 2.0
MATCH_S = 20e-6
"""Granted for each pair of an entry and a name, several times what an ordinary expression needs."""


class TooSlow(Exception):
    """Names the expression that took the most time."""

    def __init__(self, entry: str) -> None:
        super().__init__(entry)
        self.entry = entry


@lru_cache(maxsize=1024)
def _compiled(entry: str) -> regex.Pattern[str]:
    return regex.compile(entry)


class Patience:
    """The processor time, in seconds, left for one search of names; `pairs` is how many matches it may come to. Other
    threads go on meanwhile."""

    def __init__(self, pairs: int = 1) -> None:
        self._left_s = PATIENCE_S + MATCH_S * pairs
        self._spent_s: dict[str, float] = {}

    def fits(self, entry: str, text: str) -> bool:
        """Whether the whole text matches. Raises `TooSlow` when the time is used up."""
        began_s = time.thread_time()
        try:
            # The time limit is one of processor time: a busy machine makes no expression slow.
            found = _compiled(entry).fullmatch(text, timeout=max(self._left_s, MATCH_S), concurrent=True)
        except TimeoutError:
            self._count(entry, time.thread_time() - began_s)
            raise TooSlow(max(self._spent_s, key=self._spent_s.__getitem__)) from None
        self._count(entry, time.thread_time() - began_s)
        return found is not None

    def _count(self, entry: str, took_s: float) -> None:
        self._left_s -= took_s
        self._spent_s[entry] = self._spent_s.get(entry, 0.0) + took_s
