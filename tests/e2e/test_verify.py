"""`tidegate verify` with the real server, a real worker process and real databases: its word and its exit code."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import psycopg
import pytest

from e2e.conftest import World
from tidegate.testing.site import Refused, eventually


def verified(world: World, *words: str) -> tuple[int, dict[str, Any]]:
    said = world.site.cli("verify", *words, "--json")
    return said.returncode, json.loads(said.stdout)


@pytest.fixture
def task(world: World) -> str:
    world.source.execute("create table a (id int primary key, name text)")
    world.source.execute("insert into a select i, 'secret' || i from generate_series(1, 500) i")
    name = world.task("shop", ["public.a"])
    eventually(lambda: world.equal("a"), "the existing rows arrive")
    return name


def test_equal_is_0_different_is_1_and_what_cannot_be_told_is_2(world: World, task: str) -> None:
    code, said = verified(world, task)
    assert (code, said["verdict"], said["findings"][0]["rows_source"]) == (0, "equal", 500), said
    world.target.execute("delete from a where id = 7")
    world.target.execute("update a set name = 'other' where id = 8")
    code, said = verified(world, task)
    assert (code, said["verdict"]) == (1, "different")
    assert said["findings"][0]["differences"] == {"missing": 1, "different": 1}
    assert "secret" not in json.dumps(said)
    words = world.site.cli("verify", task, "--keys")
    assert words.returncode == 1
    assert "missing" in words.stdout
    assert "different  8  name" in words.stdout
    assert "secret" not in words.stdout + words.stderr
    code, said = verified(world, task, "--table", "public.none")
    assert (code, said["verdict"], said["problem"]["code"]) == (2, "undecided", "verify.impossible")
    code, said = verified(world, "nobody")
    assert (code, said["code"]) == (2, "request.not_found")


def test_a_paused_task_is_refused_with_what_to_do(world: World, task: str) -> None:
    world.site.command(task, "pause")
    world.site.becomes(task, "Paused")
    code, said = verified(world, task)
    assert (code, said["code"]) == (2, "lifecycle.refused")
    assert [one["command"] for one in said["offers"] if one["allowed"]] == ["continue", "stop"]


def test_without_a_server_the_environment_lacks_something(world: World, task: str) -> None:
    world.site.kill()
    assert world.site.cli("verify", task).returncode == 3


def test_a_worker_killed_while_it_compares_says_so_and_the_task_recovers(world: World, task: str) -> None:
    site = world.site
    with psycopg.connect(world.source_dsn) as other:
        other.execute("lock table a in access exclusive mode")  # so that the comparison is under way
        asked = site.ask("POST", f"/tasks/{task}/verifications", {})
        place = f"/tasks/{task}/verifications/{asked['id']}"
        eventually(lambda: site.ask("GET", place)["state"] == "comparing", "it compares")
        with pytest.raises(Refused) as refusal:
            site.ask("POST", f"/tasks/{task}/verifications", {})
        assert refusal.value.code == "verify.impossible"
        for pid in site.workers():
            os.kill(pid, signal.SIGKILL)
        ended = eventually(lambda: found if (found := site.ask("GET", place))["verdict"] else None, "it is over")
    assert (ended["state"], ended["verdict"], ended["problem"]["code"]) == ("ended", "undecided", "verify.unfinished")
    assert "replaced" in ended["problem"]["detail"]
    eventually(lambda: verified(world, task)[0] == 0, "the task recovers and is found equal")
    assert [one["verdict"] for one in site.ask("GET", f"/tasks/{task}/verifications")][-1] == "undecided"


def test_a_server_killed_while_its_worker_compares_hears_the_end_of_it(world: World, task: str) -> None:
    site = world.site
    with psycopg.connect(world.source_dsn) as other:
        other.execute("lock table a in access exclusive mode")
        asked = site.ask("POST", f"/tasks/{task}/verifications", {"keys": True})
        place = f"/tasks/{task}/verifications/{asked['id']}"
        eventually(lambda: site.ask("GET", place)["state"] == "comparing", "it compares")
        site.kill()
        other.rollback()
    site.start()

    def over() -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = site.ask("GET", place)
        except Refused:
            return None
        return found if found["verdict"] else None

    assert eventually(over, "the worker tells it to the new server")["verdict"] == "equal"

    def names() -> list[str]:
        return [event["name"] for event in site.ask("GET", f"/tasks/{task}/events")]

    eventually(lambda: "verified" in names(), "the key event, which is written behind the answer")
    assert "verify_asked" in names()


def test_a_comparison_that_was_cancelled_ends(world: World, task: str) -> None:
    site = world.site
    with psycopg.connect(world.source_dsn) as other:
        other.execute("lock table a in access exclusive mode")
        asked = site.ask("POST", f"/tasks/{task}/verifications", {})
        place = f"/tasks/{task}/verifications/{asked['id']}"
        eventually(lambda: site.ask("GET", place)["state"] == "comparing", "it compares")
        assert site.ask("DELETE", place)["verdict"] == "undecided"
    eventually(lambda: verified(world, task)[0] == 0, "the next one is taken up")
