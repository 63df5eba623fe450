"""The examples that operate a task do what they say, at a server of this process."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from api.rig import Api
from api.situations import TASK, running, task

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def at_work(driven: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    running(driven)
    monkeypatch.setenv("TIDEGATE_URL", driven.url)
    monkeypatch.setenv("TIDEGATE_TOKEN", driven.token)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return driven


def test_the_notebook_pauses_a_task_and_goes_on(
    at_work: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["operate.py", TASK])
    runpy.run_path(str(EXAMPLES / "operate.py"))
    said = capsys.readouterr().out
    assert said.splitlines()[:4] == [f"{TASK} is Running", "True ", "now Paused", "now Running"]
    assert "continued" in said or "run" in said


def test_what_airflow_does_by_plain_http_pauses_and_continues_and_may_be_tried_again(at_work: Api) -> None:
    found = runpy.run_path(str(EXAMPLES / "airflow_dag.py"))
    for command, status in (("pause", "Paused"), ("pause", "Paused"), ("continue", "Running")):
        found["operate"](command, status)
        assert task(at_work)["status"] == status
    with pytest.raises(Exception, match="409"):
        found["operate"]("run", "Stopped")
