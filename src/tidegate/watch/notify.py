"""Delivers messages about alerts: from the store, by threads of its own, each attempt with a deadline, tried again
for a while. A message is sent at least once: it carries an id by which a receiver knows it again.

What is told and to whom was decided in the transaction in which the alert fired; a server that dies sends it later.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from tidegate.errors import AlertUndelivered, NotFound, Retry, StoreUnavailable, TidegateError
from tidegate.model.alert import BY_NAME
from tidegate.model.problem import problem
from tidegate.store import alerts
from tidegate.store.alerts import AlertRow, ChannelRow, MessageRow
from tidegate.store.database import Database
from tidegate.store.secrets import Vault
from tidegate.watch import messenger
from tidegate.watch.outbound import Outbound

log = structlog.get_logger()

WEBHOOK, APPRISE = "webhook", "apprise"
KINDS = (WEBHOOK, APPRISE)
THREADS = 8
AT_ONCE = 40
TRIES_MAX = 12
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 900.0
LOOK_S = 1.0
_LEVELS = {"normal": "info", "important": "warning", "urgent": "failure"}


class Clock(Protocol):
    def now(self) -> float:
        """Unix time in seconds."""

    def ticks(self) -> float:
        """Seconds by a steady clock."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is told. `id` is the same each time it is tried."""

    id: str
    about: str
    title: str
    text: str
    level: str
    facts: Mapping[str, Any]


def sealed_for(project_id: int, name: str) -> str:
    """What a channel's secrets are bound to."""
    return f"alert channel {project_id}/{name}"


def told_about(row: AlertRow, project: str, message_id: int, about: str) -> Message:
    unit = BY_NAME[row.metric].unit if row.metric in BY_NAME else ""
    value = "" if row.value is None else f", now {row.value:g} {unit}".rstrip()
    what = "is resolved" if about == alerts.RESOLVED else "fired"
    title = f"[{row.severity}] {row.task_name}: {row.metric}" + (" resolved" if about == alerts.RESOLVED else "")
    text = (
        f"Alert rule {row.rule_name} {what} for task {row.task_name} (project {project}): {row.condition}{value}. "
        f"Since {_moment(row.fired_at)}"
        + (f", until {_moment(row.resolved_at)}." if row.resolved_at is not None else ".")
    )
    facts = {
        "alert": {
            "id": row.id,
            "rule": row.rule_name,
            "severity": row.severity,
            "metric": row.metric,
            "condition": row.condition,
            "value": row.value,
            "unit": unit,
            "fired_at": _moment(row.fired_at),
            "resolved_at": None if row.resolved_at is None else _moment(row.resolved_at),
        },
        "task": {"id": row.task_id, "name": row.task_name, "project": project, "run": row.run_number},
    }
    level = "success" if about == alerts.RESOLVED else _LEVELS.get(row.severity, "info")
    return Message(f"m{message_id}", about, title, text, level, facts)


def trial(channel: str, now: float) -> Message:
    """What a test-send says."""
    text = f"This is a test of the alert channel {channel}, sent {_moment(now)}."
    return Message(f"test{int(now * 1000)}", "test", "Tidegate: test", text, "info", {})


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# --- one attempt ------------------------------------------------------------------------------------------------


def signed(body: bytes, key: str, at: float) -> dict[str, str]:
    """The headers by which a receiver that has the key knows that the server sent this body, and when: HMAC-SHA256
    over the timestamp's digits, a dot and the body."""
    stamp = str(int(at))
    headers = {"Content-Type": "application/json", "User-Agent": "tidegate", "Tidegate-Timestamp": stamp}
    if key:
        mark = hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers["Tidegate-Signature"] = f"sha256={mark}"
    return headers


def post(secrets: Mapping[str, str], message: Message, outbound: Outbound, now: float) -> None:
    """Send by a webhook. Raises what `Outbound.post` raises."""
    said = {"version": 1, "id": message.id, "about": message.about, "title": message.title, "text": message.text}
    body = json.dumps({**said, **message.facts}, ensure_ascii=False).encode()
    outbound.post(secrets["url"], body, signed(body, secrets.get("key", ""), now))


def attempt(
    kind: str,
    given: Sequence[tuple[Mapping[str, str], Message]],
    outbound: Outbound,
    now: float,
    *,
    deadline_s: float = messenger.DEADLINE_S,
) -> list[TidegateError | None]:
    """Send messages by one channel; for each None, or what became of it. None that follow one that may succeed later
    are tried."""
    if kind == APPRISE:
        wanted = [
            {"url": secrets["url"], "title": message.title, "body": message.text, "level": message.level}
            for secrets, message in given
        ]
        return messenger.send(wanted, outbound, deadline_s=deadline_s)
    outcomes: list[TidegateError | None] = []
    for secrets, message in given:
        try:
            post(secrets, message, outbound, now)
        except TidegateError as error:
            outcomes.append(error)
            if error.retry is Retry.LATER:
                break  # who does not answer now keeps no other channel's messages waiting
        else:
            outcomes.append(None)
    return outcomes


# --- all of them ------------------------------------------------------------------------------------------------


class Deliveries:
    """`start` and `stop` its threads, or call `step` in a test. `leads` says whether this server is the one to send."""

    def __init__(
        self, database: Database, vault: Vault, clock: Clock, outbound: Outbound, leads: Callable[[], bool]
    ) -> None:
        self._db = database
        self._vault = vault
        self._clock = clock
        self._outbound = outbound
        self._leads = leads
        self._lock = threading.Lock()
        self._under_way: set[int] = set()
        """Channels that something is sent by."""
        self._unwritten: dict[int, dict[str, Any]] = {}
        """By message, what became of it, where the store could not take that: it is not sent again for that."""
        self._work: queue.Queue[tuple[str, list[MessageRow]] | None] = queue.Queue(AT_ONCE)
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        # Daemons: what they are sending when the process ends is sent again by the next one.
        doing = [("alert dispatch", self._dispatch), *((f"alert sender {n}", self._sender) for n in range(THREADS))]
        self._threads = [threading.Thread(target=do, name=name, daemon=True) for name, do in doing]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Nothing new is begun."""
        self._stopping.set()
        self._woken.set()
        if self._threads:
            self._threads[0].join(5)
        for _ in self._threads[1:]:
            with contextlib.suppress(queue.Full):  # whoever takes what is in it ends as well
                self._work.put_nowait(None)

    def wake(self) -> None:
        """There may be something to send. Callable from every thread."""
        self._woken.set()

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            try:
                for work in self._found():
                    self._work.put(work)
            except StoreUnavailable as error:
                log.warning("alerts.store_unavailable", detail=error.detail)
            except Exception:
                log.exception("alerts.dispatch_crashed")
            self._woken.wait(LOOK_S)
            self._woken.clear()

    def _sender(self) -> None:
        while True:
            work = self._work.get()
            if work is None or self._stopping.is_set():
                return
            self._guarded(*work)

    def step(self) -> None:
        """Send what is due, here and now."""
        for work in self._found():
            self._guarded(*work)

    def _found(self) -> list[tuple[str, list[MessageRow]]]:
        """What is due, by channel; none of a channel that something is being sent by. So a receiver that hangs keeps
        one sender busy, and the others' messages arrive."""
        if not self._leads():
            return []
        self._write({})
        with self._lock:
            busy = set(self._under_way)
        with self._db.read() as tx:
            due = alerts.due_messages(tx, now=self._clock.now(), limit=AT_ONCE, but=busy)
            kinds = {channel.id: channel.kind for channel in alerts.list_channels(tx)} if due else {}
        by_channel: dict[int, list[MessageRow]] = {}
        for row in due:
            by_channel.setdefault(row.channel_id, []).append(row)
        found = [(kinds.get(key, WEBHOOK), rows[: messenger.BATCH]) for key, rows in by_channel.items()]
        found = found[: max(0, AT_ONCE - len(busy))]
        with self._lock:
            self._under_way |= {rows[0].channel_id for _, rows in found}
        return found

    def _guarded(self, kind: str, rows: list[MessageRow]) -> None:
        try:
            self._send(kind, rows)
        except StoreUnavailable as error:
            log.warning("alerts.store_unavailable", detail=error.detail)
        except Exception:
            log.exception("alerts.delivery_crashed")
        finally:
            with self._lock:
                self._under_way -= {row.channel_id for row in rows}

    def _send(self, kind: str, rows: list[MessageRow]) -> None:
        outcomes: dict[int, TidegateError | None] = {}
        ready: list[tuple[int, Mapping[str, str], Message]] = []
        with self._db.read() as tx:
            projects = alerts.project_names(tx)
            for row in rows:
                about, channel = alerts.get_alert(tx, row.alert_id), alerts.channel_by_id(tx, row.channel_id)
                if about is None or channel is None or not channel.enabled:
                    outcomes[row.id] = NotFound(f"alert channel {row.channel_name} is gone or disabled")
                    continue
                try:
                    message = told_about(about, projects.get(about.project_id, ""), row.id, row.about)
                    ready.append((row.id, opened(self._vault, channel), message))
                except TidegateError as error:
                    outcomes[row.id] = error
        if ready:
            given = [(secrets, message) for _, secrets, message in ready]
            try:
                found = attempt(kind, given, self._outbound, self._clock.now())
            except Exception as error:
                log.exception("alerts.attempt_crashed")
                found = [AlertUndelivered(f"the attempt failed: {type(error).__name__}") for _ in ready]
            outcomes |= {key: outcome for (key, _, _), outcome in zip(ready, found, strict=False)}
        self._write({row.id: self._after(row, outcomes[row.id]) for row in rows if row.id in outcomes})
        self._woken.set()  # there may be more of the same channel

    def _write(self, changes: Mapping[int, dict[str, Any]]) -> None:
        """Write what became of messages, and what could not be written before. Raises `StoreUnavailable`."""
        with self._lock:
            self._unwritten |= changes
            due = dict(self._unwritten)
        if not due:
            return
        with self._db.write() as tx:
            for key, values in due.items():
                alerts.change_message(tx, key, **values)
        with self._lock:
            self._unwritten = {key: values for key, values in self._unwritten.items() if due.get(key) is not values}

    def _after(self, row: MessageRow, error: TidegateError | None) -> dict[str, Any]:
        """What is written of an attempt."""
        now, tries = self._clock.now(), row.tries + 1
        if error is None:
            return {"state": alerts.SENT, "tries": tries, "ended_at": now, "error": None}
        said = problem(error)
        if error.retry is Retry.NEVER or tries >= TRIES_MAX:
            log.warning("alerts.undelivered", channel=row.channel_name, code=error.code, tries=tries)
            return {"state": alerts.FAILED, "tries": tries, "ended_at": now, "error": said}
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (tries - 1), LONGEST_PAUSE_S)
        return {"tries": tries, "due_at": now + pause_s, "error": said}


def opened(vault: Vault, channel: ChannelRow) -> dict[str, str]:
    """A channel's address and key in the clear, never part of an answer. Raises `SecretKeyWrong`."""
    return vault.open(channel.secrets, sealed_for(channel.project_id, channel.name))
