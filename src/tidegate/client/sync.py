"""`Client`: a server asked from a program, a notebook or the command line, one request after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx

from tidegate.client import shapes as s
from tidegate.client.address import Address, address
from tidegate.client.calls import Calls
from tidegate.client.line import JSON, content, given, options, refusal, unreachable
from tidegate.client.operating import (
    PAGE_EVENTS,
    PAGE_ITEMS,
    PAGE_LINES,
    POLL_S,
    WAIT_S,
    beyond,
    demand_reached,
    is_over,
    late,
    left_s,
)


class Client(Calls):
    """Has each route of the API as a method, and below what takes several. Without arguments it asks the server that
    `TIDEGATE_URL` and `TIDEGATE_TOKEN` name, else this machine's. What is refused raises an error of `tidegate.errors`
    with its code, detail and advice. Threads may share one."""

    def __init__(self, url: str | None = None, token: str | None = None, *, ca: str | Path | None = None) -> None:
        """`ca` is a file of authorities to verify the server by (or `TIDEGATE_CA`), instead of the system's. Raises
        `EnvironmentLacking`, `SettingInvalid`."""
        self._open(address(os.environ, url, token, ca=ca))

    def _open(self, place: Address) -> None:
        self.url = place.url
        self._http = httpx.Client(**options(place))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, media: str = JSON
    ) -> Any:
        try:
            answer = self._http.request(method, path, params=given(query), json=body)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        return content(self.url, answer, media)

    def save(self, file: BinaryIO, path: str, **query: Any) -> int:
        """Write an answer that may be long into the file, as it comes; how many bytes it has."""
        size_bytes = 0
        try:
            with self._http.stream("GET", path, params=given(query)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise refusal(self.url, answer)
                for piece in answer.iter_bytes():
                    file.write(piece)
                    size_bytes += len(piece)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        return size_bytes

    # --- commands and their end ---

    def operate(
        self, task: str, command: s.CommandName, body: s.Command | None = None, *, project: str | None = None
    ) -> s.TaskView:
        """Give a command and wait until its step has ended. Raises what it is refused with, the task's own error if it
        did not get there, and `DeadlinePassed`."""
        accepted = self.give_command(task, command, body, project=project)
        if command == "remove":
            return accepted["task"]  # which is gone when that is done
        ended = self.settled(str(accepted["task"]["id"]), project=project)
        demand_reached(ended, command)
        return ended

    def settled(self, task: str, *, project: str | None = None) -> s.TaskView:
        """The task once no step is under way. Raises `DeadlinePassed`."""
        found = self.get_task(task, project=project)["task"]
        until = time.monotonic() + left_s(found)
        while not is_over(found):
            if time.monotonic() > until:
                raise late(found)
            time.sleep(POLL_S)
            found = self.get_task(task, project=project)["task"]
        return found

    # --- lists that come in pages, and what goes on ---

    def each_task(self, **filters: Any) -> Iterator[s.TaskView]:
        """Every submitted task; filters as of `list_ops`."""
        yield from self._numbered(lambda page: self.list_ops(**filters, page=page, page_size=PAGE_ITEMS))

    def each_table(self, task: str, **filters: Any) -> Iterator[s.TableView]:
        """Every table of a run; filters as of `list_tables`."""
        yield from self._numbered(lambda page: self.list_tables(task, **filters, page=page, page_size=PAGE_ITEMS))

    def each_event(self, task: str | None = None, **filters: Any) -> Iterator[s.EventView]:
        """Key events of a task, or of all, newest first; filters as of `list_events`."""
        one = (lambda **more: self.list_task_events(task, **more)) if task is not None else self.list_events
        yield from self._older(lambda before: one(**filters, before=before, limit=PAGE_EVENTS))

    def each_alert(self, **filters: Any) -> Iterator[s.AlertView]:
        """What fired, newest first; filters as of `list_alerts`."""
        yield from self._older(lambda before: self.list_alerts(**filters, before=before))

    def each_audit_entry(self, **filters: Any) -> Iterator[s.AuditEntryView]:
        """Who did what, newest first; filters as of `list_audit`."""
        yield from self._older(lambda before: self.list_audit(**filters, before=before))

    def each_log_line(self, task: str, **search: Any) -> Iterator[s.LogLineView]:
        """What was logged about a task until now; parameters as of `list_task_log`."""
        cursor: str | None = None
        while True:
            page = self.list_task_log(task, **search, cursor=cursor, limit=PAGE_LINES)
            yield from page["items"]
            if (cursor := page["cursor"]) is None:
                return

    def follow_log(self, task: str, *, wait_s: float = WAIT_S, **search: Any) -> Iterator[s.LogLineView]:
        """What is logged about a task from now on, each line once, without end."""
        cursor = self.list_task_log(task, **search, limit=1)["follow"]
        while True:
            page = self.list_task_log(task, **search, cursor=cursor, limit=PAGE_LINES, wait_s=wait_s)
            cursor = page["follow"]
            yield from page["items"]

    def follow_events(self, task: str, *, pause_s: float = 1.0, **filters: Any) -> Iterator[s.EventView]:
        """A task's key events from now on, each once, without end."""
        after = max((one["id"] for one in self.list_task_events(task, **filters, limit=1)), default=0)
        while True:
            found = self.list_task_events(task, **filters, after=after, order="oldest", limit=PAGE_EVENTS)
            yield from found
            after = max((one["id"] for one in found), default=after)
            if not found:
                time.sleep(pause_s)

    @staticmethod
    def _numbered(ask: Callable[[int], Any]) -> Iterator[Any]:
        page, seen = 1, 0
        while (found := ask(page))["items"]:
            yield from found["items"]
            page, seen = page + 1, seen + len(found["items"])
            if seen >= found["total"]:
                return

    @staticmethod
    def _older(ask: Callable[[int | None], Any]) -> Iterator[Any]:
        before: int | None = None
        while found := ask(before):
            yield from found
            before = beyond(found)
