"""Runs that are kept going as a worker keeps them: what passes by itself is tried again, what does not ends the run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipeline.pairs import Pair
from pipeline.rig import DEADLINE_S, Rig, eventually
from tidegate.connect.source import Source
from tidegate.errors import Retry, TidegateError

PAUSE_S = 0.1


class Kept:
    """A run and who keeps it. `passing` are the errors it recovered from, `failure` is what ended it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.passing: list[TidegateError] = []
        self.failure: BaseException | None = None
        self.attempts = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def _keep(self) -> None:
        while not self._over.is_set():
            self.attempts += 1
            self.rig.start()
            thread = self.rig._thread
            assert thread is not None
            while thread.is_alive():
                if self._over.is_set():
                    self.rig.desk.abandon()
                thread.join(0.02)
            error = self.rig.error
            self.rig.close_ends()
            counted = self.rig.gauges.report()
            self.rig.totals.update({k: v for k, v in counted.items() if not k.startswith("lag")})
            if error is None:
                return
            if not isinstance(error, TidegateError) or error.retry is Retry.NEVER:
                self.failure = error
                return
            self.passing.append(error)
            self._over.wait(PAUSE_S)

    def start(self) -> Kept:
        self._thread.start()
        return self

    def reaches(self, holds: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it holds; an end of the run for good is raised, what passes by itself is not."""

        def done() -> bool:
            if self.failure is not None:
                raise self.failure
            return holds()

        eventually(done, f"{what}; on the way: {self.reasons()}", deadline_s)

    def copied(self) -> None:
        """The copy is written, and the run follows the log."""

        def done() -> bool:
            pipeline = getattr(self.rig, "pipeline", None)
            return pipeline is not None and str(pipeline.phase) == "incremental"

        self.reaches(done, "full copy done")

    def fails(self, deadline_s: float = DEADLINE_S) -> BaseException:
        """Wait for the end of the run; what it was."""
        eventually(lambda: self.failure is not None, f"the run fails; on the way: {self.reasons()}", deadline_s)
        self.stop()
        assert self.failure is not None
        return self.failure

    def reasons(self) -> list[str]:
        return sorted({f"{error.code}: {error.detail}" for error in self.passing})[-5:]

    def stop(self) -> None:
        self._over.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the keeper did not end"


@contextmanager
def kept(rig: Rig) -> Iterator[Kept]:
    """The run is kept going inside, and cut off at the end."""
    held = Kept(rig).start()
    try:
        yield held
    finally:
        held.stop()


def reader_of(pair: Pair) -> Source:
    """A source of its own, to ask things outside of a run."""
    return pair.source_class(pair.source_config)


def quietly(connection: object) -> None:
    """Close what may be broken."""
    with suppress(Exception):
        connection.close()  # type: ignore[attr-defined]
