"""What a target lacks, refuses or cannot hold."""

from __future__ import annotations

from tidegate.errors.root import Retry, TidegateError


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


class TargetSettingWrong(TargetError):
    code, title = "target.setting_wrong", "A setting of the target server forbids what Tidegate needs"
    advice = "Change the setting named at the target server, and test the data source again."


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


class TargetShared(TargetError):
    code, status, title = "target.shared", 409, "A target table is written by another task"
    advice = (
        "Each would remove rows of the other. Choose another table or schema in one of the two tasks' targets, or Stop "
        "the other task; where there is no such task any more, delete its run from tidegate.position at the target."
    )


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
    code, status, title = "target.position_mismatch", 409, "The target's stored position does not fit the task's"
    advice = "The target was restored or edited. Stop the task and Run it again to copy from scratch."


class Fenced(TargetError):
    code, status, title = "target.fenced", 409, "A newer worker has taken this run over"
    advice = "Nothing to do: the older worker ends itself and wrote nothing."
