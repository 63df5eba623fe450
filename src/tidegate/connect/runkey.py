"""What a run key says. It is `<task>r<run number>`; the part before the trailing `r<number>` is the task's, the same in
all its runs."""

from __future__ import annotations

import re


def task_of(run: str) -> str:
    """The task's part of a run key; a key without a run number is its own task."""
    return re.sub(r"r\d+$", "", run)
