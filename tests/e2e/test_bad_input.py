"""What cannot work is refused at the door, with a code, a sentence that names the thing, and advice; nothing half-done
remains at either end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.conftest import NewDatabase, World
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Refused, Site, eventually


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[World]:
    """One site for all refusals: none of them changes anything."""
    for name in ("bad_source", "bad_target"):
        postgres.create_database(name)
    site = Site(tmp_path_factory.mktemp("site")).start()
    world = World(site, postgres, "bad_source", "bad_target")
    world.source.execute(
        """
        create table good (id int primary key, name text);
        create table keyless (id int, name text);
        create table silent (id int primary key);
        alter table silent replica identity nothing;
        create schema other;
        create table other.good (id int primary key);
        create table wide (id int primary key, name text, amount numeric(12,2));
        create role reader login;
        grant connect on database bad_source to reader;
        """
    )
    world.target.execute(
        """
        create table lacking (id int primary key);
        create table narrow (id smallint primary key, name varchar(10), amount numeric(5,2));
        create table filled (id int primary key, name text);
        insert into filled values (1, 'not yours');
        """
    )
    yield world
    world.close()
    for name in ("bad_source", "bad_target"):
        postgres.drop_database(name)
    with postgres.connect("postgres") as connection:
        connection.execute("drop role reader")


def definition(tables: list[str], **more: Any) -> dict[str, Any]:
    source = {"data_source": "src", "tables": tables} | more.pop("source", {})
    target = {"data_source": "dst", "write": "upsert", "schema": "public"} | more.pop("target", {})
    return {"task": "bad", "kind": "whole_database", "source": source, "target": target} | more


def refusal(world: World, body: dict[str, Any]) -> dict[str, Any]:
    """The problem a definition is refused with, when it is saved, submitted or run; and that nothing was left."""
    site = world.site

    def save_and_run() -> None:
        site.ask("POST", "/tasks", body)
        site.ask("POST", "/tasks/bad/submit", {})
        site.command("bad", "run")

    try:
        with pytest.raises(Refused) as refused:
            save_and_run()
        return refused.value.problem
    finally:
        removed(site, "bad")
        assert world.slots() == []
        assert world.source.execute("select count(*) from pg_publication").fetchone() == (0,)


def removed(site: Site, name: str) -> None:
    """Remove the task if it was saved at all, and wait until it is gone."""
    if any(task["name"] == name for task in site.ask("GET", "/tasks")):
        site.ask("DELETE", f"/tasks/{name}")
        eventually(lambda: all(task["name"] != name for task in site.ask("GET", "/tasks")), f"{name} is removed")


@pytest.mark.parametrize(
    ("body", "code", "names"),
    [
        (definition(["public.nothing"]), "source.table_unknown", "public.nothing"),
        (definition(["public.nothing_.*"]), "source.pattern_empty", "public.nothing_.*"),
        (definition(["public.good", "other.good"]), "target.name_clash", "other.good"),
        (definition(["public.keyless"]), "source.no_key", "public.keyless"),
        (definition(["public.silent"]), "source.identity_missing", "public.silent"),
        (definition(["public.keyless"], target={"write": "append"}), "source.identity_missing", "public.keyless"),
        (definition(["public.good"], target={"table": "lacking"}), "target.misfit", "name"),
        (definition(["public.wide"], target={"table": "narrow"}), "target.misfit", "amount"),
        (definition(["public.good"], target={"table": "gone", "create_tables": False}), "target.table_missing", "gone"),
        (definition(["public.good"], target={"data_source": "src"}), "target.loop", "public.good"),
        (definition(["public.good"], target={"table": "{nonsense}"}), "task.invalid", "{nonsense}"),
        (definition(["public.good"], target={"write": "replace"}), "task.invalid", "target.write"),
        (definition(["public.good"], surprise=1), "task.invalid", "surprise"),
        (definition(["public.good"], kind="sharded"), "task.invalid", "sharded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_definition_that_cannot_work_is_refused(shared: World, body: dict[str, Any], code: str, names: str) -> None:
    problem = refusal(shared, body)
    assert problem["code"] == code
    assert names in problem["detail"]
    assert problem["advice"]


def test_rows_of_others_in_a_target_table_are_not_touched(shared: World) -> None:
    site = shared.site
    site.ask("POST", "/tasks", definition(["public.good"], target={"table": "filled"}) | {"task": "greedy"})
    with pytest.raises(Refused) as submitted:
        site.ask("POST", "/tasks/greedy/submit", {})
    assert submitted.value.problem["code"] == "target.not_empty"
    assert "filled" in submitted.value.problem["detail"]
    assert site.task("greedy")["task"]["status"] == "New"
    assert shared.target.execute("select * from filled").fetchall() == [(1, "not yours")]
    assert shared.slots() == []
    removed(site, "greedy")


def test_rows_that_came_after_the_task_was_submitted_refuse_its_run_but_not_its_own_rows_the_next(
    shared: World,
) -> None:
    site = shared.site
    site.ask("POST", "/tasks", definition(["public.good"], target={"table": "later"}) | {"task": "late"})
    site.ask("POST", "/tasks/late/submit", {})
    shared.target.execute("create table later (id int primary key, name text)")
    shared.target.execute("insert into later values (-1, 'not yours')")
    with pytest.raises(Refused) as run:
        site.command("late", "run")
    assert run.value.problem["code"] == "target.not_empty"
    assert site.task("late")["task"]["status"] == "Initialize"
    shared.target.execute("delete from later")
    shared.source.execute("insert into good values (1, 'ours')")
    for _ in range(2):
        site.command("late", "run")
        site.becomes("late", "Running")
        eventually(lambda: shared.target.execute("select count(*) from later").fetchone() != (0,), "rows arrive")
        site.command("late", "stop")
        site.becomes("late", "Stopped")
    shared.source.execute("delete from good")
    removed(site, "late")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong", "user": "nobody_here"}, "source.auth_failed"),
        ({"database": "no_such_database"}, "source.auth_failed"),
        ({"port": 1}, "source.unreachable"),
        ({"user": "reader"}, "source.privilege_missing"),
    ],
    ids=["credentials", "database", "address", "privileges"],
)
def test_a_source_that_cannot_be_read_is_refused(shared: World, change: dict[str, Any], code: str) -> None:
    site = shared.site
    config = shared.server.config("bad_source") | change
    site.ask("POST", "/data-sources", {"name": "broken", "kind": "postgres", "config": config})
    try:
        problem = refusal(shared, definition(["public.good"], source={"data_source": "broken"}))
        assert problem["code"] == code
        assert problem["advice"]
        assert "wrong" not in str(problem)
    finally:
        eventually_deleted(site)


def eventually_deleted(site: Site) -> None:
    eventually(lambda: not site.ask("GET", "/data-sources/broken")["used_by"], "the data source is not used any more")
    site.ask("DELETE", "/data-sources/broken")


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"wal_level": "replica"}, "source.log_disabled"),
        ({"max_replication_slots": 0}, "source.no_free_slot"),
    ],
    ids=["wal level", "slots"],
)
def test_a_server_that_cannot_be_followed_is_refused(shared: World, settings: dict[str, Any], code: str) -> None:
    with PostgresServer(shared.server.binaries, settings=settings) as server:
        server.create_database("plain")
        with server.connect("plain") as connection:
            connection.execute("create table good (id int primary key)")
        site = shared.site
        config = server.config("plain")
        site.ask("POST", "/data-sources", {"name": "broken", "kind": "postgres", "config": config})
        try:
            problem = refusal(shared, definition(["public.good"], source={"data_source": "broken"}))
            assert problem["code"] == code
        finally:
            eventually_deleted(site)


def test_malformed_bodies_are_refused(shared: World) -> None:
    client = shared.site.client
    assert client is not None
    for body, kind in ((b"{", "application/json"), (b"[1]", "application/json"), (b"a: b", "text/plain")):
        answer = client.post("/tasks", content=body, headers={"content-type": kind})
        assert answer.status_code in (400, 415, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"].startswith(("request.", "task."))


def test_a_malformed_file_is_refused_by_the_command_line(shared: World, database: NewDatabase) -> None:
    file = shared.site.folder / "bad.yaml"
    for text in ("task: [", "task: a\ntask: b\n", "task: x\nkind: whole_database\nsurprise: 1\n"):
        file.write_text(text)
        done = shared.site.cli("apply", "-f", str(file))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
