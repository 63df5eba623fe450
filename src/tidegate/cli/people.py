"""`tidegate user`, `member` and `token`: who there is, what they may do, and what programs come with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from tidegate.cli import picture
from tidegate.cli.command import ProjectName, Session, command
from tidegate.cli.figures import NONE, moment
from tidegate.cli.picture import Json
from tidegate.errors import Invalid
from tidegate.model.permission import Role

UserName = Annotated[str, typer.Argument(help="The account's name.", show_default=False)]
Administrator = Annotated[
    bool | None, typer.Option("--administrator/--no-administrator", help="Whether it may do everything.")
]

users = typer.Typer(help="Accounts of people and of programs.", no_args_is_help=True)
members = typer.Typer(help="Members of a project, and what they may do there.", no_args_is_help=True)
tokens = typer.Typer(help="Bearer tokens: what programs ask the API with.", no_args_is_help=True)


def _done(name: str, what: str) -> Text:
    return Text.assemble(("✓ ", "green"), (name, "bold"), f" {what}")


# --- accounts ---------------------------------------------------------------------------------------------------


@command(users, "list")
def list_users(session: Session) -> None:
    """List all accounts."""
    found = session.door.get("users")
    shown: RenderableType = Text("No accounts: there is only the admin token.", "dim")
    if found:
        listed = picture.table("account", "kind", "may", "made", "by")
        for one in found:
            name = Text(one["name"], "bold" if one["enabled"] else "dim")
            listed.add_row(name + ("" if one["enabled"] else " (disabled)"), one["kind"], _may(one), *_made(one))
        shown = listed
    session.terminal.show(found, shown)


def _may(one: Json) -> str:
    roles = [f"{project}: {role.replace('_', ' ')}" for project, role in one["projects"].items()]
    return "everything" if one["administrator"] else "\n".join(roles) or NONE


def _made(one: Json) -> tuple[str, str]:
    return moment(one["created_at"]), one["created_by"]


@command(users)
def create(
    session: Session,
    name: UserName,
    service: Annotated[bool, typer.Option("--service", help="Of a program: tokens and access keys only.")] = False,
    administrator: Annotated[bool, typer.Option("--administrator", help="It may do everything.")] = False,
    description: Annotated[str, typer.Option(help="For people.", show_default=False)] = "",
) -> None:
    """Make an account. A person's password is asked for, or read from a pipe."""
    body = {"name": name, "kind": "service" if service else "person", "administrator": administrator}
    if not service:
        body["password"] = session.terminal.secret("Password", twice=True)
    made = session.door.post("users", body=body | {"description": description})
    session.terminal.show(made, _done(name, "is there; let it into a project with `tidegate member set`"))


@command(users, "set-up")
def set_up(
    session: Session,
    name: UserName,
    code: Annotated[str, typer.Option(help="As the server printed it at its first start.", prompt="Set-up code")],
) -> None:
    """Make the first administrator's account, by the code the server printed at its first start. It needs no token."""
    body = {"code": code, "name": name, "password": session.terminal.secret("Password", twice=True)}
    made = session.log_in().post("setup", body=body)
    session.terminal.show(made, _done(name, "is there, and may do everything"))


@command(users)
def edit(
    session: Session,
    name: UserName,
    administrator: Administrator = None,
    description: Annotated[str | None, typer.Option(help="For people.", show_default=False)] = None,
) -> None:
    """Make an account an administrator, or none; describe it."""
    body = {"administrator": administrator, "description": description}
    session.terminal.show(session.door.put("users", name, body=body), _done(name, "is changed"))


@command(users)
def enable(session: Session, name: UserName) -> None:
    """Let a disabled account in again."""
    session.terminal.show(session.door.put("users", name, body={"enabled": True}), _done(name, "is enabled"))


@command(users)
def disable(session: Session, name: UserName) -> None:
    """Refuse an account from now on, whatever it comes with. Its log-ins, tokens and access keys are over for good."""
    said = _done(name, "is disabled; its log-ins, tokens and access keys are over")
    session.terminal.show(session.door.put("users", name, body={"enabled": False}), said)


@command(users)
def password(
    session: Session,
    name: UserName,
    own: Annotated[bool, typer.Option("--own", help="Your own, by the present one and without a token.")] = False,
    end_credentials: Annotated[
        bool, typer.Option("--end-credentials", help="With --own: your tokens and access keys are over as well.")
    ] = False,
) -> None:
    """Set another password; log-ins with the one before are over, and with somebody else's also tokens and keys."""
    body: dict[str, Any] = {"end_credentials": end_credentials}
    door = session.door if not own else None
    if door is None:
        body["present"] = present = session.terminal.secret("Present password")
        door = session.log_in(name, present)
    body["password"] = session.terminal.secret("New password", twice=True)
    door.put("users", name, "password", body=body)
    session.terminal.show({"changed": name}, _done(name, "has another password"))


@command(users)
def delete(session: Session, name: UserName) -> None:
    """Delete an account, with its memberships, tokens and access keys."""
    session.door.delete("users", name)
    session.terminal.show({"deleted": name}, _done(name, "is deleted"))


@command(users)
def whoami(session: Session) -> None:
    """Show who you are to the server, and what you may do."""
    found = session.door.get("session")
    shown = picture.table("project", "role", "you may")
    for one in found["projects"]:
        shown.add_row(Text(one["project"], "bold"), one["role"] or NONE, ", ".join(one["permissions"]))
    may = Text.assemble((found["actor"], "bold"), "  ", (", ".join(found["permissions"]), "dim"))
    session.terminal.show(found, may, shown)


# --- members ----------------------------------------------------------------------------------------------------


@command(members, "list")
def list_members(session: Session, project: ProjectName = "default") -> None:
    """List the members of a project."""
    found = session.door.get("projects", project, "members")
    shown: RenderableType = Text("No members: only administrators see this project.", "dim")
    if found:
        listed = picture.table("member", "role", "may", "since")
        for one in found:
            may = "everything" if one["administrator"] else ", ".join(one["permissions"])
            role = one["role"].replace("_", " ") + (f"\nby group {one['by_group']}" if one["by_group"] else "")
            listed.add_row(Text(one["account"], "bold"), role, may, moment(one["since"]))
        shown = listed
    session.terminal.show(found, shown)


@command(members, "set")
def put(
    session: Session,
    name: UserName,
    role: Annotated[Role, typer.Argument(help="What it is in the project.", show_default=False)],
    permission: Annotated[
        list[str] | None, typer.Option(help="For the role custom: what it may do; may be repeated.")
    ] = None,
    project: ProjectName = "default",
) -> None:
    """Let an account into a project, or give it another role."""
    body: dict[str, object] = {"role": role.value}
    if permission is not None or role is Role.CUSTOM:
        body["permissions"] = permission or []
    made = session.door.put("projects", project, "members", name, body=body)
    session.terminal.show(made, _done(name, f"is {role.value.replace('_', ' ')} of {project}"))


@command(members)
def remove(session: Session, name: UserName, project: ProjectName = "default") -> None:
    """Remove a member; refused while it owns tasks that have a run."""
    session.door.delete("projects", project, "members", name)
    session.terminal.show({"removed": name}, _done(name, f"is no member of {project} any more"))


# --- tokens -----------------------------------------------------------------------------------------------------


@command(tokens, "list")
def list_tokens(session: Session) -> None:
    """List your tokens, of an administrator all; never themselves."""
    found = session.door.get("tokens")
    session.terminal.show(found, _tokens(found))


def _tokens(found: Sequence[Json]) -> RenderableType:
    if not found:
        return Text("No tokens.", "dim")
    shown = picture.table("id", "token", "account", "good for", "in", "until")
    for one in found:
        until = Text("expired", "red") if one["expired"] else Text(moment(one["expires_at"]))
        good = ", ".join(one["permissions"] or []) or "all it may do"
        where = ", ".join(one["projects"] or []) or "all its projects"
        shown.add_row(str(one["id"]), Text(one["name"], "bold"), one["account"], good, where, until)
    return shown


@command(tokens, "create")
def create_token(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for.", show_default=False)],
    account: Annotated[
        str | None, typer.Option("--for", help="A service account; by default yours.", show_default=False)
    ] = None,
    log_in: Annotated[
        str | None, typer.Option("--log-in", help="Make it as this account, by its password.", show_default=False)
    ] = None,
    days: Annotated[float, typer.Option(help="How long it is good.")] = 90,
    permission: Annotated[
        list[str] | None, typer.Option(help="For nothing else; may be repeated.", show_default=False)
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--in", help="In no other project; may be repeated.", show_default=False)
    ] = None,
) -> None:
    """Make a token; it is shown now and never again."""
    if log_in is not None and account is not None:
        raise Invalid("--log-in, --for: give one of them")
    door = session.door if log_in is None else session.log_in(log_in, session.terminal.secret("Password"))
    limits = {"permissions": permission or None, "projects": where or None}
    made = door.post("tokens", body={"name": name, "account": account, "days": days} | limits)
    until = moment(made["expires_at"])
    said = Text.assemble(
        ("✓ ", "green"), "token ", (name, "bold"), f" of {made['account']}, good until {until}; not shown again\n",
        made["token"],
    )  # fmt: skip
    session.terminal.show(made, said)


@command(tokens)
def revoke(
    session: Session, number: Annotated[int, typer.Argument(help="Its id, as listed.", show_default=False)]
) -> None:
    """Refuse a token from now on."""
    session.door.delete("tokens", number)
    session.terminal.show({"revoked": number}, _done(f"token {number}", "is revoked"))
