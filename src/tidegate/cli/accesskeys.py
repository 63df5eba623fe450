"""`tidegate keys`: the pairs of SecretId and SecretKey that programs sign their requests with."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import Session, command
from tidegate.cli.figures import moment

app = typer.Typer(help="Access keys: who may use the WeData-compatible API.", no_args_is_help=True)


@command(app, "list")
def list_all(session: Session) -> None:
    """List access keys; their secrets are not shown."""
    found = session.door.get("access-keys")
    if not found:
        session.terminal.show(found, Text("No access keys.", "dim"))
        return
    shown = picture.table("key", "SecretId", "of", "created", "by")
    for one in found:
        whose = one["account"] or "the built-in administrator"
        shown.add_row(Text(one["name"], "bold"), one["secret_id"], whose, moment(one["created_at"]), one["created_by"])
    session.terminal.show(found, shown)


@command(app)
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for; unique.", show_default=False)],
    account: Annotated[
        str | None, typer.Option("--for", help="A service account; by default yours.", show_default=False)
    ] = None,
) -> None:
    """Make a pair; its secret is shown now and never again. It may do what its account may."""
    made = session.door.post("access-keys", body={"name": name, "account": account})
    said = Text.assemble(
        ("✓ ", "green"), "access key ", (name, "bold"), " created; its SecretKey is not shown again\n",
        "SecretId   ", made["secret_id"], "\nSecretKey  ", made["secret_key"],
    )  # fmt: skip
    session.terminal.show(made, said)


@command(app)
def revoke(
    session: Session, secret_id: Annotated[str, typer.Argument(help="The key's SecretId.", show_default=False)]
) -> None:
    """Refuse what this key signs from now on."""
    session.door.delete("access-keys", secret_id)
    session.terminal.show({"revoked": secret_id}, Text.assemble(("✓ ", "green"), (secret_id, "bold"), " is revoked"))
