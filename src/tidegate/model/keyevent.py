"""The names of key events: one table of how serious each is and what it says. Those of moves are the lifecycle's."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.model.lifecycle import MOVES


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    """Something did not go as meant, and the task goes on."""
    ERROR = "error"
    """The task does not go on by itself."""


@dataclass(frozen=True, slots=True)
class KeyEvent:
    name: str
    level: Level
    says: str


_SERIOUS: Final[Mapping[str, Level]] = {
    "open_failed": Level.ERROR,
    "gave_up": Level.ERROR,
    "object_missing": Level.ERROR,
    "pause_failed": Level.WARNING,
    "remove_failed": Level.WARNING,
}
_MOVES = {name: next(move.says for move in MOVES if move.name == name) for name in (move.name for move in MOVES)}
_INFO, _WARNING = Level.INFO, Level.WARNING

KEY_EVENTS: Final[tuple[KeyEvent, ...]] = (
    *(KeyEvent(name, _SERIOUS.get(name, _INFO), says) for name, says in _MOVES.items()),
    KeyEvent("created", _INFO, "the task was saved as a draft"),
    KeyEvent("edited", _INFO, "the definition was changed"),
    KeyEvent("owner_changed", _INFO, "the task was handed to another owner"),
    KeyEvent("submitted", _INFO, "the definition became a version"),
    KeyEvent("worker_started", _INFO, "a worker was started under a new epoch"),
    KeyEvent("worker_lost", _WARNING, "the worker ended or fell silent; another takes over"),
    KeyEvent("restarted", _WARNING, "the worker began anew by itself after an error"),
    KeyEvent("recovered", _INFO, "both ends are open again after a restart"),
    KeyEvent("phase", _INFO, "the run came to another phase"),
    KeyEvent("snapshot_asked", _INFO, "a snapshot was asked for"),
    KeyEvent("snapshot_stored", _INFO, "a snapshot that was not a periodic one was stored"),
    KeyEvent("snapshot_failed", _WARNING, "a snapshot could not be stored; the next one is tried"),
    KeyEvent("schema_change", _INFO, "a table got columns, and so did its target"),
    KeyEvent("table_joined", _INFO, "a table that matches came to be synchronized too"),
    KeyEvent("table_refused", _WARNING, "a table that matches cannot be synchronized and is left out"),
    KeyEvent("table_gone", _WARNING, "a table does not exist at the source any more"),
    KeyEvent("partition_attached", _WARNING, "a partition brought rows that it had before; they do not come"),
    KeyEvent("partition_left", _WARNING, "a partition was detached or dropped; its rows stay in the target"),
    KeyEvent("partition_emptied", _WARNING, "a partition was truncated by itself; its rows stay in the target"),
    KeyEvent("partition_rewritten", _WARNING, "a partition was rewritten; the log does not tell which rows it lost"),
    KeyEvent("columns_left_out", _INFO, "columns that no log has the values of are left out"),
    KeyEvent("tables_left_out", _INFO, "tables that no log has the rows of are left out"),
    KeyEvent("leftover", _WARNING, "something of an ended run could not be removed"),
    KeyEvent("leftover_removed", _INFO, "it could be removed later"),
    KeyEvent("verify_asked", _INFO, "a comparison was asked for"),
    KeyEvent("verified", _INFO, "a comparison came to its end"),
    KeyEvent("log_short", _WARNING, "the source will soon drop log that the task needs"),
    KeyEvent("log_enough", _INFO, "it keeps the log for long enough again"),
    KeyEvent("log_lost", Level.ERROR, "the source no longer has the log that the task needs"),
    KeyEvent("log_continue_failed", _WARNING, "a paused task that was to continue before its log is lost could not"),
    KeyEvent("alert_fired", _WARNING, "the condition of an alert rule began to hold"),
    KeyEvent("alert_resolved", _INFO, "it does not hold any more"),
)
BY_NAME: Final[Mapping[str, KeyEvent]] = {event.name: event for event in KEY_EVENTS}


def level_of(name: str) -> Level:
    """A name that is not known (a newer worker's) is no more than information."""
    return BY_NAME[name].level if name in BY_NAME else Level.INFO


def says_of(name: str) -> str:
    """Empty for a name that is not known."""
    return BY_NAME[name].says if name in BY_NAME else ""


def names_at(levels: Collection[Level]) -> tuple[list[str], bool]:
    """The names of these levels, and whether those that are not known belong to them."""
    return [event.name for event in KEY_EVENTS if event.level in levels], Level.INFO in levels
