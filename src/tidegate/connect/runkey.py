"""What a run key says. It is `<task>r<run number>`; the part before the trailing `r<number>` is the task's, the same in
all its runs."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable


def task_of(run: str) -> str:
    """The task's part of a run key; a key without a run number is its own task."""
    return re.sub(r"r\d+$", "", run)


def sharing(run: str, tasks: Collection[str], runs: Iterable[str]) -> str | None:
    """The first of the runs that is of another of these tasks than `run` is."""
    others = {task for task in tasks if task != task_of(run)}
    return next((other for other in runs if task_of(other) in others), None)
