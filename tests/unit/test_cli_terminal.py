"""What the command line says about errors, which exit code they have, and where it looks for the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidegate.cli.door import address
from tidegate.cli.terminal import Exit, Terminal, exit_code
from tidegate.errors import (
    CommandRefused,
    DeadlinePassed,
    EnvironmentLacking,
    NotFound,
    PortTaken,
    PositionLost,
    ServerUnreachable,
    SettingInvalid,
    SourceUnreachable,
    StoreUnavailable,
    TaskInvalid,
    TidegateError,
    Unauthorized,
)


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandRefused, Exit.BAD_REQUEST),
        (NotFound, Exit.BAD_REQUEST),
        (TaskInvalid, Exit.BAD_REQUEST),
        (PositionLost, Exit.BAD_REQUEST),
        (SourceUnreachable, Exit.FAILED),
        (DeadlinePassed, Exit.FAILED),
        (TidegateError, Exit.FAILED),
        (ServerUnreachable, Exit.ENVIRONMENT),
        (Unauthorized, Exit.ENVIRONMENT),
        (EnvironmentLacking, Exit.ENVIRONMENT),
        (SettingInvalid, Exit.ENVIRONMENT),
        (PortTaken, Exit.ENVIRONMENT),
        (StoreUnavailable, Exit.ENVIRONMENT),
    ],
)
def test_a_refusal_is_two_a_failure_one_and_a_lacking_environment_three(error: type[TidegateError], code: Exit) -> None:
    assert exit_code(error("x")) == code


def test_a_refusal_says_what_why_what_to_do_and_what_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    offers = [{"command": "run", "allowed": True}, {"command": "pause", "allowed": False, "reason": "not running"}]
    Terminal().refuse(CommandRefused("pause was refused for task shop: [bold]not running[/]", offers=offers))
    out, err = capsys.readouterr()
    assert out == ""
    assert CommandRefused.title in err
    assert "lifecycle.refused" in err
    assert "[bold]not running[/]" in err
    assert CommandRefused.advice in err
    assert "  offered: run" in lines(err)


def test_every_finding_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [{"field": "units", "problem": "must be 1"}, {"field": "task", "problem": "is required"}]
    Terminal().refuse(TaskInvalid("two things", errors=wrong))
    assert {"  • units: must be 1", "  • task: is required"} <= set(lines(capsys.readouterr().err))


def test_with_json_a_refusal_is_a_problem_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(as_json=True).refuse(NotFound("there is no task 订单"))
    out, err = capsys.readouterr()
    assert (json.loads(out)["code"], json.loads(out)["detail"], err) == (
        "request.not_found",
        "there is no task 订单",
        "",
    )
    assert out.count("\n") == 1


# --- where the server is ---


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "admin.token").write_text("tg_local\n")
    return tmp_path


def test_without_anything_this_machines_server_is_meant(data_dir: Path) -> None:
    found = address({"TIDEGATE_DATA_DIR": str(data_dir), "TIDEGATE_PORT": "9001"})
    assert (found.url, found.token) == ("http://127.0.0.1:9001", "tg_local")


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:8470"), ("::", "http://[::1]:8470"), ("::1", "http://[::1]:8470")],  # noqa: S104
)
def test_a_server_that_listens_everywhere_is_asked_here(data_dir: Path, host: str, url: str) -> None:
    assert address({"TIDEGATE_DATA_DIR": str(data_dir), "TIDEGATE_HOST": host}).url == url


def test_what_is_given_goes_over_the_environment(data_dir: Path) -> None:
    environment = {"TIDEGATE_DATA_DIR": str(data_dir), "TIDEGATE_URL": "http://a:1", "TIDEGATE_TOKEN": "t1"}
    assert address(environment, "http://b:2/", "t2") == address({}, "http://b:2", "t2")
    assert address(environment).url == "http://a:1"


def test_the_token_of_this_machine_is_sent_to_no_other(data_dir: Path) -> None:
    with pytest.raises(EnvironmentLacking, match="TIDEGATE_TOKEN"):
        address({"TIDEGATE_DATA_DIR": str(data_dir)}, "http://db.example:8470")


def test_a_missing_token_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLacking, match=r"admin\.token cannot be read \(No such file"):
        address({"TIDEGATE_DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("url", ["db.example:8470", "ftp://a", "http://", "unix:/x"])
def test_an_address_that_is_none_is_refused(data_dir: Path, url: str) -> None:
    with pytest.raises(EnvironmentLacking, match="is not the address of a server"):
        address({"TIDEGATE_DATA_DIR": str(data_dir)}, url)
