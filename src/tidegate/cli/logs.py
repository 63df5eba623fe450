"""`tidegate logs`: what was logged about a task, looked through, followed, and saved to a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.figures import moment, size
from tidegate.cli.picture import Json, table
from tidegate.cli.views import RunNumber, looks
from tidegate.errors import EnvironmentLacking, Invalid, ServerUnreachable

PAGE_LINES = 1_000
LINES_MAX = 100_000
WAIT_S = 20.0
"""How long the server may wait for the next line before it answers that there is none."""
STYLES = {"debug": "dim", "warning": "yellow", "error": "bold red"}


def shown(lines: list[Json]) -> Text:
    """As a log is read, the oldest first."""
    whole = Text()
    for one in lines:
        whose = "/".join(str(part) for part in (one["run"], one["epoch"]) if part is not None)
        style = STYLES.get(one["level"], "")
        whole.append(f"{moment(one['at'])} ", "dim")
        whole.append(f"{one['level']:<7} ", style)
        whole.append(f"{one['container']:<6} {whose:<5} ", "dim")
        message = str(one["message"])
        whole.append(message, style or "bold")
        whole.append(str(one["text"]).removeprefix(message) + "\n")
    whole.rstrip()
    return whole


def add(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, rich_help_panel="Look")
    def logs(
        session: Session,
        task: Annotated[
            str | None,
            typer.Argument(help="The task's name or id; without it, what is about no task.", show_default=False),
        ] = None,
        project: ProjectName = "default",
        run: RunNumber = None,
        since: Annotated[
            str | None, typer.Option(help="From then on: 15m, 1h, 24h, 7d ago, or a time such as 2026-03-01T12:00:00Z.")
        ] = None,
        until: Annotated[str | None, typer.Option(help="Before then, likewise.")] = None,
        level: Annotated[
            list[str] | None, typer.Option(help="Of this level: debug, info, warning, error; may be repeated.")
        ] = None,
        grep: Annotated[
            str | None,
            typer.Option(help="With these keywords: 'unreachable AND (refused OR reset)', a phrase in double quotes."),
        ] = None,
        container: Annotated[str | None, typer.Option(help="Said by server or worker only.")] = None,
        diagnose: Annotated[
            str | None, typer.Option(help="With ready-made keywords; `list` shows the sets there are.")
        ] = None,
        limit: Annotated[
            int, typer.Option("--limit", "-n", min=1, max=LINES_MAX, help="At most so many, the newest.")
        ] = 200,
        go_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
        save: Annotated[
            Path | None,
            typer.Option(help="Save all there is to this file: JSON lines if its name ends with .jsonl, else text."),
        ] = None,
    ) -> None:
        """Show what a task's workers and the server logged about it, the newest last."""
        if diagnose == "list":
            found = session.door.get("log-diagnoses")
            session.terminal.show(found, diagnoses(found))
            return
        wanted = {
            "run": run,
            "since": since,
            "until": until,
            "level": level or None,
            "search": grep,
            "container": container,
            "diagnosis": diagnose,
        }
        place: tuple[str, ...] = ("logs",)
        if task is not None:
            place, wanted["project"] = ("tasks", task, "logs"), project
        if save is not None:
            if go_on:
                raise Invalid("--save: a file holds what there is; it cannot be followed")
            _save(session, save, (*place, "download"), wanted)
            return

        def ask(**more: Any) -> Any:
            return session.door.get(*place, **wanted, **more)

        lines, follow = newest(ask, limit)
        if lines or not go_on:
            _show(session, lines)
        if go_on:
            _go_on(session, ask, follow)


def _show(session: Session, lines: list[Json]) -> None:
    session.terminal.show(lines)
    # Never broken or cut: a line of the log is one line of what is printed.
    if not session.terminal.as_json:
        session.terminal.out.print(shown(lines) if lines else Text("No lines.", "dim"), soft_wrap=True)


def newest(ask: Callable[..., Any], limit: int) -> tuple[list[Json], str]:
    """The newest lines, the oldest of them first, and the cursor of what comes after them."""
    page = ask(limit=min(limit, PAGE_LINES))
    lines, follow = list(page["items"]), str(page["follow"])
    while page["cursor"] is not None and len(lines) < limit:
        page = ask(limit=min(limit - len(lines), PAGE_LINES), cursor=page["cursor"])
        lines += page["items"]
    return lines[::-1], follow


def _go_on(session: Session, ask: Callable[..., Any], follow: str) -> None:
    at = {"cursor": follow}
    for page in looks(lambda: ask(cursor=at["cursor"], limit=PAGE_LINES, wait_s=WAIT_S), pause_s=0.0):
        if isinstance(page, ServerUnreachable):
            session.terminal.tell(Text(f"… {page.detail}", "yellow"))
            continue
        at["cursor"] = page["follow"]
        if page["items"]:
            _show(session, page["items"])


def _save(session: Session, path: Path, place: tuple[str, ...], wanted: dict[str, Any]) -> None:
    """Raises `EnvironmentLacking` if the file cannot be written."""
    kind = "jsonl" if path.suffix == ".jsonl" else "text"
    try:
        with path.open("wb") as file:
            size_bytes = session.door.download(file, *place, **wanted, format=kind)
    except OSError as error:
        raise EnvironmentLacking(f"{path} cannot be written: {error.strerror}") from error
    said = {"file": str(path), "format": kind, "bytes": size_bytes}
    session.terminal.show(said, Text.assemble((str(path), "bold"), f"  {size(size_bytes)}"))


def diagnoses(found: list[Json]) -> Any:
    """The sets of ready-made keywords."""
    listed = table("name", "what it is about", "keywords")
    for one in found:
        listed.add_row(Text(one["name"], "bold"), one["says"], Text(one["search"], "dim"))
    return listed
