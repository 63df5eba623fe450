"""What a person sees of the demo: a live picture in a terminal, and lines of text everywhere else."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINES_SHOWN = 14
COLOURS = {"Running": "green", "Paused": "yellow", "Operating": "cyan", "Failure": "bold red", "Stopped": "dim"}


@dataclass(slots=True)
class Picture:
    """What there is to see at one moment. `tasks` are as the API's list of operations gives them."""

    tasks: Sequence[Mapping[str, Any]] = ()
    progress: float = 0.0
    """Share of the workload's time that is over."""
    committed: int = 0
    """Rows the workload changed so far."""
    stage: str = "Starting"


class Screen(Protocol):
    """Where the demo tells what happens."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def say(self, text: str, *, good: bool | None = None) -> None:
        """Something happened; `good` colours it."""

    def show(self, picture: Picture) -> None:
        """The present moment."""


@dataclass(slots=True)
class Lines:
    """One line for each thing that happens."""

    out: TextIO
    begun: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.out.flush()

    def say(self, text: str, *, good: bool | None = None) -> None:
        self.out.write(f"{time.monotonic() - self.begun:6.1f} s  {text}\n")
        self.out.flush()

    def show(self, picture: Picture) -> None:
        pass


class LivePicture:
    """A picture that redraws itself, with the latest lines below; every line stays in the terminal's history."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = time.monotonic()
        self._picture = Picture()
        self._lines: deque[Text] = deque(maxlen=LINES_SHOWN)
        self._all: list[Text] = []
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._draw)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()
        for line in self._all:
            self._console.print(line)

    def say(self, text: str, *, good: bool | None = None) -> None:
        style = {True: "green", False: "bold red", None: ""}[good]
        line = Text.assemble((f"{time.monotonic() - self._begun:6.1f} s  ", "dim"), (text, style))
        self._lines.append(line)
        self._all.append(line)

    def show(self, picture: Picture) -> None:
        self._picture = picture

    def _draw(self) -> RenderableType:
        picture = self._picture
        head = Table.grid(expand=True)
        head.add_column(ratio=2)
        head.add_column(ratio=3)
        head.add_column(justify="right", ratio=2)
        head.add_row(
            Text(picture.stage, style="bold"),
            ProgressBar(total=1.0, completed=min(1.0, picture.progress)),
            f"{picture.committed:,} changes committed",
        )
        return Panel(Group(head, _tasks(picture.tasks), Group(*self._lines)), title="tidegate demo", padding=(0, 1))


def _tasks(tasks: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(expand=True, box=None, header_style="dim")
    for name, justify in (("task", "left"), ("status", "left"), ("phase", "left"), ("worker", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name in ("copied", "changes written", "lag", "position"):
        table.add_column(name, justify="right")
    for task in tasks:
        counters = task.get("counters") or {}
        status = str(task["status"])
        healthy = task.get("health") in (None, "steady")
        table.add_row(
            str(task["name"]),
            Text(status, style=COLOURS.get(status, "")),
            str(task.get("phase") or ""),
            Text(f"epoch {task['epoch']}" if task.get("epoch") else "", style="" if healthy else "yellow"),
            f"{counters.get('rows_full', 0):,}",
            f"{counters.get('changes_written', 0):,}",
            lag(task),
            str(task.get("position") or ""),
        )
    return table


def lag(task: Mapping[str, Any]) -> str:
    """Nothing while no rows are to arrive: what a stopped or paused task had last grows old."""
    if task["status"] != "Running" or task.get("lag_s") is None:
        return ""
    return f"{task['lag_s']:.1f} s"


def screen(*, as_json: bool) -> Screen:
    """A picture where somebody watches, lines where not; with JSON wanted, standard output is left to it."""
    console = Console(stderr=as_json)
    if console.is_terminal and not console.is_dumb_terminal:
        return LivePicture(console)
    return Lines(sys.stderr if as_json else sys.stdout)
