"""What a command does to a task as it is: what is kept, what is given up, what is read again. Pure; lists of offers and
previews say it in the same words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tidegate.errors import Retry, TidegateError
from tidegate.model.lifecycle import STATES, Held, State, offers
from tidegate.model.problem import problem
from tidegate.server.views import ContinueCost, OfferView, PreviewView, SnapshotView
from tidegate.store.moves import Situation
from tidegate.store.rows import SnapshotRow

KEEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "submit": ("the versions submitted before",),
    "run": ("earlier runs' figures and events",),
    "pause": (
        "the run's position and state, in a snapshot that is written now",
        "the source's log from there on, for as long as the source can",
    ),
    "force-pause": (
        "everything that the target has, and the position that it was written with",
        "the snapshots there are",
        "the source's log from the last of them on, for as long as the source can",
    ),
    "continue": ("the run, its rows, figures and snapshots",),
    "stop": ("the rows in the target", "the run's figures and events"),
    "remove": ("the rows in the target", "the task's key events"),
}
DISCARDS: Final[Mapping[str, tuple[str, ...]]] = {
    "force-pause": ("what the worker has read and the target has not",),
    "stop": ("the run's position and state, and its snapshots", "the log that the source keeps for it"),
    "remove": ("the definition with all its versions", "what its runs left at source and target"),
}
# By what the target promises: whether rows come that it has already.
REPEATS: Final[Mapping[str, str]] = {
    "exactly_once": "none",
    "effectively_once": "unseen",
    "at_least_once": "possible",
}
_REPEATS_SAY: Final[Mapping[str, str]] = {
    "none": "the target gets nothing that it has",
    "unseen": "the target gets some rows again, which replace themselves",
    "possible": "the target may get again what came to it since that snapshot",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out by asking source and target."""

    reading: ContinueCost | None = None
    """What Continue would read, from where the target stands now."""
    safe_bytes: int | None = None
    source_end: str | None = None
    rows_to_copy: int | None = None
    error: TidegateError | None = None
    """Why something of it is not known."""


def offer_views(now_in: Situation, snapshot: SnapshotRow | None, now: float) -> list[OfferView]:
    """Every command, with what it would cost as far as that is known without asking source and target."""
    return [
        OfferView(
            offer.command,
            offer.allowed,
            offer.reason,
            offer.says,
            cost(offer.command, snapshot, now) if offer.allowed else "",
        )
        for offer in offers(now_in.task.state, now_in.held)
    ]


def cost(command: str, snapshot: SnapshotRow | None, now: float, found: Found | None = None) -> str:
    """In one sentence what the command would repeat or give up; empty: nothing that is known."""
    known = found or Found()
    if known.error is not None and known.error.retry is Retry.NEVER and command in ("pause", "force-pause"):
        return f"Continue would be refused as things are: {known.error.detail}"
    age = f"the snapshot of {_age_s(snapshot, now):.0f} s ago" if snapshot else ""
    match command:
        case "pause":
            return "nothing is read again: Continue goes by the snapshot that is written now"
        case "force-pause":
            since = f"Continue goes by {age}" if snapshot else "Continue goes by what the target holds"
            return f"no snapshot is written; {since}{_reading(known.reading)}"
        case "continue":
            return f"goes by {age or 'what the target holds'}{_reading(known.reading)}"
        case "run":
            return "" if known.rows_to_copy is None else f"about {known.rows_to_copy} rows are copied"
        case "stop":
            again = "every row" if known.rows_to_copy is None else f"about {known.rows_to_copy} rows"
            return f"position and state are discarded: the next Run copies {again} again"
        case _:
            return ""


def _reading(reading: ContinueCost | None) -> str:
    if reading is None:
        return " and reads what the target has not"
    pieces = f" and {reading.chunks_left} of {reading.chunks_total} pieces" if reading.chunks_left else ""
    repeats = _REPEATS_SAY[REPEATS[reading.delivery]]
    return f" and reads {reading.reread_bytes} bytes of log{pieces} that the target has not; {repeats}"


def _age_s(snapshot: SnapshotRow, now: float) -> float:
    return max(0.0, now - snapshot.at)


def preview(
    now_in: Situation,
    command: str,
    snapshot: SnapshotRow | None,
    shown: SnapshotView | None,
    now: float,
    *,
    refusal: TidegateError | None = None,
    found: Found | None = None,
    log_left_s: float | None = None,
) -> PreviewView:
    """`shown` is the snapshot as it is answered; `refusal` what the command would be refused with; `log_left_s`
    how long the source would keep the log if the run rested."""
    known = found or Found()
    allowed, goes_by = refusal is None, command in ("continue", "force-pause")
    offered = next(offer for offer in offers(now_in.task.state, now_in.held) if offer.command == command)
    discards = DISCARDS.get(command, ())
    if command == "run" and now_in.task.state is State.FAILURE and now_in.held is not Held.NOTHING:
        discards = ("what the failed run stored at source and target",)
    return PreviewView(
        task=now_in.task.name,
        version=now_in.task.version,
        state=now_in.task.state.value,
        status=STATES[now_in.task.state].status,
        command=command,
        allowed=allowed,
        reason="" if refusal is None else offered.reason or refusal.detail,
        problem=None if refusal is None else problem(refusal),
        note=offered.says,
        cost=cost(command, snapshot, now, known) if allowed else "",
        keeps=list(KEEPS.get(command, ())) if allowed else [],
        discards=list(discards) if allowed else [],
        snapshot=shown if goes_by else None,
        snapshot_age_s=_age_s(snapshot, now) if snapshot and goes_by else None,
        log_left_s=log_left_s if command in ("pause", "force-pause", "continue") else None,
        **_figures(known),
    )


def _figures(found: Found) -> dict[str, Any]:
    reading = found.reading
    return {
        "reads_from": reading.reads_from if reading else None,
        "source_end": reading.source_end if reading else found.source_end,
        "reread_bytes": reading.reread_bytes if reading else None,
        "chunks_left": reading.chunks_left if reading else None,
        "chunks_total": reading.chunks_total if reading else None,
        "rows_to_copy": found.rows_to_copy,
        "delivery": reading.delivery if reading else None,
        "repeats": REPEATS[reading.delivery] if reading else None,
        "safe_bytes": reading.safe_bytes if reading else found.safe_bytes,
        "source_error": problem(found.error) if found.error else None,
    }
