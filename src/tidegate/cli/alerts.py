"""`tidegate alerts`, `tidegate alert-rules` and `tidegate alert-channels`: what fired, by which rules, and who is told.

Rules and channels are made and changed by `tidegate apply`; here they are looked at, switched, tested and deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
import yaml
from rich.console import RenderableType
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.figures import NONE, moment
from tidegate.cli.picture import Json
from tidegate.cli.terminal import Exit

RuleName = Annotated[str, typer.Argument(help="The rule's name.", show_default=False)]
ChannelName = Annotated[str, typer.Argument(help="The channel's name.", show_default=False)]

rules = typer.Typer(help="Alert rules: what is worth being told.", no_args_is_help=True)
channels = typer.Typer(help="Alert channels: where alerts are sent to.", no_args_is_help=True)

_COLOURS = {"normal": "cyan", "important": "yellow", "urgent": "bold red"}


# --- rules ------------------------------------------------------------------------------------------------------


@command(rules, "list")
def list_rules(session: Session, project: ProjectName = "default") -> None:
    """List the rules of a project."""
    found = session.door.get("alert-rules", project=project)
    session.terminal.show(found, _rules(found))


@command(rules)
def show(session: Session, name: RuleName, project: ProjectName = "default") -> None:
    """Show a rule as it can be applied again."""
    found = session.door.get("alert-rules", name, project=project)
    text = yaml.safe_dump(found["definition"], sort_keys=False, allow_unicode=True).rstrip()
    session.terminal.show(found, Text(text))


@command(rules)
def metrics(session: Session) -> None:
    """List what a rule may have a condition on."""
    found = session.door.get("alert-metrics")
    shown = picture.table("metric", "compared", "units", "looks back", "what it is")
    for one in found:
        back = f"{one['window_s']:g} s{' always' if one['fixed_window'] else ''}" if one["window_s"] else NONE
        shown.add_row(Text(one["metric"], "bold"), one["form"], ", ".join(one["units"]) or NONE, back, one["says"])
    session.terminal.show(found, shown)


@command(rules)
def enable(session: Session, name: RuleName, project: ProjectName = "default") -> None:
    """Look at a rule from now on."""
    _switch(session, name, project, "enable")


@command(rules)
def disable(session: Session, name: RuleName, project: ProjectName = "default") -> None:
    """Look at a rule no more; what it had fired ends without being told."""
    _switch(session, name, project, "disable")


def _switch(session: Session, name: str, project: str, how: str) -> None:
    found = session.door.post("alert-rules", name, how, project=project)
    session.terminal.show(found, Text.assemble(("✓ ", "green"), (name, "bold"), f" is {how}d"))


@command(rules, "delete")
def delete_rule(session: Session, name: RuleName, project: ProjectName = "default") -> None:
    """Delete a rule; its history stays."""
    session.door.delete("alert-rules", name, project=project)
    session.terminal.show({"deleted": name}, Text.assemble(("✓ ", "green"), (name, "bold"), " is deleted"))


def _rules(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No alert rules.", "dim")
    shown = picture.table("rule", "severity", "for", "conditions", "told", "last alert")
    for one in found:
        rule = one["definition"]
        scope, subject = next(iter(rule["applies_to"].items()))
        told = rule["channels"] if isinstance(rule["channels"], str) else ", ".join(rule["channels"])
        shown.add_row(
            Text.assemble((one["name"], "bold" if one["enabled"] else "dim"), "" if one["enabled"] else " (disabled)"),
            _severity(one["severity"]),
            "all tasks" if subject is True else f"{scope.replace('_', ' ')} {subject}",
            "\n".join(_condition(condition) for condition in rule["conditions"]),
            told or NONE,
            NONE if one["last_fired_at"] is None else moment(one["last_fired_at"]),
        )
    return shown


def _condition(given: Json) -> str:
    said = [given["metric"]]
    if "threshold" in given:
        said += [given.get("operator", ""), f"{given['threshold']:g}", given.get("unit", "")]
    if "window" in given:
        said.append(f"over {given['window']}")
    return " ".join(word for word in said if word)


def _severity(name: str) -> Text:
    return Text(name, _COLOURS.get(name, ""))


# --- channels ---------------------------------------------------------------------------------------------------


@command(channels, "list")
def list_channels(session: Session, project: ProjectName = "default") -> None:
    """List the channels of a project; their addresses and keys are masked."""
    found = session.door.get("alert-channels", project=project)
    shown: RenderableType = Text("No alert channels: what fires is in the history only.", "dim")
    if found:
        listed = picture.table("channel", "kind", "leads to", "what for")
        for one in found:
            name = Text(one["name"], "bold" if one["enabled"] else "dim")
            listed.add_row(name, one["kind"], one["url"], one["description"])
        shown = listed
    session.terminal.show(found, shown)


@command(channels, "test")
def check(session: Session, name: ChannelName, project: ProjectName = "default") -> None:
    """Send a test message; exit code 1 if it was not taken."""
    with session.terminal.err.status(Text(f"sending a test message to {name}")):
        found = session.door.post("alert-channels", name, "test", project=project)
    said = Text.assemble(("✓ ", "green"), (name, "bold"), " took the message")
    if not found["ok"]:
        said = Text.assemble(("✗ ", "bold red"), (name, "bold"), ": ", picture.problem_text(found["problem"]))
    session.terminal.show(found, said)
    if not found["ok"]:
        raise typer.Exit(Exit.FAILED)


@command(channels, "delete")
def delete_channel(session: Session, name: ChannelName, project: ProjectName = "default") -> None:
    """Delete a channel that no rule names."""
    session.door.delete("alert-channels", name, project=project)
    session.terminal.show({"deleted": name}, Text.assemble(("✓ ", "green"), (name, "bold"), " is deleted"))


# --- what fired -------------------------------------------------------------------------------------------------


def add(app: typer.Typer) -> None:
    """Add this module's command."""

    @command(app, rich_help_panel="Look")
    def alerts(
        session: Session,
        task: Annotated[str | None, typer.Argument(help="Of this task only.", show_default=False)] = None,
        project: Annotated[str | None, typer.Option("--project", "-p", help="Of this project only.")] = None,
        open_only: Annotated[bool, typer.Option("--open", help="Only those that go on.")] = False,
        severity: Annotated[str | None, typer.Option(help="normal, important or urgent.", show_default=False)] = None,
        rule: Annotated[str | None, typer.Option(help="Of this rule.", show_default=False)] = None,
        metric: Annotated[str | None, typer.Option(help="Of this metric.", show_default=False)] = None,
        keyword: Annotated[str | None, typer.Option(help="Whose task, rule or condition says this.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, the newest.")] = 50,
    ) -> None:
        """List alerts, the newest last."""
        found = session.door.get(
            "alerts",
            task=task,
            project=project,
            open_only=open_only,
            severity=severity,
            rule=rule,
            metric=metric,
            keyword=keyword,
            limit=limit,
        )
        session.terminal.show(found, _alerts(found))


def _alerts(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No alerts.", "dim")
    shown = picture.table("fired", "ended", "severity", "task", "rule", "condition", "value", "told", right=("value",))
    for one in reversed(found):
        shown.add_row(
            moment(one["fired_at"]),
            Text("open", "bold") if one["resolved_at"] is None else moment(one["resolved_at"]),
            _severity(one["severity"]),
            Text(one["task_name"], "bold"),
            one["rule"],
            one["condition"],
            NONE if one["value"] is None else f"{one['value']:g} {one['unit']}".rstrip(),
            _told(one),
        )
    return shown


def _told(one: Json) -> Text:
    if one["told_at"] is None:
        return Text({"quiet": "not yet: quiet", "limit": "not yet: limit"}.get(one["held"], NONE), "dim")
    return Text(one["sent"] or "nobody", {"none": "red", "partly": "yellow"}.get(one["sent"], "dim"))
