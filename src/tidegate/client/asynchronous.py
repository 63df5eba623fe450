"""`AsyncClient`: the same as `Client`, to be awaited."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx

from tidegate.client import shapes as s
from tidegate.client.address import address
from tidegate.client.async_calls import AsyncCalls
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


class AsyncClient(AsyncCalls):
    """See `Client`. Its tasks belong to one event loop."""

    def __init__(self, url: str | None = None, token: str | None = None, *, ca: str | Path | None = None) -> None:
        """As `Client`. Raises `EnvironmentLacking`, `SettingInvalid`."""
        place = address(os.environ, url, token, ca=ca)
        self.url = place.url
        self._http = httpx.AsyncClient(**options(place))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, media: str = JSON
    ) -> Any:
        try:
            answer = await self._http.request(method, path, params=given(query), json=body)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        return content(self.url, answer, media)

    async def save(self, file: BinaryIO, path: str, **query: Any) -> int:
        """As `Client.save`."""
        size_bytes = 0
        try:
            async with self._http.stream("GET", path, params=given(query)) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise refusal(self.url, answer)
                async for piece in answer.aiter_bytes():
                    file.write(piece)
                    size_bytes += len(piece)
        except httpx.HTTPError as error:
            raise unreachable(self.url, error) from error
        return size_bytes

    # --- commands and their end ---

    async def operate(
        self, task: str, command: s.CommandName, body: s.Command | None = None, *, project: str | None = None
    ) -> s.TaskView:
        """As `Client.operate`."""
        accepted = await self.give_command(task, command, body, project=project)
        if command == "remove":
            return accepted["task"]
        ended = await self.settled(str(accepted["task"]["id"]), project=project)
        demand_reached(ended, command)
        return ended

    async def settled(self, task: str, *, project: str | None = None) -> s.TaskView:
        """As `Client.settled`."""
        found = (await self.get_task(task, project=project))["task"]
        until = time.monotonic() + left_s(found)
        while not is_over(found):
            if time.monotonic() > until:
                raise late(found)
            await asyncio.sleep(POLL_S)
            found = (await self.get_task(task, project=project))["task"]
        return found

    # --- lists that come in pages, and what goes on ---

    async def each_task(self, **filters: Any) -> AsyncIterator[s.TaskView]:
        """As `Client.each_task`."""
        async for one in self._numbered(lambda page: self.list_ops(**filters, page=page, page_size=PAGE_ITEMS)):
            yield one

    async def each_table(self, task: str, **filters: Any) -> AsyncIterator[s.TableView]:
        """As `Client.each_table`."""
        async for one in self._numbered(
            lambda page: self.list_tables(task, **filters, page=page, page_size=PAGE_ITEMS)
        ):
            yield one

    async def each_event(self, task: str | None = None, **filters: Any) -> AsyncIterator[s.EventView]:
        """As `Client.each_event`."""
        ask = (lambda **more: self.list_task_events(task, **more)) if task is not None else self.list_events
        async for one in self._older(lambda before: ask(**filters, before=before, limit=PAGE_EVENTS)):
            yield one

    async def each_alert(self, **filters: Any) -> AsyncIterator[s.AlertView]:
        """As `Client.each_alert`."""
        async for one in self._older(lambda before: self.list_alerts(**filters, before=before)):
            yield one

    async def each_audit_entry(self, **filters: Any) -> AsyncIterator[s.AuditEntryView]:
        """As `Client.each_audit_entry`."""
        async for one in self._older(lambda before: self.list_audit(**filters, before=before)):
            yield one

    async def each_log_line(self, task: str, **search: Any) -> AsyncIterator[s.LogLineView]:
        """As `Client.each_log_line`."""
        cursor: str | None = None
        while True:
            page = await self.list_task_log(task, **search, cursor=cursor, limit=PAGE_LINES)
            for one in page["items"]:
                yield one
            if (cursor := page["cursor"]) is None:
                return

    async def follow_log(self, task: str, *, wait_s: float = WAIT_S, **search: Any) -> AsyncIterator[s.LogLineView]:
        """As `Client.follow_log`."""
        cursor = (await self.list_task_log(task, **search, limit=1))["follow"]
        while True:
            page = await self.list_task_log(task, **search, cursor=cursor, limit=PAGE_LINES, wait_s=wait_s)
            cursor = page["follow"]
            for one in page["items"]:
                yield one

    async def follow_events(self, task: str, *, pause_s: float = 1.0, **filters: Any) -> AsyncIterator[s.EventView]:
        """As `Client.follow_events`."""
        after = max((one["id"] for one in await self.list_task_events(task, **filters, limit=1)), default=0)
        while True:
            found = await self.list_task_events(task, **filters, after=after, order="oldest", limit=PAGE_EVENTS)
            for one in found:
                yield one
            after = max((one["id"] for one in found), default=after)
            if not found:
                await asyncio.sleep(pause_s)

    @staticmethod
    async def _numbered(ask: Callable[[int], Awaitable[Any]]) -> AsyncIterator[Any]:
        page, seen = 1, 0
        while (found := await ask(page))["items"]:
            for one in found["items"]:
                yield one
            page, seen = page + 1, seen + len(found["items"])
            if seen >= found["total"]:
                return

    @staticmethod
    async def _older(ask: Callable[[int | None], Awaitable[Any]]) -> AsyncIterator[Any]:
        before: int | None = None
        while found := await ask(before):
            for one in found:
                yield one
            before = beyond(found)
