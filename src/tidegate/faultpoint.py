"""The named places between two steps that must survive each other's loss, so that tests can end a process right there.

In a process nobody armed, `crossing` looks at one variable and returns. What an armed process does is told by
`tidegate.testing.faults`, which this module finds by the environment: nothing else of the product knows about it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

VARIABLE = "TIDEGATE_FAULTS"
"""Names the folder that says what shall happen; handed on to workers."""

POINTS: dict[str, str] = {
    # The worker's run
    "run.registered": "The worker knows its run and has touched neither end.",
    "run.taken": "The target belongs to this epoch.",
    "run.begun": "The source keeps its log for the run; the target does not know it yet.",
    "run.planned": "Start position and chunks are stored at the target.",
    "run.resumed": "Position and chunks were read back from the target.",
    "run.opened": "The first snapshot is due, the log is being read.",
    # Full synchronization
    "chunk.locked": "The chunk's table cannot change its shape; no snapshot yet.",
    "chunk.marked": "The chunk's snapshot is taken; nothing was read.",
    "chunk.read": "The chunk's rows are in the worker.",
    "chunk.writing": "The chunk's rows go to the target next.",
    "chunk.written": "Rows, `done` and snapshot of the chunk are in the target.",
    # The hand-over
    "handoff.gated": "A transaction waits until snapshots see it.",
    "handoff.stalled": "A transaction waits for a chunk that does not contain it.",
    "handoff.patched": "A row was read by itself.",
    "handoff.settled": "A table came in step.",
    # Batches
    "batch.writing": "A batch is decided; the target knows nothing of it.",
    "batch.staged": "The rows are in the target's open transaction; the position is not.",
    "batch.positioned": "Rows and position are in the target's open transaction.",
    "batch.committed": "The target has committed; the worker is about to go on.",
    # Snapshots and the source
    "snapshot.due": "The target holds the position a snapshot shall name.",
    "snapshot.sending": "The snapshot goes to the server next.",
    "snapshot.answered": "The server says that the snapshot is stored.",
    "source.acknowledging": "The source is told next how far the target is.",
    "source.acknowledged": "The source was told.",
    # Pause
    "pause.drained": "The pause snapshot is stored; the server does not know that the worker is done.",
    # The lease
    "lease.renewing": "A heartbeat is sent next.",
    "lease.renewed": "The heartbeat was answered.",
    # The server
    "move.deciding": "A task's move is legal; nothing is written.",
    "move.recorded": "Move and key event are in the store's open transaction.",
    "store.committing": "A transaction of the store commits next.",
    "store.committed": "A transaction of the store has committed; nobody was told.",
    "worker.launching": "A new epoch is stored; its process does not exist yet.",
    "worker.launched": "The process exists; the store does not know which it is.",
    "leftover.removing": "What a run left at its ends is removed next.",
    "leftover.removed": "It is removed; the store does not know.",
}

_watch: Callable[[str], None] | None = None


def crossing(point: str) -> None:
    """Say that this point is passed now. Free unless armed."""
    if _watch is not None:
        _watch(point)


def arm(watch: Callable[[str], None] | None) -> None:
    """Call `watch` at every crossing from now on, on the thread that crosses."""
    global _watch
    _watch = watch


def arm_from_environment() -> None:
    """Called where a process begins."""
    folder = os.environ.get(VARIABLE)
    if folder:
        arm(import_module("tidegate.testing.faults").watch(folder))
