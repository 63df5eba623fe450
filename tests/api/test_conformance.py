"""The whole REST API against its own OpenAPI document: thousands of requests that Schemathesis makes up from it, good
ones, wrong ones and sequences, at a living server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.rig import Api
from api.situations import running
from tidegate.server.app import openapi

CASES_MIN = 5_000
EXAMPLES = 6
SEED = 401714465
"""The same each time, so that who lands a change meets only what the change did; TIDEGATE_SEED looks elsewhere."""
DEADLINE_S = 900
HOOKS = Path(__file__).with_name("conformance_hooks.py")

CONFIG = """\
continue-on-failure = true
request-timeout = 60
warnings = false
hooks = "{hooks}"
headers = {{ Authorization = "Bearer {token}" }}

[cache]
enabled = false

[generation]
database = "none"
allow-x00 = false
no-shrink = true
max-examples = {examples}

[phases.stateful.generation]
max-examples = 60

[checks]
# Where the source or the target of a task does not answer, that is no error of the server.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]

[[operations]]
# As a browser does, from a page of the server.
include-path = ["/api/v1/session", "/api/v1/setup"]
headers = {{ Origin = "{url}" }}

[[operations]]
# What has rules between its fields, or a language of its own, is refused for more than a schema can say.
include-operation-id = {tied}
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "4xx", 502, 503, 504]
"""


def tied() -> list[str]:
    """Operations that take a document, or keywords to search by."""
    return [
        operation["operationId"]
        for methods in openapi()["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
        or {one["name"] for one in operation.get("parameters", ())} & {"search", "position", "from", "expect"}
    ]


def report(folder: Path, api: Api, seed: int) -> tuple[dict[str, Any], str]:
    """What Schemathesis found, for programs and for people."""
    config, found = folder / "conformance.toml", folder / "report.json"
    config.write_text(
        CONFIG.format(examples=EXAMPLES, token=api.token, hooks=HOOKS, url=api.url, tied=json.dumps(tied()))
    )
    words = ["--config-file", str(config), "run", f"{api.url}/api/v1/openapi.json", "--url", api.url, "--no-color"]
    words += ["--checks", "all", "--seed", str(seed), "--report-json-path", str(found)]
    said = subprocess.run(
        [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert found.exists(), said.stdout + said.stderr
    return json.loads(found.read_text()), said.stdout


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/events", {"since": "0"}),
        ("/audit", {"until": "1767225600"}),
        ("/alerts", {"until": "2026-03-01 12:00Z"}),
        ("/tasks/shop_to_lake/metrics", {"from": "2026-03-01T12:00:00"}),
        ("/audit", {"outcome": "well"}),
        ("/alerts", {"metric": "mood"}),
    ],
)
def test_a_filter_that_means_nothing_is_refused_and_does_not_find_nothing(
    stocked: Api, path: str, wrong: dict[str, str]
) -> None:
    said = stocked.ask("GET", path, expect=422, params=wrong)
    assert [one["field"] for one in said["errors"]] == [f"query.{next(iter(wrong))}"]


@pytest.mark.parametrize("name", ["größe", "表名", "٣a"])
def test_a_name_of_any_script_is_one_wherever_it_stands(stocked: Api, name: str) -> None:
    stocked.ask("POST", "/projects", expect=201, json={"name": name})
    assert stocked.ask("GET", "/ops", params={"project": name})["total"] == 0
    assert stocked.ask("GET", f"/projects/{name}/members") == []


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.timeout(DEADLINE_S + 20)
def test_no_request_finds_an_error_of_the_server_or_an_answer_that_is_not_documented(
    driven: Api, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("TIDEGATE_SEED") or SEED)
    running(driven)
    found, said = report(tmp_path, driven, seed)
    counts = found["test_cases"]
    print(f"seed {seed}: {counts['generated']} cases in {found['running_time']:.0f} s")
    assert not found["failures"], said
    assert not found["errors"], said
    assert found["operations"]["tested"] == found["operations"]["total"]
    assert counts["generated"] >= CASES_MIN
    assert "crashed" not in capfd.readouterr().err
