"""Pages of what operating goes by: errors, settings, the life of a task, key events, fault points, the API."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from tidegate.docs.page import page, table
from tidegate.errors import Retry, every_error
from tidegate.faultpoint import POINTS
from tidegate.model.keyevent import KEY_EVENTS
from tidegate.model.lifecycle import COMMANDS, MOVES, STATES, Held, Kind, State, diagram, offers
from tidegate.server import app
from tidegate.settings import SETTINGS, default_data_dir

_FAMILIES = {
    "internal": "Inside Tidegate",
    "request": "Requests",
    "lifecycle": "Commands and the life of a task",
    "verify": "Comparing source and target",
    "source": "Sources",
    "target": "Targets",
    "task": "Task definitions",
    "data_source": "Data sources",
    "connector": "Connectors",
    "detection": "Detection",
    "alert": "Alerts",
    "worker": "Workers",
    "store": "Metadata store",
    "server": "Server",
    "setting": "Settings",
    "environment": "Environment",
}


def errors() -> str:
    """Every error code."""
    lines = [
        "# Errors",
        "",
        "Every refusal and failure has a code that stays the same over versions. The API answers with it as",
        "`application/problem+json`, the CLI with `--json`; both add a sentence that names the thing concerned. *Tried",
        "again* says whether a running task tries the same again by itself.",
    ]
    listed = sorted(every_error(), key=lambda cls: (_family_rank(cls.code), cls.code))
    for family, members in groupby(listed, key=lambda cls: cls.code.split(".")[0]):
        rows = [
            (f"`{cls.code}`", str(cls.status), "yes" if cls.retry is Retry.LATER else "no", f"{cls.title}.", cls.advice)
            for cls in members
        ]
        lines += ["", f"## {_FAMILIES.get(family, family)}", ""]
        lines += table(("code", "HTTP", "tried again", "what happened", "what to do"), rows)
    return page(lines)


def _family_rank(code: str) -> int:
    families = list(_FAMILIES)
    family = code.split(".")[0]
    return families.index(family) if family in _FAMILIES else len(families)


def settings() -> str:
    """Every setting of the server."""
    lines = [
        "# Settings",
        "",
        "The server reads its settings from the environment and from `tidegate server`'s command line, which wins.",
        "Times are in seconds unless the name says otherwise. What has no flag is secret or may hold a password: on a",
        "command line every user of the machine could read it.",
        "",
    ]
    rows = []
    for one in SETTINGS:
        allowed = ", ".join(f"`{choice}`" for choice in one.choices)
        if one.says.most:
            allowed = f"{one.says.least:g} to {one.says.most:g}"
        flag = f"`{one.option}`" if one.says.flag else ""
        rows.append((f"`{one.variable}`", flag, _default(one.name, one.default), allowed, one.says.help))
    return page(lines + table(("environment", "flag", "default", "allowed", "what it is"), rows))


def _default(name: str, value: Any) -> str:
    if name == "default_group_units":
        return "the number of processors, at least 4"
    if value == default_data_dir():
        return "`$XDG_DATA_HOME/tidegate`, else `~/.local/share/tidegate`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return "" if value is None else f"`{value}`"


def lifecycle() -> str:
    """The states of a task, what is possible in each, and the diagram."""
    held = {Held.NOTHING: "no run", Held.RUN: "a run without a snapshot", Held.SNAPSHOT: "a run with a snapshot"}
    lines = [
        "# The life of a task",
        "",
        "What is shown as **Operating** is a step under way: it has a deadline, and always ends. Commands (in capitals",
        "in the diagram) are asked for by people and programs; everything else happens. A command that is not possible",
        "is refused with the present status, the reason, and what is possible instead; nothing changes then.",
        "",
        "```mermaid",
        diagram().rstrip(),
        "```",
        "",
        "## States",
        "",
    ]
    states = [
        (
            f"`{state}`",
            facts.status,
            facts.says,
            ", ".join(f"`{one}`" for one in _commands(state)) or "–",
            f"{facts.deadline_s:g} s, then `{facts.overdue}`" if facts.deadline_s is not None else "",
            _holds(facts),
        )
        for state, facts in STATES.items()
    ]
    lines += table(("state", "status shown", "means", "commands", "deadline", "holds"), states)
    lines += ["", "## Commands", ""]
    rows = [
        (
            f"`{move.name}`",
            ", ".join(f"`{s}`" for s in move.sources),
            f"`{move.target}`",
            _when(move.held, held),
            move.says,
        )
        for command in COMMANDS
        for move in MOVES
        if move.name == command
    ]
    lines += table(("command", "from", "to", "only with", "does"), rows)
    lines += ["", "## Events", ""]
    rows = [
        (
            f"`{move.name}`",
            ", ".join(f"`{s}`" for s in move.sources),
            f"`{move.target}`",
            _when(move.held, held),
            move.says,
        )
        for move in MOVES
        if move.kind is Kind.EVENT
    ]
    return page(lines + table(("event", "from", "to", "only with", "when"), rows))


def _commands(state: State) -> list[str]:
    return [o.command for o in offers(state, Held.NOTHING) if any(_allowed(state, h, o.command) for h in Held)]


def _allowed(state: State, held: Held, command: str) -> bool:
    return any(offer.command == command and offer.allowed for offer in offers(state, held))


def _holds(facts: Any) -> str:
    held = [("units", facts.units), ("a worker", facts.worker), ("the source's log", facts.pins_log)]
    return ", ".join(what for what, so in held if so)


def _when(needed: tuple[Held, ...], words: dict[Held, str]) -> str:
    return "" if set(needed) == set(Held) else " or ".join(words[one] for one in needed)


def keyevents() -> str:
    """What can be on a task's time line."""
    lines = [
        "# Key events",
        "",
        "What is on the time line of a task (`tidegate events`, `/api/v1/tasks/TASK/events`). A *warning* is something",
        "that did not go as meant while the task goes on; after an *error* it does not go on by itself. What failed",
        "carries its cause, and the advice of the [errors](errors.md).",
        "",
    ]
    rows = [(f"`{event.name}`", event.level.value, event.says) for event in KEY_EVENTS]
    return page(lines + table(("event", "level", "what happened"), rows))


def faultpoints() -> str:
    """Every named fault point."""
    lines = [
        "# Fault points",
        "",
        "The places between two steps that must survive each other's loss. Tests end processes exactly there; see",
        "[reliability](../explain/reliability.md).",
        "",
    ]
    return page([*lines, *table(("point", "what is true there"), ((f"`{name}`", POINTS[name]) for name in POINTS))])


def openapi() -> str:
    """The API, as programs that are written against it read it: the console's types are made of it."""
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"
