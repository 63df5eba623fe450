"""Tables that are created later and match the task's patterns, or that a newer version of the task adds, join while the
rest streams.

A thread looks for them and makes the source follow them; the pipeline's thread then plans their chunks. Until it has,
their changes are dropped: the chunks' snapshots, taken behind the fence, will contain them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from tidegate.connect.source import Source
from tidegate.engine.plan import TablePlan
from tidegate.errors import Retry, TidegateError
from tidegate.model.schema import TableName, TableSchema
from tidegate.model.task import matches, target_names

LOOK_EVERY_S = 5.0


class Joiner:
    """Looks once, and again and again if the task's tables are patterns."""

    def __init__(self, plan: TablePlan, source: Source) -> None:
        self._plan = plan
        self._source = source.another()  # it works on a thread of its own
        self._known: set[TableName] = set()
        self._found: queue.SimpleQueue[TableSchema | TidegateError] = queue.SimpleQueue()
        self._told: set[str] = set()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, known: set[TableName]) -> None:
        """Begin to look; `known` are the tables the run has."""
        self._known = set(known)
        if self._plan.grows or len(self._known) < len(self._plan.spec.source.tables):
            self._thread = threading.Thread(target=self._look, name="table-joiner", daemon=True)
            self._thread.start()

    @property
    def waiting(self) -> bool:
        """Whether `joined` has something to give."""
        return not self._found.empty()

    def joined(self) -> Iterator[TableSchema | TidegateError]:
        """What was found since and is followed by now; a table that cannot join comes as the reason, once."""
        while not self._found.empty():
            yield self._found.get_nowait()

    def close(self) -> None:
        self._closed.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._source.close()

    def _look(self) -> None:
        while True:
            try:
                self._look_once()
            except TidegateError as error:
                if error.retry is Retry.NEVER:
                    self._tell(error)
            else:
                if not self._plan.grows:
                    return
            if self._closed.wait(LOOK_EVERY_S):
                return

    def _look_once(self) -> None:
        spec = self._plan.spec
        names = matches(spec, self._source.tables())
        new = [name for name in names if name not in self._known]
        if not new:
            return
        target_names(spec.target, spec.source.data_source, self._plan.database, names)
        for name in new:
            schema, refused = self._plan.look(self._source, name)
            if refused:
                self._tell(refused[0])
                continue
            self._source.add_tables(self._plan.run, [name])
            self._known.add(name)
            self._found.put(schema)

    def _tell(self, reason: TidegateError) -> None:
        """It is looked at again and again, for it may be mended; said once."""
        if reason.detail not in self._told:
            self._told.add(reason.detail)
            self._found.put(reason)
