"""What can be known of a task as numbers: one table, from which API, Prometheus text, dashboard, alert rules and
documentation derive.

Delays are measured between three moments of a change: the source committed it, it was read from the source's log, and
the target held it. Read delay is from the first to the second, transmission delay from the second to the third,
business delay from the first to the third. All of them are of changes that arrived: a source at rest has none, and no
delay then grows. What has not arrived is counted by the lag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a figure behaves."""

    COUNTER = "counter"
    """Only grows while a run lasts, and begins with 0 in the next."""
    GAUGE = "gauge"


class Unit(StrEnum):
    """What one of it is."""

    ROWS = "rows"
    BYTES = "bytes"
    SECONDS = "s"
    SHARE = "share"
    """From 0 to 1."""
    CORES = "cores"
    """Seconds of processor per second."""
    COUNT = "count"
    UNITS = "units"
    ROWS_PER_S = "rows/s"
    BYTES_PER_S = "bytes/s"


class Of(StrEnum):
    """What a figure is kept for: its labels."""

    TASK = "task"
    """One run of a task."""
    TABLE = "table"
    """One source table in a run."""
    GROUP = "group"
    """A resource group."""


LABELS: Mapping[Of, tuple[str, ...]] = {
    Of.TASK: ("project", "task", "run"),
    Of.TABLE: ("project", "task", "run", "table"),
    Of.GROUP: ("group",),
}


class Roll(StrEnum):
    """What many points in a row become when they are kept as one."""

    SUM = "sum"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    LAST = "last"


class From(StrEnum):
    """Who knows it."""

    WORKER = "worker"
    """Counted or measured by the worker, told with its heartbeat under the metric's name."""
    RATE = "rate"
    """Growth per second of the counter `rate_of`, between two points."""
    SERVER = "server"
    """Known to the server without asking the worker."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One line. `number` names it where history is stored, so it never changes and is not given again; 0: no history is
    kept. `alarm` is the indicator it answers for in alert rules, by its usual name."""

    name: str
    kind: Kind
    unit: Unit
    of: Of
    roll: Roll
    source: From
    help: str
    number: int = 0
    rate_of: str = ""
    alarm: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        return LABELS[self.of]

    @property
    def prometheus(self) -> str:
        """Its name for Prometheus, which spells units out and wants counters to end with `_total`."""
        name = f"tidegate_{self.of}_{self.name}"
        if name.endswith("_per_s"):
            name += "econd"
        elif name.endswith("_s"):
            name += "econds"
        return f"{name}_total" if self.kind is Kind.COUNTER else name


def _counted(name: str, unit: Unit, of: Of, help: str, *, number: int = 0, alarm: str = "") -> Metric:
    """What the worker counts."""
    return Metric(name, Kind.COUNTER, unit, of, Roll.LAST, From.WORKER, help, number, alarm=alarm)


def _measured(name: str, unit: Unit, of: Of, roll: Roll, help: str, *, number: int = 0, alarm: str = "") -> Metric:
    """What the worker measures."""
    return Metric(name, Kind.GAUGE, unit, of, roll, From.WORKER, help, number, alarm=alarm)


def _rate(name: str, unit: Unit, of: Of, rate_of: str, help: str, *, alarm: str = "") -> Metric:
    return Metric(name, Kind.GAUGE, unit, of, Roll.MEAN, From.RATE, help, rate_of=rate_of, alarm=alarm)


def _known(name: str, unit: Unit, of: Of, roll: Roll, help: str, *, number: int = 0, alarm: str = "") -> Metric:
    """What the server knows."""
    return Metric(name, Kind.GAUGE, unit, of, roll, From.SERVER, help, number, alarm=alarm)


TASK, TABLE, GROUP = Of.TASK, Of.TABLE, Of.GROUP

METRICS: tuple[Metric, ...] = (
    # --- read and written ---
    _counted(
        "rows_read",
        Unit.ROWS,
        TASK,
        "Rows read from the source: those of the full copy, and every change of its log that belongs to the task.",
        number=1,
    ),
    _counted(
        "bytes_read",
        Unit.BYTES,
        TASK,
        "What was read from the source: the messages of its log, and the rows of the full copy as they came.",
        number=2,
    ),
    _counted(
        "rows_written",
        Unit.ROWS,
        TASK,
        "Rows that are in the target: those of the full copy, and every change of the log that the target holds. Many "
        "changes of one row count as many, also where an upsert target needs only the last of them.",
        number=3,
    ),
    _counted(
        "bytes_written",
        Unit.BYTES,
        TASK,
        "What was handed to the target: the columns of its rows, many changes of one row put together where the target "
        "needs only the last of them.",
        number=4,
    ),
    _counted(
        "dirty_rows",
        Unit.ROWS,
        TASK,
        "Rows that the target did not take and the task went on without.",
        number=5,
        alarm="dirty data, records",
    ),
    _counted(
        "dirty_bytes",
        Unit.BYTES,
        TASK,
        "How large those rows were.",
        number=6,
        alarm="dirty data, bytes",
    ),
    _counted("rows_copied", Unit.ROWS, TASK, "Rows of the full copy that are in the target.", number=7),
    _counted("changes_written", Unit.ROWS, TASK, "Changes of the source's log that are in the target.", number=8),
    _counted("transactions", Unit.COUNT, TASK, "Transactions of the source whose end was read.", number=9),
    _counted("batches", Unit.COUNT, TASK, "Batches of changes that were written, each in one transaction.", number=10),
    _rate("rows_read_per_s", Unit.ROWS_PER_S, TASK, "rows_read", "Read speed.", alarm="read speed"),
    _rate("rows_written_per_s", Unit.ROWS_PER_S, TASK, "rows_written", "Write speed.", alarm="write speed"),
    _rate("bytes_read_per_s", Unit.BYTES_PER_S, TASK, "bytes_read", "Read throughput.", alarm="read throughput"),
    _rate(
        "bytes_written_per_s", Unit.BYTES_PER_S, TASK, "bytes_written", "Write throughput.", alarm="write throughput"
    ),
    # --- delays and lag ---
    _measured(
        "read_delay_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "From the commit at the source until the change was read from its log; the largest of the changes written "
        "since the last report. 0 when none was.",
        number=20,
    ),
    _measured(
        "transmission_delay_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "From reading a change in the source's log until the target held it; the largest of the changes written since "
        "the last report. 0 when none was.",
        number=21,
        alarm="transmission delay",
    ),
    _measured(
        "business_delay_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "From the commit at the source until the target held the change; the largest of the changes written since the "
        "last report. 0 when none was.",
        number=22,
        alarm="business delay",
    ),
    _measured(
        "lag_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "How long ago the oldest change was committed that has been read and is not in the target yet. 0 when all that "
        "was read is there: a source at rest has no lag. Missing while the worker recovers, for nobody knows then.",
        number=23,
        alarm="task delay",
    ),
    _measured(
        "lag_bytes",
        Unit.BYTES,
        TASK,
        Roll.MAX,
        "Log of the source behind the position that the target holds, also of tables that are not the task's.",
        number=24,
    ),
    _known(
        "log_left_s",
        Unit.SECONDS,
        TASK,
        Roll.MIN,
        "How long the source will still keep the log that the task needs, also while it rests. Missing where no end is "
        "in sight, and until the pace of the log is known.",
        number=25,
        alarm="log-retention time left",
    ),
    # --- where the time goes ---
    _counted(
        "waiting_s",
        Unit.SECONDS,
        TASK,
        "Time in which the source had nothing to give to who writes.",
        number=30,
    ),
    _counted("writing_s", Unit.SECONDS, TASK, "Time in which the target was being written to.", number=31),
    _counted("cpu_s", Unit.SECONDS, TASK, "Processor time of the workers.", number=32),
    _rate("waiting_share", Unit.SHARE, TASK, "waiting_s", "Share of the time spent waiting for the source."),
    _rate("writing_share", Unit.SHARE, TASK, "writing_s", "Share of the time spent writing to the target."),
    _rate("cpu_cores", Unit.CORES, TASK, "cpu_s", "Processors in use."),
    _measured("memory_bytes", Unit.BYTES, TASK, Roll.MAX, "Memory the worker has in use.", number=33),
    _measured(
        "queue_share",
        Unit.SHARE,
        TASK,
        Roll.MEAN,
        "How full the queue between reading and writing is. Near 1 the target is slower than the source.",
        number=34,
    ),
    _measured(
        "batch_rows",
        Unit.ROWS,
        TASK,
        Roll.MEAN,
        "Changes in a batch, of those written since the last report.",
        number=35,
    ),
    # --- snapshots, restarts, time ---
    _counted("snapshots", Unit.COUNT, TASK, "Snapshots that were stored.", number=40),
    _counted("snapshot_failures", Unit.COUNT, TASK, "Snapshots that could not be stored.", number=41),
    _measured(
        "snapshot_duration_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "How long it took to store the newest snapshot, from taking it until the source was told.",
        number=42,
    ),
    _known("snapshot_age_s", Unit.SECONDS, TASK, Roll.MAX, "How old the newest snapshot is.", number=43),
    Metric(
        "restarts",
        Kind.COUNTER,
        Unit.COUNT,
        TASK,
        Roll.LAST,
        From.SERVER,
        "How often the worker was replaced, or began anew by itself after an error.",
        44,
    ),
    _known(
        "restarts_10min",
        Unit.COUNT,
        TASK,
        Roll.MAX,
        "Restarts within the last 10 minutes.",
        number=45,
        alarm="restarts within 10 minutes",
    ),
    _known(
        "restarts_20min",
        Unit.COUNT,
        TASK,
        Roll.MAX,
        "Restarts within the last 20 minutes.",
        number=46,
        alarm="restarts within 20 minutes",
    ),
    _known("run_s", Unit.SECONDS, TASK, Roll.LAST, "How long ago the run began.", number=47),
    _known(
        "operating_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "How long the present operation lasts; 0 when none is under way.",
        number=48,
        alarm="run timeout",
    ),
    _known(
        "silent_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "How long ago the worker of a Running task last reported.",
        number=49,
    ),
    _known(
        "stuck_s",
        Unit.SECONDS,
        TASK,
        Roll.MAX,
        "How long nothing has moved in a Running task although there is something to do, or nobody knows whether there "
        "is, for an end does not answer: no row, and not the position.",
        number=50,
    ),
    _known("units", Unit.UNITS, TASK, Roll.LAST, "Units of its resource group that the task holds.", number=51),
    # --- tables of a task ---
    _known("tables", Unit.COUNT, TASK, Roll.LAST, "Tables in the run.", number=52),
    _known("tables_copied", Unit.COUNT, TASK, Roll.LAST, "Tables whose rows are all copied.", number=53),
    _known(
        "tables_abnormal",
        Unit.COUNT,
        TASK,
        Roll.MAX,
        "Tables that something is wrong with.",
        number=54,
        alarm="task exception",
    ),
    # --- per table; the newest figures only ---
    _counted("rows_read", Unit.ROWS, TABLE, "As of the task."),
    _counted("bytes_read", Unit.BYTES, TABLE, "The columns of the table's rows as they were read."),
    _counted("rows_written", Unit.ROWS, TABLE, "As of the task."),
    _counted("bytes_written", Unit.BYTES, TABLE, "As of the task."),
    _counted("dirty_rows", Unit.ROWS, TABLE, "As of the task."),
    _counted("dirty_bytes", Unit.BYTES, TABLE, "As of the task."),
    _rate("rows_read_per_s", Unit.ROWS_PER_S, TABLE, "rows_read", "Read speed."),
    _rate("rows_written_per_s", Unit.ROWS_PER_S, TABLE, "rows_written", "Write speed."),
    _measured(
        "business_delay_s",
        Unit.SECONDS,
        TABLE,
        Roll.MAX,
        "As of the task, of the newest batch that the table had changes in.",
    ),
    # --- resource groups ---
    _known("units", Unit.UNITS, GROUP, Roll.LAST, "Units of the resource group."),
    _known("units_used", Unit.UNITS, GROUP, Roll.MAX, "Units that tasks hold."),
    _known("units_free", Unit.UNITS, GROUP, Roll.LAST, "Units that are free; below 0 when the group was made smaller."),
)

BY_NAME: Mapping[Of, Mapping[str, Metric]] = {
    of: {metric.name: metric for metric in METRICS if metric.of is of} for of in Of
}
BY_NUMBER: Mapping[int, Metric] = {metric.number: metric for metric in METRICS if metric.number}
