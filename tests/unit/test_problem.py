"""Errors as data and back."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tidegate.errors import CommandRefused, SourceUnreachable, TaskInvalid, TidegateError, every_error
from tidegate.model.problem import error_of, problem


@dataclass(frozen=True, slots=True)
class Offer:
    command: str


def test_a_problem_says_what_the_error_table_says() -> None:
    said = problem(SourceUnreachable("db:5432 does not answer"))
    assert said == {
        "type": "urn:tidegate:error:source.unreachable",
        "title": SourceUnreachable.title,
        "status": 502,
        "code": "source.unreachable",
        "detail": "db:5432 does not answer",
        "advice": SourceUnreachable.advice,
    }


def test_offers_and_field_errors_stand_beside_the_facts() -> None:
    said = problem(CommandRefused("no", offers=[Offer("run")], errors=[], status="Paused", tried=("a", 1)))
    assert said["offers"] == [{"command": "run"}]
    assert said["errors"] == []
    assert said["facts"] == {"status": "Paused", "tried": ["a", 1]}
    assert said["status"] == 409


def test_an_exception_outside_the_table_does_not_show_its_text() -> None:
    said = problem(RuntimeError("password=canary /etc/x"))
    assert (said["code"], said["status"]) == ("internal", 500)
    assert "canary" not in str(said)


@pytest.mark.parametrize("cls", list(every_error()), ids=lambda cls: cls.code)
def test_every_error_survives_the_way_there_and_back(cls: type[TidegateError]) -> None:
    error = error_of(problem(cls("what happened", offers=["run"], size_bytes=3)))
    assert type(error) is cls
    assert (error.detail, error.facts) == ("what happened", {"offers": ["run"], "size_bytes": 3})


def test_a_code_from_a_newer_version_keeps_its_words() -> None:
    said = problem(TaskInvalid("x: y")) | {"code": "task.new_thing", "title": "New", "status": 418}
    error = error_of(said)
    assert (error.code, error.title, error.status, error.detail) == ("task.new_thing", "New", 418, "x: y")
    assert problem(error)["code"] == "task.new_thing"
