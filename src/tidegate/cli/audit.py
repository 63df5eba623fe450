"""`tidegate audit`: who did what, and whether anybody changed the log of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import Session, command
from tidegate.cli.figures import NONE, moment, size
from tidegate.cli.terminal import Exit
from tidegate.errors import EnvironmentLacking

_Text = str | None
InProject = Annotated[_Text, typer.Option("--project", "-p", help="About this project.", show_default=False)]
Actor = Annotated[_Text, typer.Option("--by", help="Done by this account.", show_default=False)]
Action = Annotated[_Text, typer.Option(help="This route or action, such as give_command.", show_default=False)]
Outcome = Annotated[_Text, typer.Option(help="done, refused or failed.", show_default=False)]
From = Annotated[_Text, typer.Option("--from", help="From this address.", show_default=False)]
Since = Annotated[_Text, typer.Option(help="From this time on, such as 2026-03-01T12:00:00Z.", show_default=False)]
Until = Annotated[_Text, typer.Option(help="Before this time.", show_default=False)]

app = typer.Typer(help="The audit log: who did what, and whether anybody changed the log.", no_args_is_help=True)
_COLOURS = {"refused": "yellow", "failed": "red"}


@command(app, "list")
def list_entries(
    session: Session,
    project: InProject = None,
    by: Actor = None,
    action: Action = None,
    outcome: Outcome = None,
    address: From = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="At most so many, the newest.")] = 100,
) -> None:
    """List entries, the newest last."""
    wanted = _wanted(project, by, action, outcome, address, since, until)
    found = session.door.get("audit", **wanted, limit=limit)
    if not found:
        session.terminal.show(found, Text("No entries.", "dim"))
        return
    shown = picture.table("when", "who", "by", "from", "what", "of", "project", "outcome")
    for one in reversed(found):
        said = " ".join(word for word in (one["outcome"], one["code"]) if word)
        shown.add_row(
            moment(one["at"]),
            Text(one["actor"] or NONE, "bold"),
            one["credential"] or NONE,
            one["address"] or NONE,
            one["action"],
            " ".join(word for word in (one["subject"], one["detail"]) if word),
            one["project"],
            Text(said, _COLOURS.get(one["outcome"], "")),
        )
    session.terminal.show(found, shown)


@command(app)
def export(
    session: Session,
    file: Annotated[Path, typer.Argument(help="Where to write lines of JSON.", show_default=False)],
    project: InProject = None,
    by: Actor = None,
    action: Action = None,
    outcome: Outcome = None,
    address: From = None,
    since: Since = None,
    until: Until = None,
) -> None:
    """Save all entries to a file, the oldest first."""
    wanted = _wanted(project, by, action, outcome, address, since, until)
    try:
        with file.open("wb") as held:
            size_bytes = session.door.download(held, "audit", "export", **wanted)
    except OSError as error:
        raise EnvironmentLacking(f"{file} cannot be written: {error.strerror}") from error
    said = {"file": str(file), "bytes": size_bytes}
    session.terminal.show(said, Text.assemble((str(file), "bold"), f"  {size(size_bytes)}"))


@command(app)
def verify(
    session: Session,
    expect: Annotated[
        str | None, typer.Option(help="A head that an earlier verify printed and that you kept.", show_default=False)
    ] = None,
) -> None:
    """Check that no entry was changed, taken out or moved, and that the log has what the server noted outside the
    store; exit code 1 if not."""
    with session.terminal.err.status(Text("reading the audit log")):
        found = session.door.get("audit", "verify", expect=expect)
    said = Text.assemble(("✓ ", "green"), f"{found['entries']} entries, as they were written")
    if not found["ok"]:
        said = Text.assemble(("✗ ", "bold red"), found["wrong"], f"; {found['entries']} entries before it hold")
    kept = "nothing is noted outside the store yet"
    if found["noted"] is not None:
        kept = f"compared with the head in the server's data directory, which names entry {found['noted']}"
    hint = "Whoever can write the data directory can make both agree: keep this head elsewhere, for --expect."
    head = Text.assemble(("head  ", "dim"), found["head"])
    session.terminal.show(found, said, Text(kept, "dim"), head, Text(hint, "dim"))
    if not found["ok"]:
        raise typer.Exit(Exit.FAILED)


def _wanted(*given: str | None) -> dict[str, Any]:
    names = ("project", "actor", "action", "outcome", "address", "since", "until")
    return dict(zip(names, given, strict=True))
