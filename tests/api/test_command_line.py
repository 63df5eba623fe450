"""The command line against a whole server, as a person and as a program uses it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.providers import lying
from api.rig import CANARY, Api, definition
from api.situations import TASK, failed_with_snapshot, initialize, paused, pausing, running, task
from tidegate.cli.main import app
from tidegate.errors import PositionLost, SourceUnreachable

FILE = """
data_source: more
kind: postgres
config: {host: 127.0.0.1, port: 1, database: more, user: u, password: "${ENV:MORE_PASSWORD}"}
---
resource_group: nightly
units: 2
---
task: more_to_lake
kind: whole_database
resource_group: nightly
source: {data_source: more, tables: [public.orders]}
target: {data_source: lake, write: append}
"""


def tidegate(api: Api, *words: str, **environment: str) -> Any:
    """What the command says; `.stdout` and `.exit_code`."""
    return CliRunner().invoke(
        app, list(words), env={"TIDEGATE_URL": api.url, "TIDEGATE_TOKEN": api.token} | environment, terminal_width=160
    )


def data(said: Any) -> Any:
    assert said.exit_code == 0, said.output
    return json.loads(said.stdout)


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "more.yaml"
    path.write_text(FILE)
    return str(path)


# --- defining ---


def test_one_file_sets_everything_up_and_applying_it_again_changes_nothing(stocked: Api, file: str) -> None:
    first = data(tidegate(stocked, "apply", "-f", file, "--submit", "--json", MORE_PASSWORD=CANARY))
    assert [(one["kind"], one["name"], one["outcome"]) for one in first] == [
        ("resource_group", "nightly", "created"),
        ("data_source", "more", "created"),
        ("task", "more_to_lake", "created, submitted"),
    ]
    assert stocked.control.data_source_side("more")[1]["password"] == CANARY
    second = data(tidegate(stocked, "apply", "-f", file, "--submit", "--json", MORE_PASSWORD=CANARY))
    assert [one["outcome"] for one in second if one["kind"] != "data_source"] == ["unchanged", "unchanged"]
    assert next(one["outcome"] for one in second if one["kind"] == "data_source") in ("saved", "unchanged")


def test_applying_a_changed_file_changes_what_it_names(stocked: Api, file: str) -> None:
    data(tidegate(stocked, "apply", "-f", file, "--json", MORE_PASSWORD=CANARY))
    Path(file).write_text(FILE.replace("write: append", "write: upsert").replace("database: more", "database: other"))
    said = tidegate(stocked, "apply", "-f", file, MORE_PASSWORD=CANARY)
    assert said.exit_code == 0
    assert stocked.ask("GET", "/tasks/more_to_lake")["definition"]["target"]["write"] == "upsert"
    assert stocked.ask("GET", "/data-sources/more")["config"]["database"] == "other"
    assert "data source more changed" in said.stdout
    assert "resource group nightly unchanged" in said.stdout


def test_nothing_is_applied_if_one_document_is_wrong(stocked: Api, file: str) -> None:
    Path(file).write_text(FILE + "---\ntask: x\n")
    said = tidegate(stocked, "apply", "-f", file, MORE_PASSWORD=CANARY)
    assert said.exit_code == 2
    assert "kind: is required" in said.stderr
    assert [one["name"] for one in stocked.ask("GET", "/data-sources")] == ["lake", "shop"]


def test_a_secret_whose_variable_is_not_set_is_the_environments_fault(stocked: Api, file: str) -> None:
    said = tidegate(stocked, "apply", "-f", file)
    assert said.exit_code == 3
    assert "MORE_PASSWORD is not set" in said.stderr


def test_a_data_source_is_created_tested_listed_and_deleted(api: Api) -> None:
    settings = ["host=127.0.0.1", "port=1", "database=d", "user=u", "password=${ENV:PW}"]
    words = [word for one in settings for word in ("--set", one)]
    made = data(tidegate(api, "datasource", "create", "shop", "--kind", "postgres", *words, "--json", PW=CANARY))
    assert made["config"]["password"] == "********"
    tested = tidegate(api, "datasource", "test", "shop", "--as", "target")
    assert tested.exit_code == 1
    assert "not usable" in tested.stdout
    listed = tidegate(api, "datasource", "list")
    assert "shop" in listed.stdout
    assert CANARY not in listed.stdout + tested.output
    assert tidegate(api, "datasource", "delete", "shop").exit_code == 0
    assert tidegate(api, "datasource", "delete", "shop").exit_code == 2


@pytest.mark.parametrize("wrong", ["password", "=x", "a=1 a=2"])
def test_a_setting_that_is_no_pair_is_refused_without_repeating_it(api: Api, wrong: str) -> None:
    words = [word for one in wrong.split() for word in ("--set", one)]
    said = tidegate(api, "datasource", "create", "x", "--kind", "postgres", *words)
    assert said.exit_code == 2
    assert "write name=value" in said.stderr


def test_submitting_a_task_whose_source_is_away_fails_and_says_so(stocked: Api) -> None:
    stocked.plane.wrong.append(SourceUnreachable("shop:5432 does not answer"))
    said = tidegate(stocked, "submit", TASK)
    assert said.exit_code == 1
    assert "shop:5432 does not answer" in said.stderr


# --- operating ---


def test_a_command_waits_until_its_step_has_ended(driven: Api) -> None:
    initialize(driven)
    said = tidegate(driven, "run", TASK)
    assert said.exit_code == 0
    assert f"✓ {TASK}  ● Running" in said.stdout
    assert task(driven)["state"] == "running"


def test_a_command_told_not_to_wait_returns_at_once(driven: Api) -> None:
    running(driven)
    driven.engine.manners.drains = False
    said = data(tidegate(driven, "pause", TASK, "--no-wait", "--json"))
    assert (said["task"]["state"], said["reached"]) == ("pausing", False)


def test_a_step_that_does_not_lead_where_the_command_means_is_a_failure(driven: Api) -> None:
    initialize(driven)
    driven.engine.manners.fails_with = SourceUnreachable("shop does not answer")
    said = tidegate(driven, "run", TASK)
    assert said.exit_code == 1
    assert "Failure" in said.stdout
    assert "shop does not answer" in said.stdout


def test_a_pause_that_fails_is_a_failure_and_says_where_the_reason_is(driven: Api) -> None:
    running(driven)
    driven.engine.manners.drains = False
    driven.engine.manners.refuses_to_pause = True
    said = tidegate(driven, "pause", TASK)
    assert said.exit_code == 1
    assert "● Running" in said.stdout
    assert f"tidegate events {TASK}" in said.stdout


def test_the_second_of_two_at_once_is_told(driven: Api) -> None:
    pausing(driven)
    said = tidegate(driven, "pause", TASK)
    assert said.exit_code == 2
    assert "lifecycle.refused" in said.stderr


def test_positions_of_a_running_task_say_where_the_log_ends_and_how_far_it_is_kept(driven: Api) -> None:
    running(driven)
    said = tidegate(driven, "positions", TASK, "--ask-source").stdout
    for part in ("log ends", "0/FFFF", "behind", "8.0 KiB", "for another 1.0 GiB of log"):
        assert part in said
    assert "log to read" not in said


def test_a_running_task_whose_log_is_lost_says_so_when_the_source_is_asked(driven: Api) -> None:
    running(driven)
    driven.plane.lost = PositionLost("the slot was invalidated by the server")
    found = data(tidegate(driven, "positions", TASK, "--ask-source", "--json"))
    assert (found["source_error"]["code"], found["source_end"]) == ("source.position_lost", None)
    assert "the slot was invalidated" in tidegate(driven, "positions", TASK, "--ask-source").stdout


def test_a_dry_run_says_what_it_would_cost_and_changes_nothing(driven: Api) -> None:
    paused(driven)
    before = task(driven)
    said = tidegate(driven, "continue", TASK, "--dry-run")
    assert said.exit_code == 0
    for part in ("goes by the snapshot", "4.0 KiB, 0/EFFF to 0/FFFF", "for another 1.0 GiB of log"):
        assert part in said.stdout
    assert task(driven) == before


def test_a_dry_run_of_what_is_refused_says_why_and_exits_as_the_command_does(driven: Api) -> None:
    paused(driven)
    driven.plane.lost = PositionLost("the slot was invalidated by the server")
    said = tidegate(driven, "continue", TASK, "--dry-run")
    assert said.exit_code == tidegate(driven, "continue", TASK).exit_code != 0
    assert "refused: the slot was invalidated" in said.stdout
    assert "max_slot_wal_keep_size" in said.stdout


def test_a_refusal_lists_what_is_offered_once(driven: Api) -> None:
    running(driven)
    said = tidegate(driven, "continue", TASK)
    assert said.exit_code == 2
    assert "offered: pause, force-pause, stop" in said.stderr
    assert said.stderr.count("force-pause") == 1


def test_continue_says_how_much_log_it_has_to_read(driven: Api) -> None:
    paused(driven)
    said = tidegate(driven, "continue", TASK)
    assert said.exit_code == 0
    assert "4.0 KiB of log to read; the source keeps the log for another 1.0 GiB" in said.stdout


def test_a_lost_position_is_refused_with_what_can_be_done(driven: Api) -> None:
    paused(driven)
    driven.plane.lost = PositionLost("the log before 0/15 is gone")
    said = tidegate(driven, "continue", TASK)
    assert said.exit_code == 2
    assert "source.position_lost" in said.stderr
    assert "Stop the task and Run it again" in said.stderr
    assert task(driven)["state"] == "paused"


def test_a_version_that_is_not_the_tasks_is_refused(driven: Api) -> None:
    running(driven)
    said = tidegate(driven, "pause", TASK, "--version", "1")
    assert said.exit_code == 2
    assert "request.stale_version" in said.stderr


def test_stop_says_that_something_was_left_behind(driven: Api) -> None:
    running(driven)
    driven.plane.left.append(SourceUnreachable("shop does not answer"))
    said = tidegate(driven, "stop", TASK)
    assert said.exit_code == 0, said.output
    assert "something of the run is left" in said.stdout
    assert data(tidegate(driven, "runs", TASK, "--json"))[0]["cleanup"] == "left"


def test_stop_does_not_ask_where_nobody_can_answer(driven: Api) -> None:
    running(driven)
    assert tidegate(driven, "stop", TASK).exit_code == 0


# --- looking ---


def test_status_shows_what_there_is_of_a_task(driven: Api) -> None:
    failed_with_snapshot(driven)
    said = tidegate(driven, "status", TASK).stdout
    for part in (TASK, "● Failure", "shop (postgres) → lake (postgres)", "the log of shop is broken", "continue, stop"):
        assert part in said
    assert data(tidegate(driven, "--json", "status", TASK))["task"]["status"] == "Failure"


def test_lists_are_shown_and_as_json_whole(driven: Api) -> None:
    paused(driven)
    for words, part in (
        (["ops"], TASK),
        (["tasks"], TASK),
        (["versions", TASK], "admin"),
        (["runs", TASK], "incremental"),
        (["snapshots", TASK], "pause"),
        (["positions", TASK, "--ask-source"], "4.0 KiB"),
        (["events", TASK], "drained"),
        (["events"], TASK),
        (["groups"], "default"),
    ):
        said = tidegate(driven, *words)
        assert said.exit_code == 0, said.output
        assert part in said.stdout, words
        assert data(tidegate(driven, *words, "--json")), words


def test_ops_are_filtered(driven: Api) -> None:
    running(driven)
    driven.ask("POST", "/tasks", expect=201, json=definition("other"))
    driven.ask("POST", "/tasks/other/submit")
    found = data(tidegate(driven, "ops", "--status", "Initialize", "--sort", "-name", "--json"))
    assert [one["name"] for one in found["items"]] == ["other"]


def test_a_snapshot_is_taken_when_asked_for(driven: Api) -> None:
    running(driven)
    assert data(tidegate(driven, "snapshots", TASK, "--take", "--json"))["kind"] == "manual"


def test_a_snapshot_of_a_task_that_rests_is_refused(driven: Api) -> None:
    paused(driven)
    assert tidegate(driven, "snapshots", TASK, "--take").exit_code == 2


def test_what_is_shown_cannot_move_the_cursor(stocked: Api) -> None:
    stocked.plane.wrong.append(SourceUnreachable("table public.\x1b[2Jorders"))
    assert "\x1b" not in tidegate(stocked, "submit", TASK).output
    assert json.loads(tidegate(stocked, "submit", TASK, "--json").stdout)["detail"] == "table public.\x1b[2Jorders"


# --- the environment ---


def test_a_wrong_token_is_the_environments_fault(standing_api: Api) -> None:
    said = tidegate(standing_api, "ops", "--token", "wrong", "--json")
    assert (said.exit_code, json.loads(said.stdout)["code"]) == (3, "request.unauthorized")


def test_a_server_that_is_not_there_is_named(standing_api: Api) -> None:
    said = tidegate(standing_api, "ops", "--url", "http://127.0.0.1:1")
    assert said.exit_code == 3
    assert "http://127.0.0.1:1: Connection refused" in said.stderr
    assert "tidegate server" in said.stderr


def test_words_that_mean_nothing_are_a_bad_request(standing_api: Api) -> None:
    for words in (["explode"], ["pause"], ["ops", "--colour"], ["ops", "--page", "0"], ["ops", "--status", "Purple"]):
        assert tidegate(standing_api, *words).exit_code == 2, words


def test_the_token_is_never_printed(driven: Api) -> None:
    running(driven)
    for words in (["ops"], ["status", TASK, "--json"], ["stop", "nobody"], ["--help"]):
        assert driven.token not in tidegate(driven, *words).output


# --- the machine ---


def test_the_doctor_looks_at_the_machine_and_its_server(stocked: Api, tmp_path: Path) -> None:
    found = data(tidegate(stocked, "doctor", "--json", TIDEGATE_DATA_DIR=str(tmp_path / "new")))
    levels = {one["name"]: one["level"] for one in found["findings"]}
    assert found["ok"]
    assert levels["server"] == levels["data directory"] == "good"
    assert levels.keys() >= {"decoder", "connectors", "open files"}


def test_the_doctor_says_what_is_wrong_and_what_to_do(stocked: Api, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    said = tidegate(stocked, "doctor", TIDEGATE_DATA_DIR=str(tmp_path / "taken"), TIDEGATE_TOKEN="another")
    assert said.exit_code == 3
    assert "cannot be written to" in said.stdout
    assert "TIDEGATE_DATA_DIR" in said.stdout
    assert "2 of 5 wrong" in said.stdout


def test_the_doctor_asks_the_log_in_provider_if_there_is_one(stocked: Api) -> None:
    with lying() as provider:
        given = {
            "TIDEGATE_SSO_ISSUER": provider.issuer,
            "TIDEGATE_SSO_CLIENT_ID": "tidegate",
            "TIDEGATE_PUBLIC_URL": stocked.url,
        }

        def found() -> tuple[str, str]:
            listed = data(tidegate(stocked, "doctor", "--json", **given))["findings"]
            one = next(one for one in listed if one["name"] == "single sign-on")
            return one["level"], one["found"]

        assert found() == ("good", f"{provider.issuer} answers")
        provider.says = {"issuer": "https://another.example"}
        level, said = found()
        assert level == "could be better"
        assert "calls itself otherwise" in said


def test_the_doctor_says_which_decoder_there_is(stocked: Api) -> None:
    found = data(tidegate(stocked, "doctor", "--json", TIDEGATE_DECODE="python"))
    decoder = next(one for one in found["findings"] if one["name"] == "decoder")
    assert (decoder["level"], decoder["found"]) == ("could be better", "Python decoder: TIDEGATE_DECODE asks for it")
