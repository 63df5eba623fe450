"""What a batch is asked for, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.server.views import Json, PreviewView


@dataclass(frozen=True, slots=True)
class Named:
    """A task by id or name; with `version` only if nobody changed it since."""

    task: int | str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Filtered:
    """Submitted tasks as the list of operations is filtered; nothing: all of them."""

    project: str | None = None
    status: Sequence[str] = ()
    name: str | None = None
    owner: str | None = None
    source_kind: str | None = None
    target_kind: str | None = None
    resource_group: str | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done to each: a command of the lifecycle, `change-owner` with the new `owner`, or `add-alert-rules`
    with `rules`, each as a rule is written but for what it applies to."""

    operation: str
    owner: str | None = None
    rules: Sequence[Json] = ()
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class BatchItemView:
    """What became of one task. `accepted`: it is done, or for a command its step is under way; `allowed`: it would be
    (only in a dry run); `unchanged`: it was so already; `failed`: nothing of it was changed, and `problem` says why.
    State, status and version are those afterwards; `preview` is of a dry run of a command."""

    name: str
    outcome: str
    project: str | None = None
    task: int | None = None
    version: int | None = None
    state: str | None = None
    status: str | None = None
    preview: PreviewView | None = None
    problem: Json | None = None


@dataclass(frozen=True, slots=True)
class BatchView:
    """Each task with its outcome, in the order they were named or are listed in; `succeeded` counts all that did not
    fail."""

    operation: str
    dry_run: bool
    total: int
    succeeded: int
    unchanged: int
    failed: int
    items: list[BatchItemView] = field(default_factory=list)
