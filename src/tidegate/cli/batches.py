"""The same for many tasks: named one by one, all, or chosen as the list of operations is filtered; carried out by the
server in one call, each task for itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.picture import Json
from tidegate.cli.terminal import Exit, exit_code
from tidegate.errors import AlertRuleInvalid, EnvironmentLacking, Invalid
from tidegate.model.document import load_documents
from tidegate.model.problem import error_of

PANEL = "Which tasks"
TaskNames = Annotated[list[str] | None, typer.Argument(help="Names or ids of tasks.", show_default=False)]
Everything = Annotated[bool, typer.Option("--all", help="All submitted tasks of the project.", rich_help_panel=PANEL)]
_Many = list[str] | None
_Text = str | None
Status = Annotated[_Many, typer.Option(help="Of this status; may be repeated.", rich_help_panel=PANEL)]
Part = Annotated[_Text, typer.Option("--name", help="Whose name contains this.", rich_help_panel=PANEL)]
Owner = Annotated[_Text, typer.Option(help="Of this owner.", rich_help_panel=PANEL)]
InGroup = Annotated[_Text, typer.Option("--group", help="In this resource group.", rich_help_panel=PANEL)]
SourceKind = Annotated[_Text, typer.Option(help="Reading this kind of system.", rich_help_panel=PANEL)]
TargetKind = Annotated[_Text, typer.Option(help="Writing this kind of system.", rich_help_panel=PANEL)]
Sure = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask at a terminal.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each.")]


@dataclass(frozen=True, slots=True)
class Which:
    """Which tasks are meant. Raises `Invalid` on construction unless it is said in exactly one way."""

    names: Sequence[str]
    everything: bool
    filter: Json

    def __post_init__(self) -> None:
        if [bool(self.names), self.everything, bool(self.filter)].count(True) != 1:
            raise Invalid("which tasks: name them, or give filters such as --status, or --all")

    @property
    def single(self) -> str | None:
        """The one that was named."""
        return self.names[0] if len(self.names) == 1 else None

    def body(self, project: str) -> dict[str, Any]:
        """As the server takes it."""
        if self.names:
            return {"tasks": [{"task": name} for name in self.names]}
        return {"all": True} if self.everything else {"filter": {"project": project, **self.filter}}


def which(
    names: Sequence[str] | None,
    everything: bool,
    *,
    status: Sequence[str] | None = None,
    part: str | None = None,
    owner: str | None = None,
    group: str | None = None,
    source_kind: str | None = None,
    target_kind: str | None = None,
) -> Which:
    """Raises `Invalid`."""
    given: dict[str, Any] = {"status": list(status or []), "name": part, "owner": owner, "resource_group": group}
    given |= {"source_kind": source_kind, "target_kind": target_kind}
    return Which(list(names or []), everything, {name: value for name, value in given.items() if value})


def carry_out(
    session: Session,
    operation: str,
    which: Which,
    *,
    project: str,
    dry_run: bool = False,
    yes: bool = False,
    follow: Callable[[Json], Json] | None = None,
    **more: Any,
) -> None:
    """Have the server do it, ask before at a terminal, and show each task's outcome. `follow` waits for the end of a
    task's step and gives what became of it. Ends with `Exit.FAILED` if some failed, and with what the refusals mean if
    all did."""
    wanted = {"operation": operation, **more}
    body = wanted | which.body(project)
    if dry_run:
        _end(session, session.door.post("batches", project=project, body=body | {"dry_run": True}))
        return
    if not yes and session.terminal.asks:
        body = wanted | _agreed(session, operation, body, project)
    with session.terminal.err.status(Text(operation)):
        done = session.door.post("batches", project=project, body=body)
    if follow is not None:
        done["items"] = [follow(one) if one["outcome"] == "accepted" else one for one in done["items"]]
    _end(session, done)


def _agreed(session: Session, operation: str, body: Json, project: str) -> dict[str, Any]:
    """Show what it would do and ask; the tasks as they were shown. Raises `typer.Abort`, and `typer.Exit` where there
    is nothing to do."""
    seen = session.door.post("batches", project=project, body={**body, "dry_run": True})
    session.terminal.err.print(outcomes(seen))
    count = sum(1 for one in seen["items"] if one["outcome"] == "allowed")
    if not count:
        raise typer.Exit(_code(seen))
    typer.confirm(f"{operation}: {count} of {seen['total']} tasks. Go on?", abort=True, err=True)
    known = [one for one in seen["items"] if one["task"] is not None]
    return {"tasks": [{"task": str(one["task"]), "version": one["version"]} for one in known]}


def _end(session: Session, done: Json) -> None:
    session.terminal.show(done, outcomes(done))
    if code := _code(done):
        raise typer.Exit(code)


def _code(done: Json) -> int:
    problems = [one["problem"] for one in done["items"] if one["outcome"] == "failed"]
    if problems and len(problems) == done["total"]:
        return min(exit_code(error_of(problem)) for problem in problems)
    return Exit.FAILED if problems or any(one.get("reached") is False for one in done["items"]) else Exit.OK


_MARKS = {"accepted": ("✓", "green"), "allowed": ("✓", "green"), "unchanged": ("=", "dim"), "failed": ("✗", "bold red")}


def outcomes(done: Json) -> RenderableType:
    """A table of what became of each, and the totals."""
    if not done["items"]:
        return Text("No tasks.", "dim")
    shown = picture.table("task", "", "status", "")
    for one in done["items"]:
        missed = one.get("reached") is False
        mark, colour = ("✗", "bold red") if missed else _MARKS[one["outcome"]]
        said: RenderableType = Text((one["preview"] or {}).get("cost", ""), "dim")
        if one["problem"]:
            said = picture.problem_text(one["problem"])
        shown.add_row(
            Text(str(one["name"]), "bold"),
            Text.assemble((f"{mark} ", colour), "did not get there" if missed else one["outcome"]),
            picture.status(one) if one["status"] else Text(""),
            said,
        )
    totals = f"{done['total']} tasks: {done['succeeded']} succeeded"
    totals += f" ({done['unchanged']} were so already)" if done["unchanged"] else ""
    return Group(shown, Text(f"{totals}, {done['failed']} failed"))


def add(app: typer.Typer, rules: typer.Typer) -> None:
    """Add this module's commands."""

    @command(app, "change-owner", rich_help_panel="Operate")
    def change_owner(
        session: Session,
        to: Annotated[str, typer.Option(help="Who it is handed to.", show_default=False)],
        task: TaskNames = None,
        project: ProjectName = "default",
        everything: Everything = False,
        status: Status = None,
        part: Part = None,
        owner: Owner = None,
        group: InGroup = None,
        source_kind: SourceKind = None,
        target_kind: TargetKind = None,
        dry_run: DryRun = False,
        yes: Sure = False,
    ) -> None:
        """Hand tasks to another owner."""
        chosen = which(
            task,
            everything,
            status=status,
            part=part,
            owner=owner,
            group=group,
            source_kind=source_kind,
            target_kind=target_kind,
        )
        sure = yes or chosen.single is not None
        carry_out(session, "change-owner", chosen, project=project, dry_run=dry_run, yes=sure, owner=to)

    @command(rules, "add-to")
    def add_to(
        session: Session,
        file: Annotated[
            Path,
            typer.Option("--file", "-f", help="A YAML file of rules without `applies_to`.", show_default=False),
        ],
        task: TaskNames = None,
        project: ProjectName = "default",
        everything: Everything = False,
        status: Status = None,
        part: Part = None,
        owner: Owner = None,
        group: InGroup = None,
        source_kind: SourceKind = None,
        target_kind: TargetKind = None,
        dry_run: DryRun = False,
        yes: Sure = False,
    ) -> None:
        """Give tasks rules of their own, each named after the rule and the task."""
        chosen = which(
            task,
            everything,
            status=status,
            part=part,
            owner=owner,
            group=group,
            source_kind=source_kind,
            target_kind=target_kind,
        )
        sure = yes or chosen.single is not None
        given = _rules(file)
        carry_out(session, "add-alert-rules", chosen, project=project, dry_run=dry_run, yes=sure, rules=given)


def _rules(file: Path) -> list[Json]:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise EnvironmentLacking(f"{file} cannot be read: {why}") from error
    found = load_documents(text, of=str(file))
    if not found:
        raise AlertRuleInvalid(f"{file} holds no rules")
    return list(found)
