"""What is refused at the door: requests, log-ins, names, versions."""

from __future__ import annotations

from tidegate.errors.root import Retry, TidegateError


class RequestError(TidegateError):
    status = 400


class Invalid(RequestError):
    code, status, title = "request.invalid", 422, "The request does not have the expected form"
    advice = "Correct the named field and send it again; nothing was changed."


class Unauthorized(RequestError):
    code, status, title = "request.unauthorized", 401, "No valid token was given"
    advice = (
        "Send `Authorization: Bearer <token>`; on the command line give --token or TIDEGATE_TOKEN, or, on the server's "
        "machine, TIDEGATE_DATA_DIR if it is not the usual one: the admin token is in `admin.token` there."
    )


class LogInRefused(Unauthorized):
    code, title = "request.log_in_refused", "The name or the password is wrong"
    advice = "Check both, and Caps Lock; an administrator can set another password, or enable an account again."


class Forbidden(RequestError):
    code, status, title = "request.forbidden", 403, "Your roles do not allow this"
    advice = "Ask an administrator of the project for a role with the permission named; nothing was changed."


class TooManyTries(RequestError):
    code, status, title = "request.throttled", 429, "There were too many wrong passwords"
    retry = Retry.LATER
    advice = "Wait as long as the sentence says, and try again."


class SetUpOver(RequestError):
    code, status, title = "request.set_up_over", 409, "The set-up code is not good any more"
    advice = "Whoever has the admin token can make accounts: `tidegate user create NAME --administrator`."


class SignOnRefused(Unauthorized):
    code, title = "request.sign_on_refused", "The log-in at the provider was not accepted"
    advice = "Begin again at the log-in page; if it stays so, an administrator finds the reason in the server's log."


class SignOnNotAdmitted(RequestError):
    code, status, title = "request.sign_on_not_admitted", 403, "You have no account here"
    advice = "Ask an administrator to bind an account to you, or to put you into one of the provider's mapped groups."


class SignOnUnavailable(TidegateError):
    code, status, retry, title = "request.sign_on_unavailable", 503, Retry.LATER, "The log-in provider does not answer"
    advice = "Try again; an administrator can look with `tidegate doctor`. A name and password, or a token, still work."


class AddressRefused(RequestError):
    code, status, title = "request.address_refused", 403, "Requests from this address are not taken"
    advice = "Come from a network that is allowed, or have an administrator allow yours."


class LockOut(RequestError):
    code, status, title = "request.lock_out", 409, "This would shut you out yourself"
    advice = "Add the network you come from, or ask for it with `force`; nothing was changed."


class ForeignOrigin(RequestError):
    code, status, title = "request.foreign_origin", 403, "The request was not made by a page of this server"
    advice = "Use the console at the address of the server itself; a proxy in between must pass the Host header on."


class MethodNotAllowed(RequestError):
    code, status, title = "request.method_not_allowed", 405, "The address does not take this method"
    advice = "Use one of the methods the Allow header names."


class BodyTooLarge(RequestError):
    code, status, title = "request.too_large", 413, "The request is too large"
    advice = "Send less at once; a task's definition has some kilobytes."


class BodyTooSlow(RequestError):
    code, status, title = "request.too_slow", 408, "The request did not arrive in its time"
    advice = "Send the whole request at once."


class TooManyBatches(RequestError):
    code, status, title = "request.busy", 429, "Other batches of the project are under way"
    retry = Retry.LATER
    advice = "Send it again when they have ended; nothing was changed."


class BatchOver(RequestError):
    code, status, title = "request.batch_over", 503, "The time of the batch was over before this task's turn"
    retry = Retry.LATER
    advice = "Ask for it again for the tasks that are left; nothing was changed about this one."


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


class QueryInvalid(RequestError):
    code, status, title = "request.query_invalid", 422, "The search cannot be read"
    advice = (
        "Join keywords with AND, OR, NOT and parentheses, as in: read AND (refused OR reset). Put phrases in quotes."
    )


class CursorInvalid(RequestError):
    code, status, title = "request.cursor_invalid", 422, "The cursor does not belong to this search"
    advice = "Ask again without a cursor; give one only with the parameters that it was answered to."


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
