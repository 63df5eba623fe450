"""The Python client, one request after the other and awaited: every route, typed errors, pages, and what goes on."""

from __future__ import annotations

import asyncio
import inspect
import io
import itertools
import threading
from typing import Any

import pytest

from api.rig import Api, data_source, definition
from api.situations import TASK, running
from api.test_logs import entry, say, talking
from tidegate.client import AsyncClient, Client
from tidegate.errors import (
    CommandRefused,
    EnvironmentLacking,
    NotFound,
    ServerUnreachable,
    SourceLogBroken,
    TaskInvalid,
    Unauthorized,
)
from tidegate.server.app import openapi
from tidegate.testing.servers import free_port, until

__all__ = ["talking"]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_every_route_that_answers_a_program_is_a_method_with_all_its_parameters(kind: type) -> None:
    for methods in openapi()["paths"].values():
        for operation in methods.values():
            if not any(status.startswith("2") for status in operation["responses"]):
                continue  # a browser is sent on
            method = getattr(kind, operation["operationId"])
            asked = {one["name"] for one in operation.get("parameters", ())}
            assert {f"{one}_" if one == "from" else one for one in asked} <= set(inspect.signature(method).parameters)
            assert ("requestBody" in operation) == ("body" in inspect.signature(method).parameters)
            assert inspect.iscoroutinefunction(method) == (kind is AsyncClient)


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)


def test_it_finds_the_server_by_what_it_is_given_or_the_environment(
    api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    with Client(api.url, api.token) as given:
        assert given.health()["status"] == "ok"
        assert given.get_session()["administrator"]
    monkeypatch.setenv("TIDEGATE_URL", api.url)
    monkeypatch.setenv("TIDEGATE_TOKEN", api.token)
    with Client() as found:
        assert found.list_ops()["total"] == 0
    monkeypatch.delenv("TIDEGATE_TOKEN")
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "none"))
    with pytest.raises(EnvironmentLacking):
        Client()
    with pytest.raises(EnvironmentLacking):
        Client("ftp://elsewhere", "x")


def test_a_task_is_defined_operated_and_looked_at(driven: Api) -> None:
    with Client(driven.url, driven.token) as client:
        client.create_data_source({"name": "third", "kind": "postgres", "config": data_source("third")["config"]})
        client.create_task(definition("second"))  # type: ignore[arg-type]
        assert client.submit_task("second")["task"]["status"] == "Initialize"
        assert client.operate("second", "run")["status"] == "Running"
        assert client.operate("second", "pause")["status"] == "Paused"
        assert client.operate("second", "continue")["state"] == "running"
        assert client.preview_command("second", "force-pause")["allowed"]
        assert client.operate("second", "stop")["status"] == "Stopped"
        assert [run["number"] for run in client.list_runs("second")] == [1]
        assert "tidegate" in client.scrape()
        client.delete_data_source("third")
        client.operate("second", "remove")
        until(lambda: [one["name"] for one in client.list_tasks()] == [TASK], "the task to be gone", 20)


def test_what_is_refused_is_raised_as_the_error_it_is_with_code_and_advice(stocked: Api) -> None:
    with Client(stocked.url, stocked.token) as client:
        with pytest.raises(CommandRefused) as refused:
            client.give_command(TASK, "pause")
        assert (refused.value.code, refused.value.status) == ("lifecycle.refused", 409)
        assert refused.value.advice
        assert {one["command"] for one in refused.value.facts["offers"]} >= {"run", "pause"}
        with pytest.raises(NotFound, match="nothing"):
            client.get_task("nothing")
        with pytest.raises(TaskInvalid):
            client.create_task({"task": "t"})  # type: ignore[arg-type, typeddict-item]
    with Client(stocked.url, "wrong") as stranger, pytest.raises(Unauthorized):
        stranger.list_ops()


def test_a_command_whose_task_fails_raises_what_the_task_failed_with(driven: Api) -> None:
    with Client(driven.url, driven.token) as client:
        client.submit_task(TASK)
        driven.engine.manners.fails_with = SourceLogBroken("the log of shop is broken")
        with pytest.raises(SourceLogBroken, match="the log of shop"):
            client.operate(TASK, "run")


def test_who_does_not_answer_and_who_is_no_tidegate_is_told(api: Api) -> None:
    with Client(f"http://127.0.0.1:{free_port()}", "x") as client, pytest.raises(ServerUnreachable, match="refused"):
        client.health()
    with Client(f"{api.url}/console", "x") as client, pytest.raises(ServerUnreachable, match="not as a Tidegate"):
        client.health()


def test_lists_are_gone_through_to_their_end(talking: Api) -> None:
    say(talking, *(entry(at + 1, f"line {at}") for at in range(25)))
    with Client(talking.url, talking.token) as client:

        def lines() -> list[str]:
            return [one["message"] for one in client.each_log_line(TASK, container="worker", order="oldest")]

        until(lambda: len(lines()) == 25, "the lines to be stored", 20)
        assert lines() == [f"line {at}" for at in range(25)]
        assert [one["name"] for one in client.each_task()] == [TASK]
        assert [one["name"] for one in client.each_table(TASK)] == ["public.orders"]
        whole = [one["id"] for one in client.each_event(TASK)]
        assert whole == [one["id"] for one in client.list_task_events(TASK)]
        assert [one["id"] for one in client._older(lambda before: client.list_events(before=before, limit=1))] == whole
        entries = [one["id"] for one in client.each_audit_entry()]
        assert entries == sorted(entries, reverse=True)
        assert list(client.each_alert()) == client.list_alerts()
        file = io.BytesIO()
        assert client.save(file, f"/api/v1/tasks/{TASK}/logs/download", container="worker") == len(file.getvalue())
        assert client.download_task_log(TASK, container="worker").count("\n") == file.getvalue().count(b"\n") == 25


def test_what_goes_on_is_followed_each_line_and_event_once(talking: Api) -> None:
    with Client(talking.url, talking.token) as client:
        follows = client.follow_log(TASK, container="worker", wait_s=1)
        got: list[str] = []
        begun = threading.Event()

        def take() -> None:
            begun.set()
            got.extend(next(follows)["message"] for _ in range(3))

        taking = threading.Thread(target=take)
        taking.start()
        begun.wait(20)
        until(lambda: (say(talking, entry(next(_said), "more")), not taking.is_alive())[1], "three lines", 30)
        taking.join(20)
        assert got == ["more"] * 3
        events = client.follow_events(TASK, pause_s=0.05)
        first: list[str] = []
        following = threading.Thread(target=lambda: first.append(next(events)["name"]))
        following.start()
        until(lambda: client.take_snapshot(TASK) and not following.is_alive(), "an event", 30)
        following.join(20)
        assert first


_said = itertools.count(1)


def test_the_awaited_client_does_the_same(driven: Api) -> None:
    async def life() -> list[str]:
        async with AsyncClient(driven.url, driven.token) as client:
            await client.submit_task(TASK)
            seen = [(await client.operate(TASK, command))["status"] for command in ("run", "pause", "continue")]
            many = await asyncio.gather(*(client.get_task(TASK) for _ in range(20)))
            assert {one["task"]["name"] for one in many} == {TASK}
            assert [one["name"] async for one in client.each_task()] == [TASK]
            assert [one["name"] async for one in client.each_table(TASK)]
            events = [one["id"] async for one in client.each_event(TASK)]
            assert events == [one["id"] for one in await client.list_task_events(TASK)]
            lines = [one["id"] async for one in client.each_log_line(TASK)]
            assert len(lines) == len(set(lines))
            assert [one async for one in client.each_audit_entry(action="give_command")]
            with pytest.raises(CommandRefused):
                await client.give_command(TASK, "run")
            with pytest.raises(NotFound):
                await client.get_task("nothing")
            file = io.BytesIO()
            assert await client.save(file, "/api/v1/audit/export") == len(file.getvalue())
            return seen

    assert asyncio.run(life()) == ["Running", "Paused", "Running"]


def test_a_running_task_is_settled_at_once(driven: Api) -> None:
    running(driven)
    with Client(driven.url, driven.token) as client:
        assert client.settled(TASK)["state"] == "running"
