"""The tables of the WeData API leave nothing out, and say no name that is not published."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any, get_args

import pytest

from tidegate.errors import TidegateError, every_error
from tidegate.model.alert import ALARMS
from tidegate.model.lifecycle import COMMANDS, STATES, State
from tidegate.server.wedata import codes
from tidegate.server.wedata.actions import ACTIONS, Action, Standing
from tidegate.server.wedata.alarmrules import INDICATORS
from tidegate.server.wedata.codes import CODES, Declined, declined
from tidegate.server.wedata.shapes import Shape
from tidegate.server.wedata.statistics import STATUS_NAMES
from tidegate.server.wedata.taskinfo import EVENTS, SHOWN, STATUS

PLATFORM = {
    "AuthFailure.InvalidAuthorization",
    "AuthFailure.SecretIdNotFound",
    "AuthFailure.SignatureExpire",
    "AuthFailure.SignatureFailure",
    "AuthFailure.TokenFailure",
    "AuthFailure.UnauthorizedOperation",
    "InvalidAction",
    "InvalidRequest",
    "NoSuchVersion",
    "RequestSizeLimitExceeded",
    "ServiceUnavailable",
}
"""What every API of the platform may answer; the rest must be in the SDK's own list."""
PROVIDED = [action for action in ACTIONS if action.request is not None]


@pytest.fixture(scope="module")
def models() -> ModuleType:
    return importlib.import_module("tencentcloud.wedata.v20210820.models")


def published(structure: type[Any]) -> dict[str, str]:
    """The fields of one of the SDK's structures, and what its documentation says each is."""
    said = dict(re.findall(r"^\s*:type (\w+): (.+)$", structure.__init__.__doc__ or "", re.MULTILINE))
    found = {name.removeprefix("_") for name in vars(structure()) if name != "_headers"}
    assert set(said) <= found
    return {name: said.get(name, "") for name in found}


def structures(annotation: Any) -> Iterator[type[Shape]]:
    """Every structure in a field's type, and those in them; also the one it is."""
    if isinstance(annotation, type) and issubclass(annotation, Shape):
        yield annotation
        for field in annotation.model_fields.values():
            yield from structures(field.annotation)
    for part in get_args(annotation):
        yield from structures(part)


def test_every_error_has_a_code_here_and_no_code_is_left_over() -> None:
    assert set(CODES) == {error.code for error in every_error()}


def test_every_code_is_a_published_one() -> None:
    listed = importlib.import_module("tencentcloud.wedata.v20210820.errorcodes")
    known = {value for name, value in vars(listed).items() if name.isupper()} | PLATFORM
    ours = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, str)}
    assert set(CODES.values()) <= ours
    assert ours <= known


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: error.code)
def test_a_refusal_says_what_happened_what_to_do_and_its_code(error: type[TidegateError]) -> None:
    told = declined(error("task shop: it was so"))
    assert told.code == CODES[error.code]
    assert told.message == f"task shop: it was so. {error.advice} [{error.code}]"


def test_of_what_nobody_foresaw_nothing_is_told() -> None:
    told = declined(ValueError("secret"))
    assert told.code == codes.INTERNAL
    assert "secret" not in told.message
    assert declined(Declined("A.B", "c")).code == "A.B"


def test_every_state_that_can_be_shown_has_a_number() -> None:
    assert set(STATUS) == set(State) - {State.REMOVED}
    assert set(SHOWN.values()) == {STATES[state].status for state in STATUS}
    assert set(STATUS_NAMES) == set(STATUS.values())


def test_every_command_and_every_alarm_has_its_name_here() -> None:
    assert set(EVENTS) == {*COMMANDS, "submitted"}
    assert sorted(INDICATORS.values()) == sorted(alarm.name for alarm in ALARMS)
    assert list(INDICATORS.values())[:17] == [alarm.name for alarm in ALARMS][:17]


def test_actions_are_there_once_and_say_how_they_differ() -> None:
    names = [action.name for action in ACTIONS]
    assert len(set(names)) == len(names)
    for action in ACTIONS:
        assert (action.standing is Standing.NOT) == (action.request is None) == (action.handler is None), action.name
        assert action.differs or action.standing is Standing.DONE, action.name


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_a_published_one(action: Action, models: ModuleType) -> None:
    assert hasattr(models, f"{action.name}Request")


@pytest.mark.parametrize("action", PROVIDED, ids=lambda action: action.name)
def test_what_the_sdk_may_send_is_known_and_nothing_else(action: Action, models: ModuleType) -> None:
    assert action.request is not None
    wrong = {}
    for shape in set(structures(action.request)):
        name = f"{action.name}Request" if shape is action.request else shape.__name__
        expected, known = set(published(getattr(models, name))), set(shape.model_fields)
        if expected != known:
            wrong[name] = {"missing": sorted(expected - known), "unknown": sorted(known - expected)}
    assert wrong == {}
