"""What a refusal is called in the WeData API: one table from the product's error codes to published ones.

Published are the codes of the API's version 2021-08-20, and those that every API of its platform may give.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tidegate.errors import TidegateError

UNKNOWN_ACTION: Final = "InvalidAction"
UNKNOWN_VERSION: Final = "NoSuchVersion"
NO_AUTHORIZATION: Final = "AuthFailure.InvalidAuthorization"
UNKNOWN_SECRET_ID: Final = "AuthFailure.SecretIdNotFound"  # noqa: S105 - a code
WRONG_SIGNATURE: Final = "AuthFailure.SignatureFailure"
EXPIRED: Final = "AuthFailure.SignatureExpire"
WRONG_TOKEN: Final = "AuthFailure.TokenFailure"  # noqa: S105 - a code
MALFORMED: Final = "InvalidParameter"
MISSING: Final = "MissingParameter"
UNKNOWN: Final = "UnknownParameter"
VALUE: Final = "InvalidParameterValue"
TOO_MANY: Final = "InvalidParameter.MaxLimitExceeded"
FILTER: Final = "InvalidParameter.InvalidFilterParameter"
NO_PROJECT: Final = "InvalidParameter.WorkspaceNotExist"
PROJECT_TAKEN: Final = "InvalidParameter.WorkspaceNameDuplication"
NO_RULE: Final = "InvalidParameter.RuleNotExist"
NOT_FOUND: Final = "ResourceNotFound"
IN_USE: Final = "ResourceInUse"
NOT_NOW: Final = "UnsupportedOperation"
BUSY: Final = "InvalidParameter.ServiceIsBusy"
FAILED: Final = "FailedOperation.FailedOperationWithReason"
UNREACHABLE: Final = "FailedOperation.ConnectionTimeOutError"
LACKING: Final = "ResourceInsufficient"
GONE: Final = "ResourceUnavailable"
NOT_ALLOWED: Final = "AuthFailure.UnauthorizedOperation"
ALARM_URL: Final = "InvalidParameter.InvalidAlarmUrl"
TAKEN: Final = "InvalidParameter.DuplicateName"
TOO_LARGE: Final = "RequestSizeLimitExceeded"
UNREADABLE: Final = "InvalidRequest"
UNAVAILABLE: Final = "ServiceUnavailable"
INTERNAL: Final = "InternalError"
DENIALS: Final = frozenset({NOT_ALLOWED, NO_PROJECT})
"""Of somebody who is known: what they may not do, or may not see."""

CODES: Final[Mapping[str, str]] = {
    "internal": INTERNAL,
    "request.invalid": VALUE,
    "request.unauthorized": NOT_ALLOWED,
    "request.log_in_refused": NOT_ALLOWED,
    "request.sign_on_refused": NOT_ALLOWED,
    "request.sign_on_not_admitted": NOT_ALLOWED,
    "request.sign_on_unavailable": UNAVAILABLE,
    "request.address_refused": NOT_ALLOWED,
    "request.lock_out": NOT_NOW,
    "request.forbidden": NOT_ALLOWED,
    "request.throttled": BUSY,
    "request.set_up_over": NOT_NOW,
    "request.foreign_origin": NOT_ALLOWED,
    "request.method_not_allowed": UNREADABLE,
    "request.too_large": TOO_LARGE,
    "request.too_slow": UNREADABLE,
    "request.not_json": MALFORMED,
    "request.not_found": NOT_FOUND,
    "request.name_taken": TAKEN,
    "request.in_use": IN_USE,
    "request.stale_version": BUSY,
    "request.busy": BUSY,
    "request.batch_over": BUSY,
    "request.query_invalid": VALUE,
    "request.cursor_invalid": VALUE,
    "lifecycle.refused": NOT_NOW,
    "lifecycle.no_units": LACKING,
    "lifecycle.no_snapshot": NOT_NOW,
    "lifecycle.deadline": FAILED,
    "verify.impossible": FAILED,
    "verify.unfinished": FAILED,
    "source.unreachable": UNREACHABLE,
    "source.auth_failed": FAILED,
    "source.privilege_missing": FAILED,
    "source.version_unsupported": FAILED,
    "source.standby": FAILED,
    "source.log_disabled": FAILED,
    "source.log_format": FAILED,
    "source.engine_unsupported": FAILED,
    "source.cascade": FAILED,
    "source.column_unreadable": FAILED,
    "source.server_id_taken": FAILED,
    "source.no_free_slot": FAILED,
    "source.table_unknown": FAILED,
    "source.pattern_empty": FAILED,
    "source.table_unlogged": FAILED,
    "source.no_key": FAILED,
    "source.identity_missing": FAILED,
    "source.key_deferrable": FAILED,
    "source.position_lost": FAILED,
    "source.start_purged": FAILED,
    "source.start_unknown": FAILED,
    "source.start_unsupported": FAILED,
    "source.table_remade": FAILED,
    "source.identity_changed": FAILED,
    "source.schema_change": FAILED,
    "source.partition_changed": FAILED,
    "source.table_rewritten": FAILED,
    "source.log_broken": FAILED,
    "source.slot_busy": FAILED,
    "target.unreachable": UNREACHABLE,
    "target.busy": FAILED,
    "target.conflict": FAILED,
    "target.exhausted": FAILED,
    "target.auth_failed": FAILED,
    "target.privilege_missing": FAILED,
    "target.setting_wrong": FAILED,
    "target.version_unsupported": FAILED,
    "target.table_missing": FAILED,
    "target.table_gone": FAILED,
    "target.misfit": FAILED,
    "target.unfit": FAILED,
    "target.not_empty": FAILED,
    "target.shared": FAILED,
    "target.name_clash": FAILED,
    "target.loop": FAILED,
    "target.value_refused": FAILED,
    "target.row_missing": FAILED,
    "target.epoch_ahead": FAILED,
    "target.position_mismatch": FAILED,
    "target.fenced": FAILED,
    "task.invalid": VALUE,
    "task.locked": NOT_NOW,
    "task.reference_unknown": NOT_FOUND,
    "data_source.invalid": VALUE,
    "data_source.file_not_allowed": VALUE,
    "data_source.secret_needed": MISSING,
    "connector.unknown": VALUE,
    "detection.object_missing": GONE,
    "alert.rule_invalid": VALUE,
    "alert.too_many_rules": FAILED,
    "alert.channel_invalid": VALUE,
    "alert.address_refused": ALARM_URL,
    "alert.undelivered": FAILED,
    "alert.refused": FAILED,
    "worker.disk_full": FAILED,
    "worker.lost": FAILED,
    "worker.restarts_spent": FAILED,
    "worker.position_went_back": FAILED,
    "store.unavailable": UNAVAILABLE,
    "store.full": UNAVAILABLE,
    "store.key_wrong": INTERNAL,
    "server.unreachable": UNAVAILABLE,
    "server.not_trusted": UNAVAILABLE,
    "environment.lacking": INTERNAL,
    "environment.setting_invalid": INTERNAL,
    "environment.port_taken": INTERNAL,
    "environment.already_running": INTERNAL,
}
"""Complete: a test compares it with the error table."""


class Declined(Exception):
    """A refusal of this API that the services know nothing of: of its signature, shapes, names and numbers."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def declined(error: Exception) -> Declined:
    """Any error as this API says it. Nothing of one that nobody foresaw is told (I8)."""
    if isinstance(error, Declined):
        return error
    if isinstance(error, TidegateError):
        return Declined(CODES.get(error.code, INTERNAL), f"{error.detail}. {error.advice} [{error.code}]")
    return Declined(INTERNAL, f"{TidegateError.title}. {TidegateError.advice}")
