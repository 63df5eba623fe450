"""Secrets never come out: not in an answer, not in a refusal, not in the log, not in the store's file (I8)."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from api.rig import CANARY, Api, data_source, definition
from api.situations import paused, running


def every_answer(api: Api) -> list[str]:
    """What every GET route says of the task and the data sources."""
    known = {"{task}": "shop_to_lake", "{run}": "1", "{request}": "none"}
    texts = []
    for path, methods in api.ask("GET", "/openapi.json")["paths"].items():
        if "get" not in methods:
            continue
        place = path
        for field, value in known.items():
            place = place.replace(field, value)
        place = place.replace("{name}", "shop" if "data-sources" in path else "default")
        answer = api.http.get(place)
        assert answer.status_code < 500, answer.text
        texts.append(answer.text)
    return texts


@pytest.mark.parametrize("arrive", [running, paused])
def test_a_password_is_seen_nowhere_while_a_task_lives(
    driven: Api, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, arrive: object
) -> None:
    caplog.set_level(logging.DEBUG)
    assert callable(arrive)
    arrive(driven)
    channel = {"name": "hook", "kind": "webhook", "url": f"http://127.0.0.1:9/{CANARY}", "key": CANARY * 2}
    driven.ask("POST", "/alert-channels", expect=201, json=channel)
    said = every_answer(driven)
    assert len(said) > 15
    said.append(driven.http.post("/api/v1/data-sources/shop/test").text)
    said.append(driven.http.post("/api/v1/alert-channels/hook/test").text)
    said.append(driven.http.put("/api/v1/alert-channels/hook", json={"url": f"ftp://{CANARY}"}).text)
    said.append(driven.http.put("/api/v1/alert-channels/hook", json={"url": f"http://10.0.0.1/{CANARY}"}).text)
    wrong = channel | {"name": "other", "kind": "apprise", "url": f"{CANARY}://x"}
    said.append(
        driven.http.post("/api/v1/alert-channels", json={**wrong, "key": None}).text.replace(f"service {CANARY}", "")
    )
    said.append(driven.http.put("/api/v1/data-sources/shop", json={"config": {"password": CANARY, "x": CANARY}}).text)
    said.append(driven.http.post("/api/v1/data-sources", json=data_source("shop")).text)
    said.append(driven.http.post("/api/v1/tasks", json=definition() | {"password": CANARY, "units": CANARY}).text)
    said.append(driven.http.post("/api/v1/data-sources", content=f'{{"password": "{CANARY}"').text)
    out, err = capfd.readouterr()
    for text in (*said, out, err, caplog.text):
        assert CANARY not in text
        assert driven.token not in text
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes(), path.name


def test_only_the_worker_of_a_run_is_given_the_password(driven: Api) -> None:
    running(driven)
    given = driven.engine.puppets[0].given
    assert given["source"]["config"]["password"] == CANARY
    assert CANARY not in json.dumps(given["task"])
