"""Passwords: kept as Argon2id hashes, compared at a price that nobody can have the server pay too often.

The hash is argon2-cffi's default, RFC 9106's second recommendation (64 MiB, 3 passes). Wrong passwords are counted by
name and address together, by address, and by name; beyond some free ones each doubles the wait before the next is
looked at. The long wait is that of a name from one address, so that nobody keeps somebody else out from elsewhere; by
the name alone only many tries count, as they come from many addresses, and the wait is short.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from tidegate.errors import Invalid, TooManyTries

LENGTH_MIN = 12
LENGTH_MAX = 200
FREE_TRIES = 5
WAIT_FIRST_S = 1.0
WAIT_MAX_S = 60.0
LIMITS = {"pair": (FREE_TRIES, WAIT_MAX_S), "address": (30, WAIT_MAX_S), "name": (100, 2.0)}
"""Free tries, and the longest wait in seconds, by what is counted."""
FORGET_S = 900.0
COUNTED_MAX = 10_000
AT_ONCE = 2
"""Hashes computed at the same time: each takes 64 MiB."""
TURN_S = 1.0

_hasher = PasswordHasher()
_turns = threading.BoundedSemaphore(AT_ONCE)


def checked_password(password: str, name: str) -> None:
    """Raises `Invalid`, never saying the password (I8)."""
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise Invalid(f"password: must have {LENGTH_MIN} to {LENGTH_MAX} characters")
    if password.casefold() == name.casefold() or len(set(password)) < 4:
        raise Invalid("password: must be neither the name nor a few characters again and again")


def hashed(password: str) -> str:
    """Raises `TooManyTries` when too many are computed at once."""
    with _Turn():
        return _hasher.hash(password)


def fits(password: str, stored: str | None) -> bool:
    """Whether it is the password. Where none is stored it takes as long, so that nobody learns which names there are.
    Raises `TooManyTries` when too many are compared at once."""
    with _Turn():
        try:
            return _hasher.verify(stored or _NOBODYS, password) and stored is not None
        except (VerifyMismatchError, InvalidHashError):
            return False


class _Turn:
    def __enter__(self) -> None:
        if not _turns.acquire(timeout=TURN_S):
            raise TooManyTries("other passwords are being compared; try again in some seconds")

    def __exit__(self, *_: object) -> None:
        _turns.release()


# Of a password that nobody knows: it is random and was not kept.
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$5SJBuwXCSseRnyK+2KjulQ$XomaaRuBpusgKeD1eF8wmAbYbO/FxL1Co3eK9HGNNWQ"


@dataclass(slots=True)
class _Count:
    tries: int
    at: float


class Tries:
    """Wrong passwords of late, by what they are counted by: `(kind of LIMITS, whose)`. Times are readings of one steady
    clock, in seconds."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, now: float, *of: tuple[str, str]) -> None:
        """A try, which counts as a wrong one until `right` or `undo`: those that are made at once are counted before
        any is looked at. Raises `TooManyTries` while one of these has to wait."""
        with self._lock:
            left_s = max((_left_s(one[0], self._counts.get(one), now) for one in of), default=0.0)
            if left_s > 0:
                raise TooManyTries(f"try again in {left_s:.0f} s", wait_s=round(left_s, 1))
            for one in of:
                held = self._counts.pop(one, None)
                fresh = held is None or now - held.at > FORGET_S
                self._counts[one] = _Count(1 if fresh or held is None else held.tries + 1, now)
            while len(self._counts) > COUNTED_MAX:
                self._counts.popitem(last=False)

    def undo(self, *of: tuple[str, str]) -> None:
        """The try was none."""
        with self._lock:
            for one in of:
                if (held := self._counts.get(one)) is not None:
                    held.tries -= 1

    def right(self, *of: tuple[str, str]) -> None:
        """It was right; the first of these starts again."""
        self.undo(*of[1:])
        with self._lock:
            self._counts.pop(of[0], None)


def _left_s(kind: str, held: _Count | None, now: float) -> float:
    free, wait_max_s = LIMITS[kind]
    if held is None or held.tries < free:
        return 0.0
    wait_s = min(wait_max_s, WAIT_FIRST_S * 2.0 ** min(held.tries - free, 20))
    return max(0.0, held.at + wait_s - now)
