"""Secrets and values of rows that were planted are found in none of six places while a real task copies, follows, is
compared, is refused a row and is operated: answers, logs, metrics, the store, the audit log, errors (I8)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from e2e.conftest import World
from tidegate.testing.site import Refused, eventually

CELL, SECRET = "canary-cell-7f3a", "canary-secret-51c9"
PLACES = {"{run}": "1", "{request}": "none", "{id}": "none", "{command}": "continue", "{account}": "none"}


def answers(world: World, task: str) -> Iterator[tuple[str, str]]:
    """What every GET route says, by its address, whatever its status."""
    client = world.site.client
    assert client is not None
    for path, methods in world.site.ask("GET", "/openapi.json")["paths"].items():
        if "get" in methods:
            place = path.replace("{task}", task)
            for field, value in PLACES.items():
                place = place.replace(field, value)
            place = place.replace(
                "{name}", "src" if "data-sources" in path else "hook" if "channels" in path else "default"
            )
            more = {"task": "1"} if path.endswith("/ops/trends") else {}
            answer = client.get(f"{world.site.url}{place}", params=more)
            assert answer.status_code < 500 or "problem+json" in answer.headers["content-type"], answer.text
            yield place, answer.text


def errors(world: World, task: str) -> Iterator[tuple[str, str]]:
    """Refusals of requests that hold secrets, and of commands."""
    config = world.server.config(world.source_name)
    wrong: list[tuple[str, str, Any]] = [
        ("PUT", "/data-sources/src", {"config": {"password": SECRET, "no_such": SECRET}}),
        ("POST", "/data-sources", {"name": "src", "kind": "postgres", "config": config | {"password": SECRET}}),
        ("POST", "/data-sources", {"name": "x y", "kind": "postgres", "config": config | {"password": SECRET}}),
        ("PUT", "/alert-channels/hook", {"url": f"http://10.0.0.1/{SECRET}"}),
        ("POST", "/tokens", {"account": SECRET, "name": SECRET}),
        ("POST", "/session", {"name": "ann", "password": SECRET}),
        ("POST", f"/tasks/{task}/commands/pause", {"version": 1}),
        ("POST", f"/tasks/{task}/commands/continue", {}),
    ]
    for method, path, body in wrong:
        try:
            found = world.site.ask(method, path, body)
        except Refused as refused:
            found = refused.problem
        yield f"{method} {path}", str(found)


def test_no_secret_and_no_value_of_a_row_is_found_in_any_of_six_places(world: World) -> None:
    site = world.site
    for name, database in (("src", world.source_name), ("dst", world.target_name)):
        config = world.server.config(database) | {"password": SECRET}  # which the server does not ask for
        site.ask("PUT", f"/data-sources/{name}", {"config": config})
    channel = {"name": "hook", "kind": "webhook", "url": f"https://93.184.216.34:9/{SECRET}", "key": SECRET * 2}
    site.ask("POST", "/alert-channels", channel | {"enabled": False})
    world.source.execute(f"create table a (id int primary key, name text not null default '{CELL}')")
    world.source.execute(f"insert into a select i, '{CELL}' || i from generate_series(1, 50) i")
    world.target.execute(f"create table a (id int primary key, name text not null check (name <> '{CELL}77'))")
    task = world.task("shop", ["public.a"], target={"create_tables": False}, restarts={"max": 1})
    eventually(lambda: world.equal("a"), "the existing rows arrive")
    world.source.execute(f"update a set name = '{CELL}' || 'changed' where id < 9")
    eventually(lambda: world.equal("a"), "changes arrive")

    world.target.execute(f"update a set name = '{CELL}other' where id = 3")
    verified = site.ask("POST", f"/tasks/{task}/verifications", {})
    compared = f"/tasks/{task}/verifications/{verified['id']}"
    eventually(lambda: site.ask("GET", compared)["state"] not in ("waiting", "running"), "rows are compared")
    said = [("the comparison", str(site.ask("GET", compared)))]
    world.source.execute(f"insert into a values (77, '{CELL}77')")
    eventually(lambda: site.status(task) == "Failure", "the target refuses the row")

    said += [*answers(world, task), *errors(world, task)]
    addresses = {place for place, _ in said}
    assert addresses >= {"/metrics", "/api/v1/audit/export", f"/api/v1/tasks/{task}/logs/download", "/api/v1/events"}
    assert any("value_refused" in text for _, text in said), "the error that a row's value caused was looked at"
    assert any("edit_data_source" in text for place, text in said if "audit" in place)
    files = [path for path in site.folder.rglob("*") if path.is_file()]
    assert any(re.search(r"\.(db|sqlite)", path.name) for path in files), files
    for place, text in said:
        assert CELL not in text, place
        assert SECRET not in text, place
    for path in files:
        held = path.read_bytes()
        assert CELL.encode() not in held, path
        assert SECRET.encode() not in held, path
