"""What a source lacks, refuses or no longer has."""

from __future__ import annotations

from tidegate.errors.root import Retry, TidegateError


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
    advice = "Use a version listed in the connector's page, with a data source of the server's own kind."


class SourceStandby(SourceError):
    code, status, retry, title = "source.standby", 503, Retry.LATER, "The source is a standby"
    advice = "Connect to the primary; the task tries again by itself, for a standby may be about to be promoted."


class SourceLogDisabled(SourceError):
    code, title = "source.log_disabled", "The source does not write the log that following it needs"
    advice = (
        "Set wal_level = logical (PostgreSQL), or log_bin and on a replica log_slave_updates (MariaDB, MySQL), and "
        "restart the server."
    )


class SourceLogFormat(SourceError):
    code, title = "source.log_format", "The source's log does not hold whole rows"
    advice = (
        "At a MariaDB or MySQL source set binlog_format = ROW, binlog_row_image = FULL and binlog_row_metadata = FULL "
        "(or MINIMAL), for every session. What was logged otherwise since a task began is lost to it: Stop it and Run "
        "it again."
    )


class SourceEngineUnsupported(SourceError):
    code, title = "source.engine_unsupported", "A table's storage engine has no consistent snapshots"
    advice = "Run ALTER TABLE … ENGINE = InnoDB at the source, or leave the table out of the task."


class SourceCascade(SourceError):
    code, title = "source.cascade", "A table's rows are changed by foreign keys, which the source does not log"
    advice = (
        "Make the foreign key named RESTRICT and let the application or a trigger do what it did, or leave the table "
        "out of the task."
    )


class SourceColumnUnreadable(SourceError):
    code, title = "source.column_unreadable", "A column's values cannot be read exactly from the log"
    advice = "Change the column as the sentence says, or leave the table out of the task."


class SourceServerIdTaken(SourceError):
    code, status, retry, title = "source.server_id_taken", 409, Retry.LATER, "Another replica has the task's server id"
    advice = (
        "It is usually the session of a worker that just died. If it comes back, another replica of the source has the "
        "id named: give the data source other ids (server_ids_from)."
    )


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
    advice = (
        "Run ALTER TABLE … SET LOGGED (PostgreSQL), or have the server log the table's database (MariaDB, MySQL: "
        "binlog_do_db, binlog_ignore_db); or leave the table out of the task."
    )


class SourceNoKey(SourceError):
    code, title = "source.no_key", "A table has no key to upsert by"
    advice = "Add a primary key (PostgreSQL: or set REPLICA IDENTITY USING INDEX), or use append."


class SourceIdentityMissing(SourceError):
    code, title = "source.identity_missing", "A table's updates and deletes cannot be followed"
    advice = "Add a primary key, or run ALTER TABLE … REPLICA IDENTITY FULL, then submit again."


class PositionLost(SourceError):
    code, status, title = "source.position_lost", 409, "The source no longer keeps the log this task needs"
    advice = (
        "The rows changed meanwhile cannot be read any more. Stop the task and Run it again to copy from scratch; "
        "keep more log at the source (max_slot_wal_keep_size; MariaDB, MySQL: binlog_expire_logs_seconds) or pause for "
        "less time."
    )


class SourceStartUnsupported(SourceError):
    code, title = "source.start_unsupported", "The source cannot begin at a place of its past"
    advice = (
        "Leave the start out, so that the run begins at the log's end; or read full+incremental, which copies the rows "
        "that are there first."
    )


class SourceStartUnknown(SourceError):
    code, title = "source.start_unknown", "The source's log has no such place to begin at"
    advice = (
        "Give a position of this very server's log that lies between two transactions, as the sentence says, or a time "
        "that is not in the future."
    )


class SourceStartPurged(SourceError):
    code, status, title = "source.start_purged", 409, "The source no longer keeps the log that a run is to begin in"
    advice = (
        "Begin at a place or time that the source still has, which the sentence names; or read full+incremental, which "
        "copies the rows that are there first."
    )


class SourceTableRemade(PositionLost):
    code, title = "source.table_remade", "A table's changes do not come to the run any more"
    advice = (
        "Its changes since are not in the log for this run. Stop the task and Run it again to copy from scratch; or "
        "take the table out of the task, submit it and Continue: the other tables lose nothing."
    )


class SourceIdentityChanged(SourceError):
    code, status, title = "source.identity_changed", 409, "The source is not the server this task was started on"
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
    advice = (
        "Nothing after it was written and nothing is lost. Make the same change at the target, then Continue; but "
        "where it gave rows that were there other values, which the log does not tell, Stop the task and Run it again."
    )


class SourcePartitionChanged(SourceError):
    code, status, title = "source.partition_changed", 409, "A partition was changed in a way the log does not tell"
    advice = (
        "Stop the task and Run it again to copy from scratch; or Continue, and what is at the target of the partitions "
        "named stays as it is, while the log goes on. Each such change ends the run once."
    )


class SourceTableRewritten(SourceError):
    code, status, title = (
        "source.table_rewritten",
        409,
        "Rows of a table were given other values that the log does not tell",
    )
    advice = (
        "Stop the task and Run it again to copy from scratch. Or, where every value stayed what it was (a wider type, "
        "say), or you make the same change to the rows at the target, Continue: the log goes on. Each such change ends "
        "the run once."
    )


class SourceLogBroken(SourceError):
    code, title = "source.log_broken", "The source's log could not be decoded"
    advice = "Stop the task and Run it again to copy from scratch; report the message if it comes back."


class SourceSlotBusy(SourceError):
    code, status, retry, title = "source.slot_busy", 409, Retry.LATER, "Another session holds the replication slot"
    advice = "It is usually the session of a worker that just died and goes away by itself; else end that session."
