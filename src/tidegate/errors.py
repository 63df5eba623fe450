"""Every way Tidegate can refuse or fail, one class per cause.

A class fixes what is the same each time: a stable dotted `code`, the HTTP `status` it has at the API, whether
trying again can help (`retry`), a `title`, and the `advice` for the person who must act. An instance adds the
sentence that names the thing (`detail`) and machine-readable `facts`. Details and facts never hold a secret or
a cell value (I8); the underlying exception is kept as `__cause__`, never pasted into the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, ClassVar


class Retry(StrEnum):
    """Whether the same attempt may succeed later without a person."""

    NEVER = "never"
    LATER = "later"


class TidegateError(Exception):
    """The root of the tree. `detail` is one sentence naming what happened to which thing."""

    code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    retry: ClassVar[Retry] = Retry.NEVER
    title: ClassVar[str] = "Something went wrong inside Tidegate"
    advice: ClassVar[str] = "Look at the server log for this time and report it as a bug."

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


# --- requests -------------------------------------------------------------------------------------------------


class RequestError(TidegateError):
    status = 400


class Invalid(RequestError):
    code, status, title = "request.invalid", 422, "The request does not have the expected form"
    advice = "Correct the named field and send it again; nothing was changed."


class Unauthorized(RequestError):
    code, status, title = "request.unauthorized", 401, "No valid token was given"
    advice = "Send `Authorization: Bearer <token>`; the server prints where its token is when it first starts."


class MethodNotAllowed(RequestError):
    code, status, title = "request.method_not_allowed", 405, "The address does not take this method"
    advice = "Use one of the methods the Allow header names."


class BodyTooLarge(RequestError):
    code, status, title = "request.too_large", 413, "The request is too large"
    advice = "Send less at once; a task's definition has some kilobytes."


class BodyTooSlow(RequestError):
    code, status, title = "request.too_slow", 408, "The request did not arrive in its time"
    advice = "Send the whole request at once."


class NotJson(RequestError):
    code, status, title = "request.not_json", 415, "The request's content is not declared as JSON"
    advice = "Send JSON with `Content-Type: application/json`."


class NotFound(RequestError):
    code, status, title = "request.not_found", 404, "There is no such thing"
    advice = "List what exists and check the name."


class NameTaken(RequestError):
    code, status, title = "request.name_taken", 409, "The name is already in use"
    advice = "Choose another name, or change the existing one."


class InUse(RequestError):
    code, status, title = "request.in_use", 409, "Other things depend on it"
    advice = "Remove or change the things named first."


class StaleVersion(RequestError):
    code, status, title = "request.stale_version", 409, "Somebody else changed it in the meantime"
    advice = "Read the present state and decide again; nothing was changed."


class CommandRefused(RequestError):
    code, status, title = "lifecycle.refused", 409, "The command is not possible in this status"
    advice = "Use one of the commands offered; nothing was changed."


class NoUnits(RequestError):
    code, status, title = "lifecycle.no_units", 409, "The resource group has no units free"
    advice = "Pause or stop another task of the group, or give the group more units."


class NoSnapshot(RequestError):
    code, status, title = "lifecycle.no_snapshot", 409, "There is nothing to continue from"
    advice = "Use Run to start from scratch, or Stop."


class DeadlinePassed(TidegateError):
    code, status, title = "lifecycle.deadline", 504, "The step did not end in its time"
    advice = "Look at the run's log for what it waited for; Forced Pause needs no co-operation of the worker."


class NotComparable(TidegateError):
    code, status, title = "verify.impossible", 409, "The rows cannot be compared now"
    advice = "Do what the sentence asks for, if it does, and verify again; the task itself is not affected."


class ComparisonEnded(TidegateError):
    code, status, retry, title = "verify.unfinished", 503, Retry.LATER, "The comparison did not come to its end"
    advice = "Verify again; nothing is known about the tables that were not compared. The task itself is not affected."


# --- sources --------------------------------------------------------------------------------------------------


class SourceError(TidegateError):
    status = 422


class SourceUnreachable(SourceError):
    code, status, retry, title = "source.unreachable", 502, Retry.LATER, "The source does not answer"
    advice = "Check host, port, network and that the server runs; the task tries again by itself."


class SourceAuthFailed(SourceError):
    code, title = "source.auth_failed", "The source refuses the credentials"
    advice = "Correct user, password or database in the data source, and test it again."


class SourcePrivilegeMissing(SourceError):
    code, title = "source.privilege_missing", "The user lacks a privilege on the source"
    advice = "Grant the privilege named to the data source's user, and test it again."


class SourceVersionUnsupported(SourceError):
    code, title = "source.version_unsupported", "The source's version is not supported"
    advice = "Use a version listed in the connector's page."


class SourceStandby(SourceError):
    code, status, retry, title = "source.standby", 503, Retry.LATER, "The source is a standby"
    advice = "Connect to the primary; the task tries again by itself, for a standby may be about to be promoted."


class SourceLogDisabled(SourceError):
    code, title = "source.log_disabled", "The source does not write the log that following it needs"
    advice = "Set wal_level = logical on the server and restart it."


class SourceNoFreeSlot(SourceError):
    code, title = "source.no_free_slot", "The source has no replication slot or sender free"
    advice = "Raise max_replication_slots and max_wal_senders, or drop slots nobody uses."


class SourceTableUnknown(SourceError):
    code, title = "source.table_unknown", "A table of the task does not exist at the source"
    advice = "Correct the table's name in the task (schema.table), or create the table."


class SourcePatternEmpty(SourceError):
    code, title = "source.pattern_empty", "A table pattern matches no table of the source"
    advice = "Correct the pattern; it must match a whole name of the form schema.table."


class SourceTableUnlogged(SourceError):
    code, title = "source.table_unlogged", "The source does not log a table of the task"
    advice = "Run ALTER TABLE … SET LOGGED at the source, or leave the table out of the task."


class SourceNoKey(SourceError):
    code, title = "source.no_key", "A table has no key to upsert by"
    advice = "Add a primary key, set REPLICA IDENTITY USING INDEX, or use append."


class SourceIdentityMissing(SourceError):
    code, title = "source.identity_missing", "A table's updates and deletes cannot be followed"
    advice = "Add a primary key, or run ALTER TABLE … REPLICA IDENTITY FULL, then submit again."


class PositionLost(SourceError):
    code, status, title = "source.position_lost", 409, "The source no longer keeps the log this task needs"
    advice = (
        "The rows changed meanwhile cannot be read any more. Stop the task and Run it again to copy from scratch; "
        "keep more log at the source (max_slot_wal_keep_size) or pause for less time."
    )


class SourceTableRemade(PositionLost):
    code, title = "source.table_remade", "A table's changes do not come to the run any more"
    advice = (
        "Its changes since are not in the log for this run. Stop the task and Run it again to copy from scratch; or "
        "take the table out of the task, submit it and Continue: the other tables lose nothing."
    )


class SourceIdentityChanged(SourceError):
    code, status, title = (
        "source.identity_changed",
        409,
        "The source is not the server this task was started on",
    )
    advice = "Point the data source back to the original server, or Stop the task and Run it from scratch."


class SourceKeyDeferrable(SourceIdentityMissing):
    code, title = "source.key_deferrable", "A table's primary key is deferrable"
    advice = (
        "PostgreSQL cannot find rows in its log by such a key. Make the constraint NOT DEFERRABLE (drop it and add it "
        "again), or name another unique index by ALTER TABLE … REPLICA IDENTITY USING INDEX; append also takes REPLICA "
        "IDENTITY FULL."
    )


class SourceSchemaChange(SourceError):
    code, status, title = "source.schema_change", 409, "A table was changed in a way the target cannot follow"
    advice = "Make the same change at the target, then Continue; nothing after it was written and nothing is lost."


class SourcePartitionChanged(SourceError):
    code, status, title = "source.partition_changed", 409, "A partition was changed in a way the log does not tell"
    advice = (
        "Stop the task and Run it again to copy from scratch; or Continue, and what is at the target of the partitions "
        "named stays as it is, while the log goes on. Each such change ends the run once."
    )


class SourceLogBroken(SourceError):
    code, title = "source.log_broken", "The source's log could not be decoded"
    advice = "Stop the task and Run it again to copy from scratch; report the message if it comes back."


class SourceSlotBusy(SourceError):
    code, status, retry, title = (
        "source.slot_busy",
        409,
        Retry.LATER,
        "Another session holds the replication slot",
    )
    advice = "It is usually the session of a worker that just died and goes away by itself; else end that session."


# --- targets --------------------------------------------------------------------------------------------------


class TargetError(TidegateError):
    status = 422


class TargetUnreachable(TargetError):
    code, status, retry, title = "target.unreachable", 502, Retry.LATER, "The target does not answer"
    advice = "Check host, port, network and that the server runs; the task tries again by itself."


class TargetBusy(TargetError):
    code, status, retry, title = "target.busy", 503, Retry.LATER, "The target is held by somebody else"
    advice = "Close the other program that has the file open for writing; the task tries again by itself."


class TargetConflict(TargetError):
    code, status, retry, title = "target.conflict", 503, Retry.LATER, "The target rolled the batch back"
    advice = "Another session's locks or transactions got in the way; the task tries again by itself."


class TargetExhausted(TargetError):
    code, status, retry, title = "target.exhausted", 503, Retry.LATER, "The target has no room left"
    advice = "Free or add disk or memory at the target; nothing of the batch was written, and the task tries again."


class TargetAuthFailed(TargetError):
    code, title = "target.auth_failed", "The target refuses the credentials"
    advice = "Correct user, password or database in the data source, and test it again."


class TargetPrivilegeMissing(TargetError):
    code, title = "target.privilege_missing", "The user lacks a privilege on the target"
    advice = "Grant the privilege named to the data source's user, and test it again."


class TargetVersionUnsupported(TargetError):
    code, title = "target.version_unsupported", "The target's version is not supported"
    advice = "Use a version listed in the connector's page."


class TargetTableMissing(TargetError):
    code, title = "target.table_missing", "A target table does not exist"
    advice = "Create it, or set create_tables: true in the task's target."


class TargetTableGone(TargetError):
    code, status, title = "target.table_gone", 409, "A target table was dropped, with the rows the run wrote"
    advice = "Stop the task and Run it again to copy from scratch; an empty table in its place would not be the same."


class TargetMisfit(TargetError):
    code, title = "target.misfit", "A target table cannot hold the source's rows"
    advice = "Change the target columns named, or let Tidegate create the table under another name."


class TargetUnfit(TargetMisfit):
    code, title = "target.unfit", "The target could not hold such a table at all"
    advice = (
        "Rename the column or table named at the source, choose other names in the task's target, or leave the table "
        "out of the task."
    )


class TargetNotEmpty(TargetError):
    code, title = "target.not_empty", "A target table already holds rows this task did not write"
    advice = "Empty it, map to another table, or set existing_rows: replace in the task's target."


class TargetNameClash(TargetError):
    code, title = "target.name_clash", "Two source tables are mapped to one target table"
    advice = "Use {schema} and {table} in the naming patterns so that each source table gets its own name."


class TargetLoop(TargetError):
    code, title = "target.loop", "The task would write into its own source"
    advice = "Choose another target data source or other target names."


class TargetValueRefused(TargetError):
    code, status, title = "target.value_refused", 409, "The target refuses a value"
    advice = "Widen the column named at the target, then Continue; nothing after it was written."


class TargetRowMissing(TargetError):
    code, status, title = "target.row_missing", 409, "Rows at the target were removed by somebody else"
    advice = "Stop the task and Run it again; let nobody else write to its target tables."


class TargetEpochAhead(TargetError):
    code, status, title = "target.epoch_ahead", 409, "The target knows a later worker of this run than the server does"
    advice = (
        "If the server's store was restored from a backup, Continue: the run goes on where the target stands, and "
        "nothing is there twice. If another server runs this task too, end that one first."
    )


class TargetPositionMismatch(TargetError):
    code, status, title = (
        "target.position_mismatch",
        409,
        "The target's stored position does not fit the task's",
    )
    advice = "The target was restored or edited. Stop the task and Run it again to copy from scratch."


class Fenced(TargetError):
    code, status, title = "target.fenced", 409, "A newer worker has taken this run over"
    advice = "Nothing to do: the older worker ends itself and wrote nothing."


# --- tasks and configuration ----------------------------------------------------------------------------------


class TaskInvalid(TidegateError):
    code, status, title = "task.invalid", 422, "The task's definition is not valid"
    advice = "Correct the field named; nothing was changed."


class ReferenceUnknown(TidegateError):
    code, status, title = "task.reference_unknown", 422, "The task names something that does not exist"
    advice = "Correct the name in the task, or create the thing named; nothing was changed."


class ConfigInvalid(TidegateError):
    code, status, title = "data_source.invalid", 422, "The data source's settings are not valid"
    advice = "Correct the field named; nothing was changed."


class SecretNeeded(TidegateError):
    code, status, title = "data_source.secret_needed", 422, "A stored secret is not sent to a changed address"
    advice = "Give the password again together with the change; nothing was changed."


class ConnectorUnknown(TidegateError):
    code, status, title = "connector.unknown", 422, "There is no connector of that name"
    advice = "Use one of the connectors listed."


class ObjectMissing(TidegateError):
    code, status, title = (
        "detection.object_missing",
        409,
        "Something the task is configured with no longer exists",
    )
    advice = "Bring the thing named back, or Stop the task and change its definition."


# --- the machinery --------------------------------------------------------------------------------------------


class WorkerDiskFull(TidegateError):
    code, status, retry, title = "worker.disk_full", 503, Retry.LATER, "The worker's disk has no room for what is read"
    advice = (
        "Free space where the worker keeps temporary files (TMPDIR); the task tries again by itself. A large"
        " transaction needs as much as its rows are long; with stream_transactions: false the source keeps it instead."
    )


class WorkerLost(TidegateError):
    code, status, retry, title = "worker.lost", 500, Retry.LATER, "The worker process ended without a word"
    advice = "See the run's log; a new worker takes over by itself until restarts.max is reached."


class RestartsSpent(TidegateError):
    code, status, title = (
        "worker.restarts_spent",
        409,
        "The run was restarted more often than the task allows",
    )
    advice = "Mend the cause named by the last error, then Continue."


class PositionWentBack(TidegateError):
    code, status, title = "worker.position_went_back", 409, "A snapshot is older than one that is stored"
    advice = "Nothing to do: the newer snapshot is kept."


class StoreUnavailable(TidegateError):
    code, status, retry, title = "store.unavailable", 503, Retry.LATER, "The metadata store does not answer"
    advice = "Check the store's disk or server; running tasks go on meanwhile."


class StoreFull(StoreUnavailable):
    code, title = "store.full", "The metadata store has no room left"
    advice = "Free disk space where the store is; running tasks go on meanwhile, and the server by itself after that."


class SecretKeyWrong(TidegateError):
    code, status, title = "store.key_wrong", 500, "The key does not open the stored secrets"
    advice = "Start the server with the key it was first started with (TIDEGATE_SECRET_KEY or its key file)."


class ServerUnreachable(TidegateError):
    code, status, retry, title = "server.unreachable", 502, Retry.LATER, "The Tidegate server does not answer"
    advice = "Start it with `tidegate server`, or name its address with --url or TIDEGATE_URL."


class EnvironmentLacking(TidegateError):
    code, status, title = "environment.lacking", 500, "This machine lacks something the command needs"
    advice = "Provide what is named and run the command again."


class SettingInvalid(TidegateError):
    code, status, title = "environment.setting_invalid", 500, "A setting of this machine is not valid"
    advice = "Correct the environment variable or flag named; `tidegate server --help` lists them all."


class PortTaken(TidegateError):
    code, status, title = "environment.port_taken", 500, "The server cannot listen on its address"
    advice = "Stop the program that has the port, or choose another with --port or TIDEGATE_PORT."


class AlreadyRunning(TidegateError):
    code, status, title = "environment.already_running", 500, "Another server holds the data directory"
    advice = "Use the server that runs, end it first, or give this one another --data-dir."


def every_error() -> Iterator[type[TidegateError]]:
    """All classes with a code of their own, in the order of this file."""

    def walk(cls: type[TidegateError]) -> Iterator[type[TidegateError]]:
        if "code" in vars(cls):
            yield cls
        for sub in cls.__subclasses__():
            yield from walk(sub)

    return walk(TidegateError)


def by_code(code: str) -> type[TidegateError]:
    """The class that has this code; the root for a code that is not known (a newer worker's)."""
    return next((cls for cls in every_error() if cls.code == code), TidegateError)
