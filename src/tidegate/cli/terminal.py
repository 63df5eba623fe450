"""What the command line says, to people as tables and sentences, with --json to programs as one JSON value.

Results go to standard output, progress and refusals to standard error; with --json a refusal is a problem object on
standard output, so that a program reads one stream.
"""

from __future__ import annotations

import json
import sys
from enum import IntEnum
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from tidegate.errors import (
    AlreadyRunning,
    EnvironmentLacking,
    PortTaken,
    SecretKeyWrong,
    ServerNotTrusted,
    ServerUnreachable,
    SettingInvalid,
    StoreUnavailable,
    TidegateError,
    Unauthorized,
)
from tidegate.model.problem import problem

PIPE_WIDTH = 240


class Exit(IntEnum):
    """Exit codes. A refusal (nothing was changed) is BAD_REQUEST, also when only the task's status stood against it;
    FAILED is what was attempted and did not succeed."""

    OK = 0
    FAILED = 1
    BAD_REQUEST = 2
    ENVIRONMENT = 3


_ENVIRONMENT = (
    AlreadyRunning,
    EnvironmentLacking,
    PortTaken,
    SecretKeyWrong,
    ServerNotTrusted,
    ServerUnreachable,
    SettingInvalid,
    StoreUnavailable,
    Unauthorized,
)


def exit_code(error: TidegateError) -> Exit:
    """Which exit code an error has."""
    if isinstance(error, _ENVIRONMENT):
        return Exit.ENVIRONMENT
    return Exit.BAD_REQUEST if error.status < 500 else Exit.FAILED


class Terminal:
    """Where a command speaks."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.err = _console(stderr=True)

    @property
    def lively(self) -> bool:
        """Whether somebody looks: then progress is drawn and questions may be asked."""
        return self.err.is_terminal and not self.as_json

    @property
    def asks(self) -> bool:
        """Whether a question would be answered."""
        return self.lively and sys.stdin.isatty()

    def secret(self, prompt: str, *, twice: bool = False) -> str:
        """A password: asked for without showing it, or from a pipe its first line. It is on no command line, where
        others could read it."""
        if sys.stdin.isatty():
            given: str = typer.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True)
            return given
        return sys.stdin.readline().rstrip("\r\n")

    def show(self, data: Any, *shown: RenderableType) -> None:
        """The command's result: `data` to programs, `shown` to people."""
        if self.as_json:
            # One line each in a pipe, so that a watcher can read line by line.
            indent = 2 if self.out.is_terminal else None
            self.out.file.write(json.dumps(data, ensure_ascii=False, indent=indent) + "\n")
            self.out.file.flush()
        else:
            for one in shown:
                self.say(one)

    def say(self, said: RenderableType) -> None:
        """A part of the result as soon as it is known, to people; `show` gives programs the whole."""
        if self.as_json:
            return
        if self.out.is_terminal:
            self.out.print(said)
            return
        # In a pipe the last column of a table is not filled up with spaces.
        with self.out.capture() as printed:
            self.out.print(said)
        self.out.file.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))
        self.out.file.flush()

    def tell(self, said: RenderableType) -> None:
        """A word beside the result."""
        if not self.as_json:
            self.err.print(said)

    def refuse(self, error: TidegateError) -> None:
        """An error, with all that helps to act on it."""
        if self.as_json:
            self.show(problem(error))
        else:
            self.err.print(refusal(error))


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, soft_wrap=False, emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=PIPE_WIDTH)
    return console


def refusal(error: TidegateError) -> RenderableType:
    """Title, detail, findings, advice, and what is offered instead."""
    head = Text.assemble(("✗ ", "bold red"), (error.title, "bold"), (f"  {error.code}", "dim"))
    lines: list[RenderableType] = [Text(error.detail)]
    findings = [one for one in error.facts.get("errors", []) if isinstance(one, dict)]
    if len(findings) > 1 or any("detail" not in one and "field" not in one for one in findings):
        lines += [Text.assemble(("• ", "red"), _finding(one)) for one in findings]
    lines.append(Text.assemble(("→ ", "cyan"), (error.advice, "cyan")))
    offers = [one for one in error.facts.get("offers", []) if isinstance(one, dict)]
    if offers:
        allowed = [str(one["command"]) for one in offers if one.get("allowed")]
        lines.append(Text.assemble(("offered: ", "dim"), (", ".join(allowed) or "nothing at the moment", "green")))
    return Group(head, Padding(Group(*lines), (0, 0, 0, 2), expand=False))


def _finding(found: dict[str, Any]) -> str:
    if "field" in found:
        return f"{found['field']}: {found.get('problem', '')}"
    return f"{found.get('detail', '')} ({found.get('code', '')})"
