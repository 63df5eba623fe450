"""Task definitions, alerts, and the machinery: workers, the metadata store, the server, this machine."""

from __future__ import annotations

from tidegate.errors.root import Retry, TidegateError


class TaskInvalid(TidegateError):
    code, status, title = "task.invalid", 422, "The task's definition is not valid"
    advice = "Correct the field named; nothing was changed."


class TaskLocked(TidegateError):
    code, status, title = "task.locked", 409, "Somebody else is editing the task"
    advice = "Ask whoever holds it to release it, or seize it (`tidegate lock TASK --seize`); nothing was changed."


class ReferenceUnknown(TidegateError):
    code, status, title = "task.reference_unknown", 422, "The task names something that does not exist"
    advice = "Correct the name in the task, or create the thing named; nothing was changed."


class ConfigInvalid(TidegateError):
    code, status, title = "data_source.invalid", 422, "The data source's settings are not valid"
    advice = "Correct the field named; nothing was changed."


class FileNotAllowed(TidegateError):
    code, status, title = "data_source.file_not_allowed", 422, "The file is not in a folder that is allowed"
    advice = (
        "Name a file below one of the folders listed, or have an administrator allow its folder "
        "(TIDEGATE_FILE_FOLDERS) or, where that is not set, save the data source."
    )


class SecretNeeded(TidegateError):
    code, status, title = "data_source.secret_needed", 422, "A stored secret is not sent to a changed address"
    advice = "Give the password again together with the change; nothing was changed."


class ConnectorUnknown(TidegateError):
    code, status, title = "connector.unknown", 422, "There is no connector of that name"
    advice = "Use one of the connectors listed."


class ObjectMissing(TidegateError):
    code, status, title = "detection.object_missing", 409, "Something the task is configured with no longer exists"
    advice = "Bring the thing named back, or Stop the task and change its definition."


# --- alerts ---------------------------------------------------------------------------------------------------


class AlertRuleInvalid(TidegateError):
    code, status, title = "alert.rule_invalid", 422, "The alert rule is not valid"
    advice = "Correct the field named; nothing was changed."


class TooManyAlertRules(TidegateError):
    code, status, title = "alert.too_many_rules", 409, "The project has as many alert rules as it may have"
    advice = (
        "Delete rules that are not needed; one rule can be for all tasks of a project, an owner or a resource group."
    )


class AlertChannelInvalid(TidegateError):
    code, status, title = "alert.channel_invalid", 422, "The alert channel is not valid"
    advice = "Correct the field named; nothing was changed."


class AlertAddressRefused(TidegateError):
    code, status, title = "alert.address_refused", 422, "Alerts are not sent to this address"
    advice = (
        "Name an address that is public, or have an administrator allow the network it is in (TIDEGATE_OUTBOUND_ALLOW)."
    )


class AlertUndelivered(TidegateError):
    code, status, retry, title = "alert.undelivered", 502, Retry.LATER, "The receiver could not be reached"
    advice = "Check the channel with `tidegate alert-channels test`; a message is tried again for a while."


class AlertRefused(TidegateError):
    code, status, title = "alert.refused", 502, "The receiver refuses the message"
    advice = "Check the channel's address and key at the receiver, and test it again."


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
    code, status, title = "worker.restarts_spent", 409, "The run was restarted more often than the task allows"
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


class ServerNotTrusted(TidegateError):
    code, status, title = "server.not_trusted", 502, "The server's certificate cannot be verified"
    advice = "Give its authority's certificate, or its own, with --ca or TIDEGATE_CA; else somebody may be in between."


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
