"""The reference pages that are generated, so that they cannot fall behind the tables they show:
`python -m tidegate.docs docs/reference` writes them, and a test compares what is committed with what they would be."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from pydantic_core import PydanticUndefined

from tidegate.connect.config import Config, SecretStr
from tidegate.connect.registry import sources, targets
from tidegate.errors import Retry, every_error
from tidegate.faultpoint import POINTS
from tidegate.model.lifecycle import COMMANDS, MOVES, STATES, Held, Kind, State, diagram, offers
from tidegate.settings import SETTINGS, default_data_dir

RESULTS = Path("bench/results")
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
        lines += _table(("code", "HTTP", "tried again", "what happened", "what to do"), rows)
    return _page(lines)


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
    return _page(lines + _table(("environment", "flag", "default", "allowed", "what it is"), rows))


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
    lines += _table(("state", "status shown", "means", "commands", "deadline", "holds"), states)
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
    lines += _table(("command", "from", "to", "only with", "does"), rows)
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
    return _page(lines + _table(("event", "from", "to", "only with", "when"), rows))


def _commands(state: State) -> list[str]:
    return [o.command for o in offers(state, Held.NOTHING) if any(_allowed(state, h, o.command) for h in Held)]


def _allowed(state: State, held: Held, command: str) -> bool:
    return any(offer.command == command and offer.allowed for offer in offers(state, held))


def _holds(facts: Any) -> str:
    held = [("units", facts.units), ("a worker", facts.worker), ("the source's log", facts.pins_log)]
    return ", ".join(what for what, so in held if so)


def _when(needed: tuple[Held, ...], words: dict[Held, str]) -> str:
    return "" if set(needed) == set(Held) else " or ".join(words[one] for one in needed)


def connectors() -> str:
    """What can be read and written, and how each is configured."""
    lines = ["# Connectors", "", "What a data source of each kind is configured with. Secrets are encrypted at rest."]
    kinds = {
        **{kind: cls.Config for kind, cls in targets().items()},
        **{kind: cls.Config for kind, cls in sources().items()},
    }
    for kind in sorted(kinds):
        title = (targets().get(kind) or sources()[kind]).title
        lines += ["", f"## {title} (`{kind}`)", ""]
        roles = [role for role, known in (("source", sources()), ("target", targets())) if kind in known]
        lines += [f"Can be a {' and a '.join(roles)}."]
        if kind in targets():
            lines += ["", *_target_facts(targets()[kind])]
        lines += ["", *_table(("setting", "type", "default", "what it is"), _fields(kinds[kind]))]
    return _page(lines)


def _target_facts(target: Any) -> list[str]:
    modes = " and ".join(f"`{mode}`" for mode in target.modes)
    promise = f"Delivery: `{target.delivery}` (see [guarantees](../explain/guarantees.md))."
    return [f"As a target, write modes: {modes}. {promise}"]


def _fields(config: type[Config]) -> Iterable[tuple[str, ...]]:
    schema = config.model_json_schema()["properties"]
    for name, field in config.model_fields.items():
        kind = "secret" if field.annotation is SecretStr else _type(schema[name])
        default = "required" if field.default is PydanticUndefined else _shown(field.default)
        yield f"`{name}`", kind, default, field.description or ""


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    kind = str(schema.get("type", "any"))
    if "minimum" in schema and "maximum" in schema:
        return f"{kind}, {schema['minimum']} to {schema['maximum']}"
    return kind


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr) or value is None or value == "":
        return "none"
    return f"`{value}`"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]


def _page(lines: Sequence[str]) -> str:
    text = "\n".join(lines)
    return f"<!-- Generated by `make docs`; do not edit. -->\n\n{text}\n"


def faultpoints() -> str:
    """Every named fault point."""
    lines = [
        "# Fault points",
        "",
        "The places between two steps that must survive each other's loss. Tests end processes exactly there; see",
        "[reliability](../explain/reliability.md).",
        "",
    ]
    return _page([*lines, *_table(("point", "what is true there"), ((f"`{name}`", POINTS[name]) for name in POINTS))])


_RUN = ("minutes", "seed", "kills", "pauses", "forced_pauses", "zombies", "wire_cuts", "server_crashes")
_FOUND = ("rows", "lost", "doubled", "torn", "old_epoch_writes")
_TIMES = ("noticed_s", "resumed_s", "recovered_s", "settled_s")


def crash_runs(results: Path = RESULTS) -> str:
    """What the committed results of `make crash` say, newest first."""
    lines = [
        "# Runs of `make crash`",
        "",
        "From the files in `bench/results`. What a run does and counts: [reliability](../explain/reliability.md).",
        "With no failure in *n* deaths, the rate of failures is below 3/*n* with 95 % confidence; it is never zero.",
        "Times are p50 / p99 / max in seconds: from a worker's death until another one begins (`noticed`) and from",
        "then until it has written (`resumed`), where nothing else happened meanwhile; both together whatever happened",
        "(`recovered`); from the last fault of a round until every copy was equal (`settled`).",
        "",
    ]
    found = sorted(results.glob("crash-*.json"), reverse=True)
    if not found:
        return _page([*lines, "No run has been committed yet."])
    head = ("date", "commit", *(name.replace("_", " ") for name in (*_RUN, *_FOUND, *_TIMES)))
    rows = []
    for path in found:
        run = json.loads(path.read_text())
        counts = (f"{run[name]:,}" if name != "seed" else str(run[name]) for name in (*_RUN, *_FOUND))
        spreads = (run.get(name) for name in _TIMES)
        times = (f"{spread['p50']} / {spread['p99']} / {spread['max']}" if spread else "–" for spread in spreads)
        rows.append((run["began"][:10], run["commit"], *counts, *times))
    return _page([*lines, *_table(head, rows)])


def speed(results: Path = RESULTS) -> str:
    """What the committed results of `make bench` say: every figure and workload from the newest run that has it."""
    lines = [
        "# What `make bench` measured",
        "",
        "From the files in `bench/results`, whole runs only (`SCALE=full`). What each figure means, and how it is",
        "measured: [speed](../explain/speed.md). × is a ratio to the peer in the same run.",
        "",
    ]
    runs = [json.loads(path.read_text()) for path in results.glob("bench-*.json")]
    runs = sorted((run for run in runs if run["scale"] == "full"), key=lambda run: str(run["at"]))
    if not runs:
        return _page([*lines, "No run has been committed yet."])
    newest: dict[str, Any] = {}
    for run in runs:
        for figure in run["figures"]:
            if figure["runs"] or figure["id"] not in newest:
                newest[figure["id"]] = _figure(figure, run)
    lines += _table(("figure", "median", "bar", "aim", "runs", "against", "date", "commit"), newest.values())
    lines += [
        "",
        "## The cost of a million, by part",
        "",
        "Of a million changes, or rows copied: seconds of time, and seconds of a processor in the source server, in",
        "the program between (Tidegate's worker, or the peer) and in the target server; the most memory the program",
        "between had, in MB. Medians. –: there is none, or it was not measured.",
        "",
    ]
    outcomes = {name: repetitions for run in runs for name, repetitions in run["outcomes"].items()}
    costs = [
        (name, who, *_costs([repetition[who] for repetition in repetitions if who in repetition]))
        for name, repetitions in outcomes.items()
        if name not in _NOT_BY_PART
        for who in dict.fromkeys(who for repetition in repetitions for who in repetition)
        if who not in _ITSELF
    ]
    return _page([*lines, *_table(("workload", "who", "time", "source", "between", "target", "memory"), costs)])


_NOT_BY_PART = ("decode", "live")
_ITSELF = ("tidegate again",)
_A_MILLION = 1_000_000
_PARTS = ("wall_s", "source_cpu_s", "worker_cpu_s", "target_cpu_s")


def _figure(figure: Any, run: Any) -> tuple[str, ...]:
    middle, bar, aim = ("–" if figure[name] is None else f"{figure[name]:,.10g}" for name in ("median", "bar", "aim"))
    small = figure["aim"] is not None and figure["aim"] < figure["bar"]
    sign = "" if figure["bar"] is None else "≤ " if small else "≥ "
    values = ", ".join(f"{value:,.10g}" for value in figure["runs"]) or figure.get("why", "")
    measured = middle if figure["median"] is None else f"{middle} {figure['unit']}"
    return f"`{figure['id']}`", measured, sign + bar, aim, values, figure["against"], run["at"][:10], run["commit"]


def _costs(outcomes: Sequence[Any]) -> Iterable[str]:
    # Files from before amounts were kept have one workload only, of a million changes.
    millions = [(outcome.get("amount") or _A_MILLION) / _A_MILLION for outcome in outcomes]
    for name in _PARTS:
        cost = median(outcome[name] / amount for outcome, amount in zip(outcomes, millions, strict=True))
        yield f"{cost:.2f}" if cost else "–"
    memory_mb = median(outcome["memory_mb"] for outcome in outcomes)
    yield f"{memory_mb:.0f}" if memory_mb else "–"


PAGES: dict[str, Callable[[], str]] = {
    "connectors.md": connectors,
    "crash-runs.md": crash_runs,
    "errors.md": errors,
    "fault-points.md": faultpoints,
    "lifecycle.md": lifecycle,
    "settings.md": settings,
    "speed.md": speed,
}


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
