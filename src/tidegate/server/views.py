"""What `Control` answers: plain frozen records, without secrets or cell values (I8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Protocol, TypeAlias, TypeVar

from pydantic import PlainSerializer, WithJsonSchema


def rfc3339(at: float) -> str:
    """`2026-03-01T12:00:00.000Z`, from seconds since 1970-01-01 UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment: TypeAlias = Annotated[
    float,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T12:00:00.000Z"]}),
]
"""Seconds since 1970-01-01 UTC; as JSON an RFC 3339 text with milliseconds, in UTC."""

Json: TypeAlias = Mapping[str, Any]
Side: TypeAlias = tuple[str, dict[str, Any]]
"""A connector's kind and its settings with secrets in the clear: for the data plane and workers, never an answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; `total` counts all that match, `page` starts at 1."""

    items: list[T]
    total: int
    page: int
    page_size: int


# --- what tasks are made of ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProjectView:
    id: int
    name: str
    description: str
    created_at: Moment
    tasks: int
    allow_from: list[str] | None = None
    """Networks it may be reached from; None: all."""


@dataclass(frozen=True, slots=True)
class DataSourceView:
    """Secret settings show as `MASK` where one is stored and None where none is."""

    id: int
    project: str
    name: str
    kind: str
    description: str
    config: Json
    created_at: Moment
    changed_at: Moment
    version: int
    used_by: list[str]
    """Names of the tasks that read or write it."""


@dataclass(frozen=True, slots=True)
class GroupView:
    name: str
    engine: str
    units: int
    units_used: int
    """Of tasks that hold units now; more than `units` only after the group was shrunk."""
    description: str
    version: int
    used_by: list[str]
    """Names of the tasks that name it."""


# --- tasks ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfferView:
    """A command, and why not if it is not allowed. `note` says what it does, `cost` what it would repeat or lose."""

    command: str
    allowed: bool
    reason: str
    note: str
    cost: str = ""


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What a command would do to the task as it is now, found out by the very checks the command makes. It holds for
    `version` of the task: given with the command, the command is refused if anybody changed the task since. What could
    not be found out is None."""

    task: str
    state: str
    status: str
    version: int
    command: str
    allowed: bool
    reason: str
    """Why not."""
    problem: Json | None
    """What the command would be refused with."""
    note: str
    """What it does."""
    cost: str
    """What it would repeat or give up, in one sentence."""
    keeps: list[str]
    discards: list[str]
    snapshot: SnapshotView | None
    """The one that Continue goes by, now or after a forced pause. A pause writes a new one."""
    snapshot_age_s: float | None
    reads_from: str | None
    """The position that the target holds, where Continue reads on …"""
    source_end: str | None
    """… and where the source's log ended when it was asked."""
    reread_bytes: int | None
    """Log between the two: what a worker had read and not yet written, and what came since. How many changes that is
    nobody knows before it is read."""
    chunks_left: int | None
    """Pieces of the full copy that the target has not, which are read from their beginning …"""
    chunks_total: int | None
    """… of so many, of tables that are still being copied."""
    rows_to_copy: int | None
    """About how many rows the next run from scratch copies."""
    delivery: str | None
    repeats: str | None
    """Whether rows come to the target that it has already: `none`, `unseen` (they replace themselves) or `possible`."""
    safe_bytes: int | None
    """How much more log may be written at the source before the run's position is lost; None: no limit known."""
    log_left_s: float | None
    """How long the source would keep the log for a task that rests, at the pace it is written now."""
    source_error: Json | None
    """Why the source or target could not be asked; it does not forbid the command."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as lists show it. `version` grows with every change of it and is what compare-and-set takes; `submitted`
    is the number of its newest submitted definition (None: a draft). What follows `run` is of its present run, None
    without one; figures are at most about a second old."""

    id: int
    project: str
    name: str
    description: str
    owner: str
    kind: str
    state: str
    status: str
    state_since: Moment
    expires_in_s: float | None
    """How long the Operating step may still last."""
    intent: str
    version: int
    submitted: int | None
    changed: bool
    """Whether the definition was edited after it was last submitted."""
    created_at: Moment
    source: str
    source_kind: str | None
    target: str
    target_kind: str | None
    read: str
    write: str
    resource_group: str
    units: int
    commands: list[str]
    """The commands allowed now."""
    run: int | None = None
    run_started_at: Moment | None = None
    epoch: int | None = None
    phase: str | None = None
    health: str | None = None
    """`steady`; `recovering`: its worker was lost, or tries again; `stale`: it is said to work, and does not move or is
    not heard."""
    health_reason: str | None = None
    """Why it is stale."""
    restarts: int | None = None
    position: str | None = None
    lag_s: float | None = None
    lag_bytes: int | None = None
    counters: Json | None = None
    heard_at: Moment | None = None
    """When the worker last spoke."""
    log_left_s: float | None = None
    """How long the source will still keep the log that the run needs, at the pace it is written now; None: no end is in
    sight, or it is not known (yet). It counts on while the source cannot be asked."""
    log_retained_bytes: int | None = None
    """How much log the source keeps for the run."""
    log_safe_bytes: int | None = None
    """How much more may be written before some of it is dropped; None: no limit by size."""
    log_rate_bytes_s: float | None = None
    """How fast the source's log grows, whoever writes it."""
    log_seen_at: Moment | None = None
    """When the source was last asked about its log."""
    rows_read_per_s: float | None = None
    rows_written_per_s: float | None = None
    copied_percent: float | None = None
    """How much of the existing rows a run that copies has copied; None: it copies none, or nothing is known yet."""
    last_operation: OperationView | None = None
    """The newest command that was accepted; only where the tasks in ops are listed, and of one task."""
    error: Json | None = None
    """The problem that led to the present status or health; see `problem`."""


@dataclass(frozen=True, slots=True)
class OperationView:
    """A command as it was accepted."""

    command: str
    at: Moment
    actor: str


@dataclass(frozen=True, slots=True)
class OpsTotals:
    """Of all submitted tasks that match: how many there are in each shown status, how many of the Running ones are not
    well, and what they can be told apart by."""

    total: int
    statuses: Mapping[str, int]
    recovering: int
    owners: list[str]
    source_kinds: list[str]
    target_kinds: list[str]
    resource_groups: list[str]


@dataclass(frozen=True, slots=True)
class OpsTrends:
    """One figure of many tasks in the last minutes, in steps that end at `until`, the oldest first. A task without a
    run is not in `series`; None: it was not known then."""

    metric: str
    step_s: int
    until: Moment
    series: Mapping[str, list[float | None]]
    """By the task's id."""


@dataclass(frozen=True, slots=True)
class TaskDetail:
    task: TaskView
    definition: Json
    """The present definition, submitted or not."""
    offers: list[OfferView]
    editable: bool
    """Whether a changed definition may be submitted in this status."""
    run: RunView | None
    snapshot: SnapshotView | None
    """The newest of the present run: where Continue would start."""


@dataclass(frozen=True, slots=True)
class VersionView:
    number: int
    definition: Json
    submitted_at: Moment
    submitted_by: str
    note: str


@dataclass(frozen=True, slots=True)
class RunView:
    """One run. `key` names it at the source and target; `version` is the definition it was last opened with."""

    number: int
    key: str
    version: int
    epoch: int
    started_at: Moment
    ended_at: Moment | None
    phase: str
    health: str
    restarts: int
    start: Json
    """`{read, position}` as it was asked for."""
    position: str | None
    lag_s: float | None
    lag_bytes: int | None
    counters: Json
    error: Json | None
    cleanup: str
    """`kept` while the source holds its log for the run, `due`, `done`, or `left`: something could not be removed."""
    log_files: list[str]
    """Where the output of its workers may be, under the server's data directory, oldest first; at most the last 20."""


@dataclass(frozen=True, slots=True)
class SnapshotView:
    id: int
    run: int
    epoch: int
    kind: str
    at: Moment
    position: str
    state_bytes: int
    request: str | None


@dataclass(frozen=True, slots=True)
class VerificationView:
    """A comparison of source and target. `state` is `asked`, `opening`, `aligning`, `comparing`, `done` or `ended`
    (without an answer: see `problem`); `verdict` is `equal`, `different` or `undecided` once it is over. Both ends are
    compared as of `position`, which they had `at` that time; there is a finding for each table looked at so far."""

    id: str
    run: int
    state: str
    verdict: str | None
    asked_at: Moment
    ended_at: Moment | None
    position: str | None
    at: Moment | None
    tables_total: int
    rows: int
    """Read so far, at both ends together."""
    table: str | None
    findings: list[Json]
    problem: Json | None


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """A snapshot that was asked for; `snapshot` is there once it is stored."""

    id: str
    snapshot: SnapshotView | None


@dataclass(frozen=True, slots=True)
class PositionView:
    """Where a run stands. What follows `lag_bytes` is asked of the source and None where it was not asked or cannot
    tell."""

    run: int
    current: str | None
    current_at: Moment | None
    snapshot: str | None
    snapshot_at: Moment | None
    lag_s: float | None
    lag_bytes: int | None
    source_end: str | None = None
    """Where the source's log ends."""
    behind_bytes: int | None = None
    """Of a run at work: the log from `current` to there."""
    reread_bytes: int | None = None
    """Of a run that rests: what Continue would read again or still has to read."""
    safe_bytes: int | None = None
    """How much more log may be written at the source before the run's position is lost; None: no limit known."""
    retained_bytes: int | None = None
    """How much log the source keeps for the run, like the next when it was last looked at in the background."""
    rate_bytes_s: float | None = None
    """How fast its log grows."""
    left_s: float | None = None
    """How long it will still keep what the run needs, at that pace; None: no end is in sight, or it is not known."""
    source_error: Json | None = None
    """Why the source cannot serve the position any more, as a problem."""


@dataclass(frozen=True, slots=True)
class EventView:
    """A key event. A change of state has `state_from` and `state_to`. `level` is `info`, `warning` or `error`; what
    failed has its `cause`, and where the error table knows some, `advice`."""

    id: int
    at: Moment
    task: int
    run: int | None
    name: str
    level: str
    says: str
    """What an event of this name is, in a few words."""
    state_from: str | None
    state_to: str | None
    actor: str
    cause: str
    advice: str
    error: Json | None
    facts: Json


class ContinueCost(Protocol):
    """What `DataPlane.check_continue` finds."""

    @property
    def reads_from(self) -> str:
        """The position that the target holds: the log is read from there."""

    @property
    def reread_bytes(self) -> int:
        """Log between there and its end."""

    @property
    def chunks_left(self) -> int:
        """Pieces of the full copy that the target has not …"""

    @property
    def chunks_total(self) -> int:
        """… of so many, of tables that are still being copied."""

    @property
    def delivery(self) -> str:
        """What the target promises (see `Delivery`)."""

    @property
    def safe_bytes(self) -> int | None:
        """How much more may be written before the source drops log the run needs; None: no limit."""

    @property
    def source_end(self) -> str:
        """Where the log ends."""


class KeptLog(Protocol):
    """What `DataPlane.look_at_log` finds."""

    @property
    def source_end(self) -> str:
        """Where the log ends."""

    @property
    def behind_bytes(self) -> int | None:
        """Log between the position and its end; None: no position was given."""

    @property
    def safe_bytes(self) -> int | None:
        """How much more may be written before the source drops log the run needs; None: no limit."""


class Retention(Protocol):
    """What `DataPlane.retentions` finds of one run."""

    @property
    def retained_bytes(self) -> int:
        """Log kept for the run."""

    @property
    def safe_bytes(self) -> int | None:
        """How much more may be written before the source drops log the run needs; None: no limit by size."""

    @property
    def expires_in_s(self) -> float | None:
        """How long until it drops it for its age; None: no limit by age."""

    @property
    def lost(self) -> str:
        """Why it is gone already; empty: it is there."""


class Retentions(Protocol):
    """What `DataPlane.retentions` finds at one source."""

    @property
    def written_bytes(self) -> int:
        """All log ever written, counted from any beginning."""

    @property
    def runs(self) -> Mapping[str, Retention]:
        """By the runs' keys."""

    @property
    def free_bytes(self) -> int | None:
        """Room left where the log is; None: it is not shown."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A command was accepted: the task as it is now, and for Continue what it will read again."""

    task: TaskView
    reread_bytes: int | None = None
    safe_bytes: int | None = None


# --- workers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A worker whose token was found valid: it speaks for this run as this epoch."""

    task_id: int
    run_id: int
    run_key: str
    epoch: int


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    id: int
    position: str
    state: Json


@dataclass(frozen=True, slots=True)
class Assignment:
    """All a worker needs. Holds secrets in the clear: for the worker's own connection only."""

    run_key: str
    run_number: int
    epoch: int
    task_id: int
    task_name: str
    state: str
    """The task's when the worker registered: `running` for one that takes over."""
    version: int
    definition: Json
    source: Side
    target: Side
    folders: Sequence[str] | None
    """Where files of data sources may be; None: anywhere. But never in `data_dir` itself."""
    data_dir: str
    snapshot: WorkerSnapshot | None
    start: Json
    restarts: int
    counted: Json
    """What earlier workers of the run counted, as their heartbeats said."""
    tables: Mapping[str, list[Any]]
    """The same of each table."""
    heartbeat_s: float
    lease_s: float


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat reports."""

    phase: str
    health: str
    position: str | None
    counters: Json
    tables: Json
    lag_s: float | None = None
    lag_bytes: int | None = None
    error: Json | None = None
    read_to: str | None = None
    """How far the log was read, whether the target holds that or not."""


@dataclass(frozen=True, slots=True)
class Orders:
    """A heartbeat's answer: `run`, `pause` or `drain`, the id of a snapshot asked for by a person, a comparison asked
    for (`id` and its options), and which pause is meant: when it was asked for, as a Unix time in seconds. A pause that
    failed may be asked for again before the next heartbeat."""

    intent: str
    snapshot: str | None
    verify: Json | None = None
    pause: float | None = None
    tables: bool = False
    """Whether to tell of every table, for the server does not know them."""
