"""The server's answers as tables and panels. Green means rows arrive: what is recovering or stale is not green."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate.cli.figures import NONE, ago, between, count, duration, moment, size
from tidegate.model.lifecycle import OPERATING, STATES, State

Json: TypeAlias = Mapping[str, Any]

_COLOURS = {
    "Running": "green",
    "Paused": "blue",
    "Failure": "bold red",
    "Detection Exception": "bold magenta",
    OPERATING: "cyan",
}
_PHASES = ("preparing", "full", "incremental")


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table; the columns in `right` hold numbers."""
    made = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def status(task: Json) -> Text:
    """The shown status, with the step while Operating and the health while Running."""
    shown, colour = str(task["status"]), _COLOURS.get(str(task["status"]), "default")
    if shown == OPERATING:
        return Text.assemble((f"● {shown}", colour), (f" {task['state'].replace('_', ' ')}", "dim"))
    if shown == "Running" and task.get("health") in ("recovering", "stale"):
        return Text(f"● Running {task['health']}", "yellow")
    return Text(f"● {shown}", colour)


def lag(of: Json) -> str:
    """Seconds and bytes."""
    if of.get("lag_s") is None or of.get("health") in ("recovering", "stale"):
        return NONE  # nobody knows at the moment
    behind = "" if of.get("lag_bytes") is None else f" · {size(of['lag_bytes'])}"
    return duration(of["lag_s"]) + behind


def rows(of: Json) -> str:
    """Rows and changes that reached the target."""
    counters = of.get("counters") or {}
    if not counters:
        return NONE
    return count(counters.get("rows_full", 0) + counters.get("changes_written", 0))


def progress(of: Json) -> str:
    """The phase, with the share of chunks while copying."""
    phase = str(of.get("phase") or NONE)
    counters = of.get("counters") or {}
    if phase == "full" and counters.get("chunks_total"):
        return f"full {100 * counters['chunks_done'] // counters['chunks_total']} %"
    return phase


def task_list(tasks: Sequence[Json]) -> RenderableType:
    """The list of real-time ops."""
    if not tasks:
        return Text("No tasks.", "dim")
    shown = table(
        "task",
        "status",
        "source → target",
        "phase",
        "rows",
        "lag",
        "log lasts",
        "group",
        "since",
        right=("rows", "since"),
    )
    for task in tasks:
        live = task["status"] == "Running"
        shown.add_row(
            Text.assemble((str(task["name"]), "bold"), (f"  {task['id']}", "dim")),
            status(task),
            f"{task['source']} → {task['target']}",
            progress(task) if task.get("run") else NONE,
            rows(task),
            lag(task) if live else NONE,
            duration(task.get("log_left_s")),
            f"{task['resource_group']} · {task['units']}",
            ago(task["state_since"]),
        )
    return shown


def task_panel(detail: Json, *, rate: float | None = None) -> RenderableType:
    """One task as it is now. `rate` is in rows per second."""
    task, run = detail["task"], detail["run"]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("syncs", _syncs(task))
    if task["status"] == OPERATING:
        left = "" if task["expires_in_s"] is None else f"; ends within {duration(task['expires_in_s'])}"
        facts.add_row("step", STATES[State(task["state"])].says + left)
    if run:
        _run_rows(facts, task, run, rate)
        facts.add_row("snapshot", _snapshot(detail["snapshot"]))
    if task.get("health_reason"):
        facts.add_row("stale", Text(task["health_reason"], "yellow"))
    if task["error"]:
        facts.add_row("error", problem_text(task["error"]))
    facts.add_row("commands", Text(", ".join(task["commands"]) or "none at the moment", "green"))
    title = Text.assemble((f" {task['name']} ", "bold"), (f"{task['id']} ", "dim"))
    since = Text.assemble(status(task), (f" for {ago(task['state_since'])} ", "dim"))
    facts.min_width = 72  # steady while it is watched
    return Panel(
        facts,
        title=title,
        title_align="left",
        subtitle=since,
        subtitle_align="right",
        box=box.ROUNDED,
        expand=False,
    )


def _syncs(task: Json) -> Text:
    kinds = [task.get("source_kind"), task.get("target_kind")]
    source, target = (
        f"{name} ({kind})" if kind else str(name)
        for name, kind in zip((task["source"], task["target"]), kinds, strict=True)
    )
    version = "draft" if task["submitted"] is None else f"version {task['submitted']}"
    changed = ", edited since" if task["changed"] and task["submitted"] is not None else ""
    return Text.assemble(f"{source} → {target}", (f"   {task['read']}, {task['write']}, {version}{changed}", "dim"))


def _run_rows(facts: Table, task: Json, run: Json, rate: float | None) -> None:
    counters = run["counters"] or {}
    facts.add_row(
        "run",
        Text.assemble(
            str(run["number"]),
            (f"   started {ago(run['started_at'])} ago, epoch {run['epoch']}, restarts {run['restarts']}", "dim"),
        ),
    )
    if run["ended_at"] is not None:
        facts.add_row("ended", f"{ago(run['ended_at'])} ago")
        return
    facts.add_row("phase", _phases(run))
    if counters:
        speed = "" if rate is None else f"   {count(rate)} rows/s"
        facts.add_row(
            "rows",
            Text.assemble(
                f"{count(counters.get('rows_full', 0))} copied, {count(counters.get('changes_written', 0))} changes",
                (speed, "green"),
            ),
        )
    if task["status"] == "Running":
        middle = counters.get("lag_ms_p50")
        spread = (
            ""
            if middle is None
            else f"   median {duration(middle / 1000)}, 99 % within {duration(counters['lag_ms_p99'] / 1000)}"
        )
        facts.add_row("lag", Text.assemble(lag(run), (spread, "dim")))
    facts.add_row("position", run["position"] or NONE)
    if task.get("log_retained_bytes") is not None:
        facts.add_row("source's log", _log(task))


def _log(task: Json) -> Text:
    """How much the source keeps for the run, and for how long it will."""
    left_s, safe = task["log_left_s"], task["log_safe_bytes"]
    text = Text(f"{size(task['log_retained_bytes'])} kept")
    if left_s is not None:
        text.append(f"; lasts {duration(left_s)}", "bold red" if left_s < 3600 else "yellow" if left_s < 86400 else "")
    pace = "" if task["log_rate_bytes_s"] is None else f", written at {size(task['log_rate_bytes_s'])}/s"
    limit = "no limit is set" if safe is None else f"{size(safe)} more fit"
    return text.append(f"   {limit}{pace}", "dim")


def _phases(run: Json) -> RenderableType:
    """Preparing, full and incremental, with how far each is."""
    phase = str(run["phase"])
    at = _PHASES.index(phase) if phase in _PHASES else 0
    words = Text()
    for number, name in enumerate(_PHASES):
        mark, style = ("✓ ", "green") if number < at else ("▸ ", "bold") if number == at else ("· ", "dim")
        words.append(mark + name + "   ", style)
    counters = run["counters"] or {}
    total, done = counters.get("chunks_total", 0), counters.get("chunks_done", 0)
    if phase != "full" or not total:
        return words
    bar = Table.grid(padding=(0, 1))
    bar.add_row(
        ProgressBar(total=total, completed=done, width=24),
        f"{100 * done // total} %",
        Text(
            f"tables {counters.get('tables_done', 0)} of {counters.get('tables_total', 0)}, chunks {done} of {total}",
            "dim",
        ),
    )
    return Group(words, bar)


def _snapshot(snapshot: Json | None) -> Text:
    if snapshot is None:
        return Text("none yet", "dim")
    return Text.assemble(
        str(snapshot["id"]), (f"   {snapshot['kind']}, {ago(snapshot['at'])} ago, at {snapshot['position']}", "dim")
    )


def problem_text(problem: Json) -> Text:
    """A stored problem in a cell."""
    said = Text.assemble((str(problem.get("detail", "")), "red"), (f"  {problem.get('code', '')}", "dim"))
    advice = problem.get("advice")
    return said.append(f"\n→ {advice}", "cyan") if advice else said


def runs(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No runs yet.", "dim")
    shown = table("run", "started", "lasted", "phase", "rows", "epoch", "restarts", "at source", right=("run", "rows"))
    for run in found:
        ended = run["ended_at"]
        shown.add_row(
            str(run["number"]),
            moment(run["started_at"]),
            f"{ago(run['started_at'])} so far" if ended is None else duration(between(run["started_at"], ended)),
            progress(run),
            rows(run),
            str(run["epoch"]),
            str(run["restarts"]),
            str(run["cleanup"]),
        )
    return shown


def snapshots(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No snapshots.", "dim")
    shown = table("snapshot", "kind", "taken", "ago", "position", "size", right=("snapshot", "ago", "size"))
    for one in found:
        shown.add_row(
            str(one["id"]), one["kind"], moment(one["at"]), ago(one["at"]), one["position"], size(one["state_bytes"])
        )
    return shown


def events(found: Sequence[Json], names: Mapping[int, str] | None = None) -> RenderableType:
    """Key events, the newest last, as a log is read."""
    if not found:
        return Text("No events.", "dim")
    shown = table(
        "at", *(["task"] if names is not None else []), "event", "status", "run", "by", "what", right=("run",)
    )
    for one in reversed(found):
        cells = [moment(one["at"])]
        if names is not None:
            cells.append(names.get(one["task"], str(one["task"])))
        shown.add_row(
            *cells,
            Text(one["name"], {"warning": "yellow", "error": "bold red"}.get(one.get("level", ""), "")),
            Text(f"→ {STATES[State(one['state_to'])].status or 'removed'}", "dim") if one["state_to"] else "",
            NONE if one["run"] is None else str(one["run"]),
            Text(one["actor"], "dim"),
            problem_text({"detail": one["error"]["detail"], "code": one["error"]["code"]})
            if one["error"]
            else Text(", ".join(f"{name} {value}" for name, value in one["facts"].items()), "dim"),
        )
    return shown


def versions(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("Never submitted.", "dim")
    shown = table("version", "submitted", "by", "note", right=("version",))
    for one in found:
        shown.add_row(str(one["number"]), moment(one["submitted_at"]), one["submitted_by"], one["note"])
    return shown


def definitions(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No tasks. Write one in a file and `tidegate apply -f` it.", "dim")
    shown = table("task", "status", "source → target", "write", "version", right=("version",))
    for task in found:
        shown.add_row(
            Text.assemble((str(task["name"]), "bold"), (f"  {task['id']}", "dim")),
            status(task),
            f"{task['source']} → {task['target']}",
            task["write"],
            "draft" if task["submitted"] is None else f"{task['submitted']}{' +edits' if task['changed'] else ''}",
        )
    return shown


def data_sources(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No data sources.", "dim")
    shown = table("data source", "kind", "settings", "used by")
    for one in found:
        settings = "  ".join(f"{name}={value}" for name, value in one["config"].items() if value not in (None, ""))
        shown.add_row(Text(one["name"], "bold"), one["kind"], Text(settings, "dim"), ", ".join(one["used_by"]) or NONE)
    return shown


def groups(found: Sequence[Json]) -> RenderableType:
    shown = table("resource group", "engine", "units", "used", "used by", right=("units", "used"))
    for one in found:
        shown.add_row(
            Text(one["name"], "bold"),
            one["engine"],
            count(one["units"]),
            count(one["units_used"]),
            ", ".join(one["used_by"]) or NONE,
        )
    return shown


def report(found: Json) -> RenderableType:
    """A connectivity test, a line per check."""
    shown = table("", "as", "check", "found")
    for check in found["checks"]:
        said = Text(str(check["found"]))
        if not check["ok"] and check["advice"]:
            said.append(f"\n→ {check['advice']}", "cyan")
        mark = Text("✓", "green") if check["ok"] else Text("✗", "bold red")
        shown.add_row(mark, Text(check["role"], "dim"), check["name"], said)
    usable = ", ".join(found["usable_as"])
    verdict = Text(f"usable as {usable}", "green") if usable else Text("not usable", "bold red")
    return Group(shown, Text(), verdict)


def positions(found: Json | None) -> RenderableType:
    if found is None:
        return Text("There is no run.", "dim")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    facts.add_row("run", str(found["run"]))
    facts.add_row("current", f"{found['current'] or NONE}   {ago(found['current_at'])} ago")
    facts.add_row("snapshot", f"{found['snapshot'] or NONE}   {ago(found['snapshot_at'])} ago")
    facts.add_row("lag", lag(found))
    if found["source_end"] is not None:
        facts.add_row("log ends", found["source_end"])
        if found["behind_bytes"] is not None:
            facts.add_row("behind", size(found["behind_bytes"]))
        if found["reread_bytes"] is not None:
            facts.add_row("log to read", size(found["reread_bytes"]))
        kept = (
            "no limit in bytes is set"
            if found["safe_bytes"] is None
            else f"for another {size(found['safe_bytes'])} of log"
        )
        facts.add_row("source keeps it", kept)
    if found["retained_bytes"] is not None:
        facts.add_row("kept for it", size(found["retained_bytes"]))
    if found["left_s"] is not None:
        facts.add_row("lasts", f"{duration(found['left_s'])} at {size(found['rate_bytes_s'])}/s")
    if found["source_error"]:
        facts.add_row("source", problem_text(found["source_error"]))
    return facts


def preview(found: Json) -> RenderableType:
    """What a command would do, and what it would cost."""
    mark = ("✓ ", "green") if found["allowed"] else ("✗ ", "bold red")
    head = Text.assemble(mark, f"{found['command']} ", (str(found["task"]), "bold"), f"  {found['note']}")
    if not found["allowed"]:
        advice = Text(f"  → {found['problem']['advice']}", "cyan")
        return Group(head, Text(f"  refused: {found['reason']}", "red"), advice)
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    if found["cost"]:
        facts.add_row("cost", found["cost"])
    for name in ("keeps", "discards"):
        if found[name]:
            facts.add_row(name, "\n".join(found[name]))
    if found["snapshot"]:
        facts.add_row("snapshot", _snapshot(found["snapshot"]))
    if found["reads_from"] is not None:
        facts.add_row("log to read", f"{size(found['reread_bytes'])}, {found['reads_from']} to {found['source_end']}")
    if found["source_end"] is not None:
        kept = "without limit" if found["safe_bytes"] is None else f"for another {size(found['safe_bytes'])} of log"
        facts.add_row("source keeps it", kept)
    if found["log_left_s"] is not None:
        facts.add_row("for", f"{duration(found['log_left_s'])} at the pace it is written now")
    if found["source_error"]:
        facts.add_row("not known", problem_text(found["source_error"]))
    return Group(head, facts)
