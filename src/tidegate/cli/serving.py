"""`tidegate server`: its flags are the settings table, its work is the server's own."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from tidegate.cli.command import Session, command
from tidegate.settings import SETTINGS, Setting, Settings, load


def _flag(setting: Setting) -> Parameter:
    default = "" if setting.default is None else f" Default {setting.default}."
    choices = f" One of {', '.join(setting.choices)}." if setting.choices else ""
    said = typer.Option(
        setting.option,
        help=f"{setting.says.help}{choices}{default} Or {setting.variable}.",
        metavar=setting.type.__name__.upper(),
        show_default=False,
    )
    return Parameter(setting.name, Parameter.KEYWORD_ONLY, annotation=Annotated[str | None, said], default=None)


_PR_SET_THP_DISABLE = 41  # <linux/prctl.h>


def without_huge_pages() -> None:
    """Have the kernel give this process, and those it starts, no transparent huge pages; nothing where it knows none.

    Allocators reserve much in one piece and ask for huge pages in it, and the kernel puts them where little is used,
    one by one: two megabytes more every quarter of an hour for as long as a worker lives.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)


def add(app: typer.Typer) -> None:
    """Add the command."""

    def server(session: Session, **flags: str | None) -> None:
        """Run the server: REST API, reconciler and the local engine that starts workers.

        The admin token, and the code for the first account, are printed once, at the first start. Ctrl-C or SIGTERM
        ends the server; workers keep running and are adopted when it starts again.
        """
        settings = load(os.environ, flags)
        without_huge_pages()
        # Imported here because everything else the command line does needs nothing of the server.
        from tidegate.server.service import Listening, serve

        def announce(listening: Listening) -> None:
            said: dict[str, Any] = {
                "url": listening.url,
                "data_dir": str(settings.data_dir),
                "token": listening.first_token,
                "set_up_code": listening.set_up_code,
                "token_file": str(listening.token_file),
                "local_commands_refused": listening.local_shut_out,
            }
            session.terminal.show(said, _welcome(listening, settings, load(os.environ, {})))

        def farewell(workers: int) -> None:
            kept = {0: "no worker is running", 1: "its worker keeps running"}.get(
                workers, f"{workers} workers keep running"
            )
            session.terminal.tell(Text(f"The server ends; {kept}.", "dim"))

        serve(settings, announce, farewell)

    shown = Parameter("session", Parameter.POSITIONAL_OR_KEYWORD, annotation=Session)
    flags = [_flag(setting) for setting in SETTINGS if setting.says.flag]
    server.__signature__ = Signature([shown, *flags])  # type: ignore[attr-defined]
    command(app, rich_help_panel="Serve")(server)


def _welcome(listening: Any, settings: Settings, usual: Settings) -> Group:
    """`usual` is what the other commands go by where they are told nothing."""
    data_dir = str(settings.data_dir)
    elsewhere = "" if (settings.host, settings.port) == (usual.host, usual.port) else f" --url {listening.url}"
    found = "" if settings.data_dir == usual.data_dir else f" with TIDEGATE_DATA_DIR={data_dir}"
    lines = [
        Text.assemble("Tidegate listens on ", (listening.url, "bold")),
        Text.assemble("Data in ", data_dir),
    ]
    if listening.first_token is not None:
        lines += [
            Text(),
            Text("This is the first start. The admin token, shown only now:"),
            Text(),
            Text(f"    {listening.first_token}", "bold green"),
            Text(),
            Text(f"On this machine `tidegate{elsewhere}` finds it{found}, in a file of this user alone:"),
            Text(f"{listening.token_file}"),
        ]
    if listening.set_up_code is not None:
        lines += [
            Text(),
            Text("For the first administrator's account, good once and for 24 hours:"),
            Text(),
            Text(f"    tidegate user set-up NAME --code {listening.set_up_code}{elsewhere}", "bold green"),
        ]
    if listening.local_shut_out:
        lines += [
            Text(),
            Text("TIDEGATE_ALLOW_FROM leaves this machine out: the command line here will be refused.", "yellow"),
            Text("Add 127.0.0.1 to it to use tidegate on the server's machine."),
        ]
    return Group(*lines)
