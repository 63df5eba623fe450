"""The log of a real worker comes to the server while it runs, and outlives both."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from e2e.conftest import World
from tidegate.testing.site import eventually

CANARY = "canary-7f3a"
"""A cell value, a default, and a part of every error a target gives; it must never be logged."""


def said(world: World, task: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.site.ask("GET", f"/tasks/{task}/logs", limit=1000, order="oldest", **query)[
        "items"
    ]
    return found


def messages(world: World, task: str, **query: Any) -> list[str]:
    return [one["message"] for one in said(world, task, **query)]


def test_a_worker_killed_at_once_loses_no_line_that_it_said_seconds_before(world: World) -> None:
    world.source.execute("create table a (id int primary key)")
    task = world.task("shop", ["public.a"])
    opened = eventually(lambda: said(world, task, search="run.opened"), "the worker tells that it is open")
    assert (opened[0]["container"], opened[0]["run"], opened[0]["epoch"]) == ("worker", 1, 1)
    [worker] = world.site.processes()
    # What it says about tables that come is said by the process alone: the kill comes two seconds later.
    world.source.execute("alter table a add column b int")
    world.source.execute("insert into a values (1, 1)")
    path = world.site.folder / "logs" / f"{worker.run}-{worker.epoch}.log"
    eventually(lambda: "schema_change" in path.read_text(), "the worker logs the change")
    time.sleep(2)
    os.kill(worker.pid, signal.SIGKILL)
    written = [json.loads(text)["event"] for text in path.read_text().splitlines() if text.startswith("{")]
    assert messages(world, task, container="worker")[: len(written)] == written
    eventually(lambda: messages(world, task, container="server", search="worker.lost"), "the server tells of its end")


def test_the_log_outlives_the_server_and_is_followed_across_its_restart(world: World) -> None:
    world.source.execute("create table a (id int primary key)")
    task, site = world.task("shop", ["public.a"]), world.site
    eventually(lambda: said(world, task, search="run.opened"), "the worker tells that it is open")
    page = site.ask("GET", f"/tasks/{task}/logs", limit=1000)
    before = [one["id"] for one in page["items"]]
    site.kill()
    # Said while nobody listens; it is told later.
    world.source.execute("alter table a add column b int")
    world.source.execute("insert into a values (1, 1)")
    site.start()
    followed: list[dict[str, Any]] = []
    place = {"cursor": page["follow"]}

    def heard() -> bool:
        more = site.ask("GET", f"/tasks/{task}/logs", limit=1000, wait_s=1, **place)
        place["cursor"] = more["follow"]
        followed.extend(more["items"])
        return "schema_change" in [one["message"] for one in followed]

    eventually(heard, "what was said meanwhile arrives")
    ids = [*before, *(one["id"] for one in followed)]
    assert len(set(ids)) == len(ids)


def test_neither_a_cell_value_nor_a_secret_is_ever_logged(world: World) -> None:
    """Rows are copied, follow, and one of them is refused by the target."""
    password = world.server.config(world.source_name).get("password") or ""
    world.source.execute(f"create table a (id int primary key, name text not null default '{CANARY}')")
    world.source.execute(f"insert into a select i, '{CANARY}' || i from generate_series(1, 50) i")
    world.target.execute(f"create table a (id int primary key, name text not null check (name <> '{CANARY}77'))")
    task, site = world.task("shop", ["public.a"], target={"create_tables": False}, restarts={"max": 1}), world.site
    eventually(lambda: world.equal("a"), "the existing rows arrive")
    world.source.execute(f"insert into a values (77, '{CANARY}77')")
    eventually(lambda: site.status(task) == "Failure", "the target refuses the row")
    eventually(lambda: said(world, task, search="run.gave_up value_refused", diagnosis="values"), "the worker says why")
    texts = [(site.folder / "server.out").read_text()]
    texts += [path.read_text() for path in (site.folder / "logs").iterdir()]
    for path in (f"/tasks/{task}/logs/download", "/logs/download"):
        for kind in ("text", "jsonl"):
            assert site.client is not None
            texts.append(site.client.get(path, params={"format": kind}).text)
    assert any("run.gave_up" in text for text in texts)
    for text in texts:
        assert CANARY not in text
        assert "tgw_" not in text
        assert not password or password not in text
