"""The metadata store's tables. Times are seconds since 1970-01-01 UTC; `version` counts the changes of a row, for
compare-and-set. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")
Bytes = BigInteger

setting = Table(
    "setting",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("value", Text, nullable=False),
)

project = Table(
    "project",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("description", String(500), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("allow_from", JSON(none_as_null=True)),  # networks it may be reached from; none: all
    UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

data_source = Table(
    "data_source",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("kind", String(50), nullable=False),
    Column("description", String(500), nullable=False),
    Column("config", JSON, nullable=False),
    Column("secrets", LargeBinary, nullable=False),  # encrypted, see secrets.py (I8)
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

resource_group = Table(
    "resource_group",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("engine", String(50), nullable=False),
    Column("units", Integer, nullable=False),
    Column("description", String(500), nullable=False),
    Column("version", Integer, nullable=False),
    UniqueConstraint("name"),
    sqlite_autoincrement=True,
)

task = Table(
    "task",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", String(500), nullable=False),
    Column("owner", String(100), nullable=False),
    Column("state", String(30), nullable=False),
    Column("intent", String(30), nullable=False),  # the last command accepted; empty for a draft
    Column("version", Integer, nullable=False),
    Column("state_since", Double, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("definition", JSON, nullable=False),  # as last edited
    Column("changed", Boolean, nullable=False),  # edited since it was submitted
    Column("submitted", Integer),  # number of the newest task_version
    # Of the newest submitted definition (of a draft: of the draft), for lists.
    Column("kind", String(30), nullable=False),
    Column("source_name", String(100), nullable=False),
    Column("source_kind", String(50)),
    Column("target_name", String(100), nullable=False),
    Column("target_kind", String(50)),
    Column("read", String(30), nullable=False),
    Column("write", String(30), nullable=False),
    Column("group_name", String(100), nullable=False),
    Column("units", Integer, nullable=False),
    Column("run_id", Id),  # the newest run; held while that run has not ended
    Column("error", JSON(none_as_null=True)),  # why it is in this state
    Index("ix_task_state", "state"),
    sqlite_autoincrement=True,
)
# A removed task's name is free again.
Index(
    "uq_task_project_id_name",
    task.c.project_id,
    task.c.name,
    unique=True,
    sqlite_where=text("state <> 'removed'"),
    postgresql_where=text("state <> 'removed'"),
)

task_version = Table(
    "task_version",
    metadata,
    Column("task_id", Id, ForeignKey("task.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("definition", JSON, nullable=False),
    Column("submitted_at", Double, nullable=False),
    Column("submitted_by", String(100), nullable=False),
    Column("note", String(500), nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", Id, primary_key=True),
    Column("task_id", Id, ForeignKey("task.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", String(50), nullable=False),  # its name at the source and target
    # What it was last opened with.
    Column("version", Integer, nullable=False),
    Column("start", JSON, nullable=False),
    Column("group_name", String(100), nullable=False),
    Column("units", Integer, nullable=False),
    Column("restarts_max", Integer, nullable=False),
    Column("snapshots_keep", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    # Its worker. An epoch never goes back (I5); without a token hash no worker may speak for it.
    Column("epoch", Integer, nullable=False),
    Column("token_hash", String(64)),
    Column("worker_pid", Integer),
    Column("worker_started", String(100)),
    Column("worker_since", Double),
    Column("registered_at", Double),
    Column("opened_at", Double),
    Column("heard_at", Double),
    # Restarts: of the run's whole life, since it was last run or continued, and quick ones in a row.
    Column("restarts", Integer, nullable=False),
    Column("restarts_spent", Integer, nullable=False),
    Column("restarts_quick", Integer, nullable=False),
    Column("restart_at", Double),
    # What it last reported.
    Column("phase", String(30), nullable=False),
    Column("health", String(30), nullable=False),
    Column("position", Text),
    Column("lag_s", Double),
    Column("lag_bytes", Bytes),
    Column("counters", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("snapshot_request", String(50)),
    # kept, due, done, left: see Cleanup.
    Column("cleanup", String(10), nullable=False),
    Column("cleanup_tries", Integer, nullable=False),
    Column("cleanup_at", Double),
    UniqueConstraint("task_id", "number"),
    UniqueConstraint("key"),
    Index("ix_run_cleanup", "cleanup"),
    Index("ix_run_worker_pid", "worker_pid"),
    sqlite_autoincrement=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("id", Id, primary_key=True),
    Column("run_id", Id, ForeignKey("run.id"), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("at", Double, nullable=False),
    Column("position", Text, nullable=False),
    Column("sortable", Text),
    Column("state", Text, nullable=False),  # JSON, opaque here
    Column("state_bytes", Bytes, nullable=False),
    Column("request", String(50)),
    Index("ix_snapshot_run_id_id", "run_id", "id"),
    sqlite_autoincrement=True,
)

# No foreign keys: what happened stays readable.
key_event = Table(
    "key_event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", Double, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("run_number", Integer),
    Column("name", String(50), nullable=False),
    Column("state_from", String(30)),
    Column("state_to", String(30)),
    Column("task_version", Integer, nullable=False),  # the task row's version once it had happened
    Column("actor", String(100), nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("facts", JSON, nullable=False),
    Index("ix_key_event_task_id_id", "task_id", "id"),
    Index("ix_key_event_at", "at"),
    sqlite_autoincrement=True,
)

# What a run was like in the `step_s` seconds that end `at`. One row for all its figures: they are written together and
# read together, and there are many.
metric_point = Table(
    "metric_point",
    metadata,
    Column("run_id", Id, primary_key=True, autoincrement=False),
    Column("step_s", Integer, primary_key=True, autoincrement=False),
    Column("at", Integer, primary_key=True, autoincrement=False),
    Column("points", Integer, nullable=False),  # of the finest step, that it was made of
    Column("figures", Text, nullable=False),  # JSON: number of the metric -> value; one that is 0 is left out
    Index("ix_metric_point_step_s_at", "step_s", "at"),
    sqlite_with_rowid=False,
)

# The newest figures of each table of a run.
table_figure = Table(
    "table_figure",
    metadata,
    Column("run_id", Id, primary_key=True, autoincrement=False),
    Column("name", String(300), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("rows_read", Bytes, nullable=False),
    Column("bytes_read", Bytes, nullable=False),
    Column("rows_written", Bytes, nullable=False),
    Column("bytes_written", Bytes, nullable=False),
    Column("dirty_rows", Bytes, nullable=False),
    Column("dirty_bytes", Bytes, nullable=False),
    Column("rows_copied", Bytes, nullable=False),
    Column("rows_estimated", Bytes, nullable=False),
    Column("chunks_done", Integer, nullable=False),
    Column("chunks_total", Integer, nullable=False),
    Column("business_delay_s", Double, nullable=False),
    Column("rows_read_per_s", Double, nullable=False),
    Column("rows_written_per_s", Double, nullable=False),
    Column("at", Double, nullable=False),  # when it last changed
    sqlite_with_rowid=False,
)

# Lines of the log. No foreign keys: what was said stays readable, and is forgotten by age and size alone.
log_line = Table(
    "log_line",
    metadata,
    Column("id", Id, primary_key=True),  # in the order they arrived, which is the order their transactions commit
    Column("task_id", Id),  # none: about no task
    Column("run_number", Integer),
    Column("at", Double, nullable=False),  # when it was said
    Column("container", String(10), nullable=False),
    Column("epoch", Integer),
    Column("seq", Bytes, nullable=False),
    Column("level", Integer, nullable=False),  # its rank
    Column("logger", String(100), nullable=False),
    Column("message", String(200), nullable=False),
    Column("exception", Text),
    Column("fields", Text, nullable=False),  # JSON
    Column("size_bytes", Integer, nullable=False),
    Index("ix_log_line_task_id_at_id", "task_id", "at", "id"),
    Index("ix_log_line_task_id_id", "task_id", "id", "size_bytes"),
    Index("ix_log_line_at", "at"),
    sqlite_autoincrement=True,
)

alert_channel = Table(
    "alert_channel",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("description", String(500), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("shown", String(200), nullable=False),  # of its address, what is no secret
    Column("secrets", LargeBinary, nullable=False),  # encrypted, see secrets.py (I8)
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

alert_rule = Table(
    "alert_rule",
    metadata,
    Column("id", Id, primary_key=True),
    Column("project_id", Id, ForeignKey("project.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("severity", String(20), nullable=False),
    Column("definition", JSON, nullable=False),
    Column("last_fired_at", Double),
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

# No foreign keys: what was alerted stays readable.
alert = Table(
    "alert",
    metadata,
    Column("id", Id, primary_key=True),
    Column("rule_id", Id, nullable=False),
    Column("rule_name", String(100), nullable=False),
    Column("project_id", Id, nullable=False),
    Column("task_id", Id, nullable=False),
    Column("task_name", String(100), nullable=False),
    Column("run_number", Integer),
    Column("severity", String(20), nullable=False),
    Column("metric", String(50), nullable=False),
    Column("key", String(100), nullable=False),  # the condition's within its rule
    Column("condition", String(200), nullable=False),
    Column("value", Double),
    Column("fired_at", Double, nullable=False),
    Column("told_at", Double),
    Column("held", String(10), nullable=False),  # why it was not told at once: quiet, limit, or nothing
    Column("resolved_at", Double),
    Column("resolved_told", Boolean, nullable=False),  # or nobody is to be told
    Index("ix_alert_task_id_id", "task_id", "id"),
    Index("ix_alert_resolved_told", "resolved_told"),
    Index("ix_alert_rule_id_told_at", "rule_id", "told_at"),
    sqlite_autoincrement=True,
)

alert_message = Table(
    "alert_message",
    metadata,
    Column("id", Id, primary_key=True),
    Column("alert_id", Id, nullable=False),
    Column("channel_id", Id, nullable=False),
    Column("channel_name", String(100), nullable=False),
    Column("about", String(10), nullable=False),  # fired, resolved
    Column("state", String(10), nullable=False),  # waiting, sent, failed
    Column("tries", Integer, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("error", JSON(none_as_null=True)),
    Index("ix_alert_message_alert_id", "alert_id"),
    Index("ix_alert_message_state_due_at", "state", "due_at"),
    sqlite_autoincrement=True,
)

# Programs sign their requests with the secret, so it is kept itself and not its hash.
access_key = Table(
    "access_key",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("secret_id", String(50), nullable=False),
    Column("secrets", LargeBinary, nullable=False),  # encrypted, see secrets.py (I8)
    Column("created_at", Double, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("account_id", Id),  # none: the built-in administrator's
    UniqueConstraint("name"),
    UniqueConstraint("secret_id"),
    sqlite_autoincrement=True,
)

account = Table(
    "account",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("kind", String(10), nullable=False),  # person, service
    Column("description", String(500), nullable=False),
    Column("administrator", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("password_hash", String(200)),  # Argon2id; none: no log-in by password
    Column("version", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("sessions", Integer, nullable=False, server_default="0"),  # how often its log-ins were ended
    Column("issuer", String(500)),  # of who logs in at a provider, with …
    Column("subject", String(255)),  # … what it calls them, for ever
    Column("administrator_by", String(300)),  # the provider's group that makes it one; none: by hand
    UniqueConstraint("name"),
    Index("uq_account_issuer_subject", "issuer", "subject", unique=True),
    sqlite_autoincrement=True,
)

member = Table(
    "member",
    metadata,
    Column("project_id", Id, ForeignKey("project.id"), primary_key=True, autoincrement=False),
    Column("account_id", Id, ForeignKey("account.id"), primary_key=True, autoincrement=False),
    Column("role", String(30), nullable=False),
    Column("permissions", JSON, nullable=False),  # of the role `custom`
    Column("since", Double, nullable=False),
    Column("by_group", String(300)),  # the provider's group it comes from; none: given by hand
    Index("ix_member_account_id", "account_id"),
)

bearer_token = Table(
    "bearer_token",
    metadata,
    Column("id", Id, primary_key=True),
    Column("account_id", Id, ForeignKey("account.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("token_hash", String(64), nullable=False),
    Column("permissions", JSON(none_as_null=True)),  # none: all that the account may do
    Column("projects", JSON(none_as_null=True)),  # their names; none: all of the account's
    Column("created_at", Double, nullable=False),
    Column("created_by", String(100), nullable=False),
    Column("expires_at", Double, nullable=False),
    UniqueConstraint("token_hash"),
    UniqueConstraint("account_id", "name"),
    sqlite_autoincrement=True,
)

edit_lock = Table(
    "edit_lock",
    metadata,
    Column("task_id", Id, ForeignKey("task.id"), primary_key=True, autoincrement=False),
    Column("holder", String(120), nullable=False),
    Column("since", Double, nullable=False),
)

# Never changed and never forgotten. Each row's `mac` is over the row and the one before; see audit.py.
audit_entry = Table(
    "audit_entry",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),  # 1, 2, 3, … without a gap
    Column("at", Double, nullable=False),
    Column("actor", String(100), nullable=False),
    Column("credential", String(120), nullable=False),
    Column("address", String(100), nullable=False),
    Column("action", String(100), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("project", String(100), nullable=False),  # its name, for it may be gone; empty: about none
    Column("outcome", String(10), nullable=False),
    Column("code", String(100), nullable=False),
    Column("mac", String(64), nullable=False),
    Column("detail", String(500), nullable=False, server_default=""),
    Index("ix_audit_entry_at", "at"),
    Index("ix_audit_entry_project_id", "project", "id"),
)
