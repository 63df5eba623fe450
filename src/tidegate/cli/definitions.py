"""Saying what there is: files of tasks, data sources, resource groups, alert rules and alert channels applied to the
server; submitting; listing.

A file holds YAML documents. A field tells each one's kind: `task:` is a task, `alert_rule:` an alert rule;
`data_source:`, `resource_group:` and `alert_channel:` name the thing that the other fields describe. In a data source's
`config` and in a channel's `url` and `key`, `${ENV:NAME}` is replaced by that environment variable, so that no file
needs to hold a password.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, TaskName, command
from tidegate.errors import EnvironmentLacking, NotFound, TaskInvalid, TidegateError
from tidegate.model.alert import parse_rule
from tidegate.model.document import SIZE_MAX_BYTES, load_documents
from tidegate.model.task import parse_task

_VARIABLE = re.compile(r"\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}")
# In this order, for tasks name the others.
KINDS = ("resource_group", "data_source", "alert_channel", "task", "alert_rule")
_FIELDS = {
    "alert_channel": {"alert_channel", "project", "kind", "url", "key", "description", "enabled"},
    "resource_group": {"resource_group", "units", "description"},
    "data_source": {"data_source", "project", "kind", "description", "config"},
}


@dataclass(frozen=True, slots=True)
class Document:
    """One thing of a file, complete, and where it came from."""

    kind: str
    values: dict[str, Any]
    of: str

    @property
    def name(self) -> str:
        return str(self.values[self.kind])


def read(path: str, environment: Mapping[str, str]) -> list[Document]:
    """A file's documents; `-` is standard input. Raises `TaskInvalid`, `EnvironmentLacking`."""
    of = "standard input" if path == "-" else path
    try:
        text = sys.stdin.read(SIZE_MAX_BYTES + 1) if path == "-" else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise EnvironmentLacking(f"{of} cannot be read: {why}") from error
    found = [_document(values, of, environment) for values in load_documents(text, of=of)]
    if not found:
        raise TaskInvalid(f"{of} holds nothing")
    return found


def _document(values: dict[str, Any], of: str, environment: Mapping[str, str]) -> Document:
    # A task has a field `resource_group` too, so `task` decides first.
    kind = next((one for one in reversed(KINDS) if one in values), None)
    if kind is None:
        raise TaskInvalid(f"{of}: a document has one of the fields {', '.join(reversed(KINDS))}")
    if kind == "task":
        return Document(kind, parse_task(values).definition(), of)
    if kind == "alert_rule":
        return Document(kind, parse_rule(values).definition(), of)
    if not isinstance(values[kind], str):
        raise TaskInvalid(f"{of}: {kind} must be its name")
    unknown = sorted(set(values) - _FIELDS[kind])
    if unknown:
        raise TaskInvalid(f"{of}: {kind} {values[kind]}: there is no field {', '.join(unknown)}")
    if kind == "data_source":
        values = values | {"config": fill(values.get("config"), f"{of}: data source {values[kind]}", environment)}
    if kind == "alert_channel":
        secret = {name: values[name] for name in ("url", "key") if name in values}
        values = values | fill(secret, f"{of}: alert channel {values[kind]}", environment)
    return Document(kind, values, of)


def fill(config: object, of: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings with each `${ENV:NAME}` replaced. Raises `EnvironmentLacking` naming the variable that is not set."""
    if not isinstance(config, dict):
        raise TaskInvalid(f"{of}: config must be a mapping of settings")

    def variable(found: re.Match[str]) -> str:
        value = environment.get(found[1])
        if value is None:
            raise EnvironmentLacking(f"{of}: the environment variable {found[1]} is not set")
        return value

    return {name: _VARIABLE.sub(variable, value) if isinstance(value, str) else value for name, value in config.items()}


# --- applying ---------------------------------------------------------------------------------------------------


def apply_one(session: Session, document: Document) -> str:
    """Make the server have the document's thing; `created`, `changed`, `unchanged`, or `saved` when only what is secret
    may have changed."""
    return _APPLIED_BY[document.kind](session, document)


def _apply_group(session: Session, document: Document) -> str:
    given = {name: value for name, value in document.values.items() if name != "resource_group"}
    try:
        held = session.door.get("resource-groups", document.name)
    except NotFound:
        session.door.post("resource-groups", body=given | {"name": document.name})
        return "created"
    if all(held[name] == value for name, value in given.items()):
        return "unchanged"
    session.door.put("resource-groups", document.name, body=given | {"version": held["version"]})
    return "changed"


def _apply_data_source(session: Session, document: Document) -> str:
    given = {name: value for name, value in document.values.items() if name not in ("data_source", "project")}
    project = document.values.get("project", "default")
    try:
        held = session.door.get("data-sources", document.name, project=project)
    except NotFound:
        session.door.post("data-sources", project=project, body=given | {"name": document.name})
        return "created"
    if given.pop("kind", held["kind"]) != held["kind"]:
        raise TaskInvalid(f"{document.of}: data source {document.name} is of kind {held['kind']}, which cannot change")
    body = given | {"version": held["version"]}
    saved = session.door.put("data-sources", document.name, project=project, body=body)
    if saved["version"] == held["version"]:
        return "unchanged"
    shown = ("config", "description")
    # Secrets are not shown, so whether they changed cannot be told.
    return "saved" if all(saved[name] == held[name] for name in shown) else "changed"


def _apply_task(session: Session, document: Document) -> str:
    project = document.values["project"]
    try:
        held = session.door.get("tasks", document.name, project=project)
    except NotFound:
        session.door.post("tasks", body=document.values)
        return "created"
    if held["definition"] == document.values:
        return "unchanged"
    version = held["task"]["version"]
    session.door.put("tasks", held["task"]["id"], project=project, version=version, body=document.values)
    return "changed"


def _apply_channel(session: Session, document: Document) -> str:
    given = {name: value for name, value in document.values.items() if name not in ("alert_channel", "project")}
    project = document.values.get("project", "default")
    try:
        held = session.door.get("alert-channels", document.name, project=project)
    except NotFound:
        session.door.post("alert-channels", project=project, body=given | {"name": document.name})
        return "created"
    if given.pop("kind", held["kind"]) != held["kind"]:
        raise TaskInvalid(
            f"{document.of}: alert channel {document.name} is of kind {held['kind']}, which cannot change"
        )
    session.door.put("alert-channels", document.name, project=project, body=given | {"version": held["version"]})
    return "saved"  # its address and key are not shown, so whether they changed cannot be told


def _apply_rule(session: Session, document: Document) -> str:
    project = document.values["project"]
    try:
        held = session.door.get("alert-rules", document.name, project=project)
    except NotFound:
        session.door.post("alert-rules", body=document.values)
        return "created"
    if held["definition"] == document.values:
        return "unchanged"
    session.door.put("alert-rules", document.name, project=project, version=held["version"], body=document.values)
    return "changed"


_APPLIED_BY: Mapping[str, Callable[[Session, Document], str]] = {
    "resource_group": _apply_group,
    "data_source": _apply_data_source,
    "alert_channel": _apply_channel,
    "task": _apply_task,
    "alert_rule": _apply_rule,
}


def add(app: typer.Typer) -> None:
    """Add this module's commands."""

    @command(app, rich_help_panel="Define")
    def apply(
        session: Session,
        file: Annotated[
            list[str], typer.Option("--file", "-f", help="A YAML file; - is standard input.", show_default=False)
        ],
        submit: Annotated[bool, typer.Option("--submit", help="Submit each task afterwards.")] = False,
    ) -> None:
        """Create or change what files describe: tasks, data sources, resource groups, alert rules, alert channels.

        Nothing is applied unless every document is well-formed. A changed task takes effect once it is submitted, for
        which it must not run, and continued or run again.
        """
        documents = [one for path in file for one in read(path, os.environ)]
        done = []
        for document in sorted(documents, key=lambda one: KINDS.index(one.kind)):
            outcome = apply_one(session, document)
            if document.kind == "task" and submit and not (outcome == "unchanged" and _is_submitted(session, document)):
                try:
                    _submit(session, document.name, document.values["project"])
                except TidegateError:
                    kept = {"kind": document.kind, "name": document.name, "outcome": f"{outcome}, not submitted"}
                    session.terminal.say(_applied(kept))
                    raise
                outcome += ", submitted"
            done.append({"kind": document.kind, "name": document.name, "outcome": outcome})
            session.terminal.say(_applied(done[-1]))
        session.terminal.show(done)

    @command(app, rich_help_panel="Define")
    def submit(
        session: Session,
        task: TaskName,
        project: ProjectName = "default",
        note: Annotated[str, typer.Option(help="Kept with the version.", show_default=False)] = "",
        version: Annotated[
            int | None, typer.Option(help="Only if nobody changed the task since this version.", show_default=False)
        ] = None,
    ) -> None:
        """Check the definition against source and target and make it the newest version."""
        detail = _submit(session, task, project, note=note, version=version)
        one = detail["task"]
        said = Text.assemble(
            ("✓ ", "green"), (one["name"], "bold"), f"  version {one['submitted']}  ", picture.status(one)
        )
        session.terminal.show(detail, said)

    @command(app, rich_help_panel="Define")
    def tasks(session: Session, project: ProjectName = "default") -> None:
        """List all definitions, drafts too."""
        found = session.door.get("tasks", project=project)
        session.terminal.show(found, picture.definitions(found))

    @command(app, rich_help_panel="Define")
    def lock(
        session: Session,
        task: TaskName,
        seize: Annotated[bool, typer.Option("--seize", help="Also if somebody else holds it.")] = False,
        project: ProjectName = "default",
    ) -> None:
        """Hold a task's definition: nobody else changes, submits or hands it over until you unlock it."""
        held = session.door.put("tasks", task, "lock", project=project, body={"seize": seize})
        said = Text.assemble(("✓ ", "green"), (task, "bold"), f" is held by {held['holder']}")
        session.terminal.show(held, said)

    @command(app, rich_help_panel="Define")
    def unlock(session: Session, task: TaskName, project: ProjectName = "default") -> None:
        """Let others change a task's definition again."""
        session.door.delete("tasks", task, "lock", project=project)
        session.terminal.show({"unlocked": task}, Text.assemble(("✓ ", "green"), (task, "bold"), " is free"))

    @command(app, rich_help_panel="Define")
    def versions(session: Session, task: TaskName, project: ProjectName = "default") -> None:
        """List a task's submitted definitions."""
        found = session.door.get("tasks", task, "versions", project=project)
        session.terminal.show(found, picture.versions(found))

    @command(app, rich_help_panel="Define")
    def groups(session: Session) -> None:
        """List resource groups with their units."""
        found = session.door.get("resource-groups")
        session.terminal.show(found, picture.groups(found))


def _is_submitted(session: Session, document: Document) -> bool:
    """Whether the newest version that was submitted is what the task is defined as."""
    held = session.door.get("tasks", document.name, project=document.values["project"])["task"]
    return held["submitted"] is not None and not held["changed"]


def _submit(session: Session, task: str, project: str, *, note: str = "", version: int | None = None) -> Any:
    with session.terminal.err.status(Text(f"checking {task} against its source and target")):
        return session.door.post("tasks", task, "submit", project=project, body={"note": note, "version": version})


def _applied(done: Mapping[str, str]) -> Text:
    same = done["outcome"] == "unchanged"
    mark = ("= ", "dim") if same else ("✓ ", "green")
    return Text.assemble(mark, f"{done['kind'].replace('_', ' ')} ", (done["name"], "bold"), f" {done['outcome']}")
