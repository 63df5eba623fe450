"""How every command is made: it is given a session (the server, the terminal), has --json, --url, --token and --ca,
and whatever it raises ends it with the right words and exit code."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Annotated, Any

import typer

from tidegate.cli.door import Door, address
from tidegate.cli.terminal import Terminal, exit_code
from tidegate.errors import TidegateError

PANEL = "Everywhere"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=PANEL)]
Url = Annotated[
    str | None,
    typer.Option(help="The server's address (or TIDEGATE_URL).", show_default=False, rich_help_panel=PANEL),
]
Token = Annotated[
    str | None,
    typer.Option(
        help="The admin token, or an account's (or TIDEGATE_TOKEN).", show_default=False, rich_help_panel=PANEL
    ),
]
Ca = Annotated[
    str | None,
    typer.Option(
        help="A file of authorities, in PEM, to verify the server by (or TIDEGATE_CA).",
        metavar="FILE",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
TaskName = Annotated[str, typer.Argument(help="The task's name or id.", show_default=False)]
ProjectName = Annotated[str, typer.Option("--project", "-p", help="The project names are looked up in.")]


@dataclass(slots=True)
class Wishes:
    """What was given before the command's name."""

    as_json: bool = False
    url: str | None = None
    token: str | None = None
    ca: str | None = None


@dataclass(slots=True)
class Session:
    """What a command works with. The server is looked for only when it is spoken to."""

    terminal: Terminal
    wishes: Wishes
    _door: Door | None = field(default=None, init=False)

    @property
    def door(self) -> Door:
        """Raises `EnvironmentLacking`, `SettingInvalid`."""
        if self._door is None:
            wishes = self.wishes
            place = address(os.environ, wishes.url, wishes.token, ca=wishes.ca)
            self._door = Door(place, for_eyes=not wishes.as_json)
        return self._door

    def log_in(self, name: str | None = None, password: str = "") -> Door:
        """The server for somebody without a token: with a name and password it is asked as theirs from here on."""
        self.close()
        place = address(os.environ, self.wishes.url, ca=self.wishes.ca, unknown=True)
        self._door = Door(place, for_eyes=not self.wishes.as_json)
        if name is not None:
            self._door.post("session", body={"name": name, "password": password})
        return self._door

    def close(self) -> None:
        if self._door is not None:
            self._door.__exit__()


def command(
    app: typer.Typer, name: str | None = None, **about: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates `def words(session: Session, …)`, adding it to `app` with the options every command has."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(
            ctx: typer.Context, *, as_json: bool, url: str | None, token: str | None, ca: str | None, **given: Any
        ) -> None:
            before = ctx.find_object(Wishes) or Wishes()
            wishes = Wishes(as_json or before.as_json, url or before.url, token or before.token, ca or before.ca)
            session = Session(Terminal(as_json=wishes.as_json), wishes)
            try:
                function(session, **given)
            except TidegateError as error:
                session.terminal.refuse(error)
                raise typer.Exit(exit_code(error)) from error
            finally:
                session.close()

        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        shared = {"as_json": (AsJson, False), "url": (Url, None), "token": (Token, None), "ca": (Ca, None)}
        parameters = [
            inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own),
            *(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
                for name, (kind, default) in shared.items()
            ),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name, **about)(run)
        return function

    return decorate
