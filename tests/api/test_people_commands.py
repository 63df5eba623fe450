"""`tidegate user`, `member`, `token` and `keys`, as an administrator and as others use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.people import NORTH, PASSWORD, RULE, TASK, Town, town
from api.wedata import Pair, asked
from tidegate.cli.main import app


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "data") as made:
        yield made


def tidegate(town: Town, *words: str, token: str | None = None, typed: str = "", code: int = 0) -> str:
    environment = {"TIDEGATE_URL": town.api.url, "TIDEGATE_TOKEN": town.api.token if token is None else token}
    said = CliRunner().invoke(app, list(words), env=environment, input=typed, terminal_width=200)
    assert said.exit_code == code, said.output
    return said.stdout


def data(*given: Any, **more: Any) -> Any:
    return json.loads(tidegate(*given, "--json", **more))


def test_a_person_is_made_let_in_and_operates_with_a_token_of_their_own(north: Town) -> None:
    tidegate(north, "user", "create", "ann", typed=f"{PASSWORD}\n")
    tidegate(north, "member", "set", "ann", "ops_engineer", "--project", NORTH)
    assert "ops engineer" in tidegate(north, "member", "list", "--project", NORTH)
    made = data(north, "token", "create", "laptop", "--log-in", "ann", "--days", "3", token="", typed=f"{PASSWORD}\n")
    token = made["token"]
    who = data(north, "user", "whoami", token=token)
    assert (who["actor"], [one["project"] for one in who["projects"]]) == ("ann", [NORTH])
    assert NORTH in tidegate(north, "user", "whoami", token=token)
    tidegate(north, "versions", TASK, "--project", NORTH, token=token)
    tidegate(north, "alert-rules", "disable", RULE, "--project", NORTH, token=token)
    refused = data(north, "user", "list", token=token, code=2)
    assert refused["code"] == "request.forbidden"
    assert "laptop" in tidegate(north, "token", "list", token=token)
    assert token not in tidegate(north, "token", "list")
    tidegate(north, "token", "revoke", str(made["id"]))
    assert data(north, "ops", token=token, code=3)["code"] == "request.unauthorized"


def test_a_project_is_made_listed_and_removed(north: Town) -> None:
    tidegate(north, "project", "add", "shop", "--description", "for now")
    listed = tidegate(north, "project", "list")
    assert "for now" in listed
    assert all(line == line.rstrip() for line in listed.splitlines()), "nothing is filled up in a pipe"
    assert [one["name"] for one in data(north, "project", "list")] == ["default", NORTH, "shop", "south"]
    tidegate(north, "project", "remove", "shop")
    assert data(north, "project", "remove", NORTH, code=2)["code"] == "request.in_use"
    said = tidegate(north, "project", "list", "--json", token="wrong", code=3)
    assert all(word in said for word in ("--token", "TIDEGATE_TOKEN", "TIDEGATE_DATA_DIR"))


def test_a_wrong_password_makes_no_token(north: Town) -> None:
    north.account("ann", "person")
    said = data(north, "token", "create", "x", "--log-in", "ann", token="", typed="wrong wrong\n", code=3)
    assert said["code"] == "request.log_in_refused"
    assert "No tokens" in tidegate(north, "token", "list")


def test_an_account_is_listed_changed_disabled_and_deleted(north: Town) -> None:
    tidegate(north, "user", "create", "robot", "--service", "--description", "nightly")
    assert "robot" in tidegate(north, "user", "list")
    token = data(north, "token", "create", "t", "--for", "robot", "--permission", "project.view", "--in", NORTH)
    assert (token["permissions"], token["projects"]) == (["project.view"], [NORTH])
    tidegate(north, "user", "edit", "robot", "--administrator")
    assert data(north, "ops", token=token["token"])["total"] == 1
    tidegate(north, "user", "disable", "robot")
    assert "(disabled)" in tidegate(north, "user", "list")
    tidegate(north, "ops", token=token["token"], code=3)
    tidegate(north, "user", "enable", "robot")
    tidegate(north, "ops", token=token["token"], code=3)
    tidegate(north, "user", "delete", "robot")
    assert "there is only the admin token" in tidegate(north, "user", "list")


def test_an_access_key_may_do_what_its_account_may(north: Town) -> None:
    north.account("robot")
    north.member("robot", "member")
    made = data(north, "keys", "create", "jobs", "--for", "robot")
    pair = Pair(made["secret_id"], made["secret_key"])
    one = {"ProjectId": NORTH, "TaskId": TASK}
    assert "TaskInfo" in asked(north.api.url, pair, "DescribeIntegrationTask", one)
    assert asked(north.api.url, pair, "StopIntegrationTask", one)["Error"]["Code"] == (
        "AuthFailure.UnauthorizedOperation"
    )
    assert "robot" in tidegate(north, "keys", "list")


def test_the_first_account_is_made_by_the_code_without_a_token(north: Town) -> None:
    code = north.api.control.first_code()
    tidegate(north, "user", "set-up", "root", "--code", str(code), token="", typed=f"{PASSWORD}\n")
    assert north.browser(name="root", password=PASSWORD).get("/api/v1/users").status_code == 200


def test_a_password_is_changed_by_an_administrator_and_by_oneself(north: Town) -> None:
    north.account("ann", "person")
    tidegate(north, "user", "password", "ann", typed="first battery 11\n")
    tidegate(north, "user", "password", "ann", "--own", token="", typed="first battery 11\nother battery 22\n")
    assert north.browser(name="ann", password="other battery 22").get("/api/v1/session").status_code == 200


def test_a_member_with_permissions_of_their_own_and_one_removed(north: Town) -> None:
    north.account("ann")
    words = ("member", "set", "ann", "custom", "--permission", "task.operate", "--project", NORTH)
    assert data(north, *words)["permissions"] == ["project.view", "task.operate"]
    tidegate(north, "member", "remove", "ann", "--project", NORTH)
    assert "No members" in tidegate(north, "member", "list", "--project", NORTH)
