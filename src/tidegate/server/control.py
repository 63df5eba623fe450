"""What people, programs and workers may ask of the server, and the rules that decide. HTTP routes only translate.

Every method is synchronous, safe to call from many threads, and either does the whole thing or raises a
`TidegateError` having changed nothing. `actor` is who asks, for the key events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate.server.views import (
    Accepted,
    Assignment,
    Beat,
    DataSourceView,
    EventView,
    GroupView,
    Json,
    OfferView,
    Orders,
    Page,
    PositionView,
    ProjectView,
    RunView,
    Session,
    Side,
    SnapshotRequest,
    SnapshotView,
    TaskDetail,
    TaskView,
    VersionView,
)

MASK = "********"
"""Stands for a stored secret in answers; sent back in an edit it means: keep what is stored."""


class Control:
    # --- the door ---

    def first_token(self) -> str | None:
        """The admin token in the clear, the very first time it is asked for; None ever after. Only its hash is kept."""
        raise NotImplementedError

    def check_admin(self, token: str) -> bool:
        """Whether this is the admin token."""
        raise NotImplementedError

    # --- projects ---

    def projects(self) -> list[ProjectView]:
        raise NotImplementedError

    def create_project(self, name: str, description: str = "", *, actor: str) -> ProjectView:
        """Raises `NameTaken`, `Invalid` (the name)."""
        raise NotImplementedError

    def edit_project(self, name: str, *, description: str, actor: str) -> ProjectView:
        """Raises `NotFound`."""
        raise NotImplementedError

    def delete_project(self, name: str, *, actor: str) -> None:
        """Raises `NotFound`, `InUse` while it has tasks or data sources, or is `default`."""
        raise NotImplementedError

    # --- data sources ---

    def data_sources(self, project: str = "default") -> list[DataSourceView]:
        """By name. Raises `NotFound` (the project)."""
        raise NotImplementedError

    def data_source(self, name: str, *, project: str = "default") -> DataSourceView:
        """Raises `NotFound`."""
        raise NotImplementedError

    def create_data_source(
        self,
        name: str,
        kind: str,
        config: Mapping[str, Any],
        *,
        project: str = "default",
        description: str = "",
        actor: str,
    ) -> DataSourceView:
        """`config` as the connector's `Config` takes it, secrets in the clear; they are encrypted here. Raises
        `NameTaken`, `Invalid` (the name), `ConnectorUnknown`, `ConfigInvalid`, `NotFound` (the project)."""
        raise NotImplementedError

    def edit_data_source(
        self,
        name: str,
        *,
        project: str = "default",
        config: Mapping[str, Any] | None = None,
        description: str | None = None,
        version: int | None = None,
        actor: str,
    ) -> DataSourceView:
        """`config` replaces the settings whole; a secret that is left out or `MASK` is kept. Workers take it when they
        next start. Raises `NotFound`, `StaleVersion`, `ConfigInvalid`."""
        raise NotImplementedError

    def delete_data_source(
        self, name: str, *, project: str = "default", version: int | None = None, actor: str
    ) -> None:
        """Raises `NotFound`, `StaleVersion`, `InUse` naming the tasks that use it."""
        raise NotImplementedError

    def data_source_side(self, name: str, *, project: str = "default", config: Mapping[str, Any] | None = None) -> Side:
        """Kind and validated settings with secrets in the clear, to test the connection; never part of an answer.
        With `config`: as they would be after an edit to it. Raises `NotFound`, `ConfigInvalid`."""
        raise NotImplementedError

    # --- resource groups ---

    def groups(self) -> list[GroupView]:
        raise NotImplementedError

    def group(self, name: str) -> GroupView:
        """Raises `NotFound`."""
        raise NotImplementedError

    def create_group(
        self, name: str, *, units: int, engine: str = "local", description: str = "", actor: str
    ) -> GroupView:
        """Raises `NameTaken`, `Invalid`."""
        raise NotImplementedError

    def edit_group(
        self,
        name: str,
        *,
        units: int | None = None,
        description: str | None = None,
        version: int | None = None,
        actor: str,
    ) -> GroupView:
        """Shrinking below what is used stops nothing; it only lets nothing new start. Raises `NotFound`,
        `StaleVersion`, `Invalid`."""
        raise NotImplementedError

    def delete_group(self, name: str, *, version: int | None = None, actor: str) -> None:
        """Raises `NotFound`, `StaleVersion`, `InUse` naming the tasks that name it."""
        raise NotImplementedError

    # --- task definitions ---

    def task_id(self, ref: int | str, *, project: str = "default") -> int:
        """The id of a task given by id (also as digits) or by name. Removed tasks are not found. Raises `NotFound`."""
        raise NotImplementedError

    def tasks(self, project: str | None = None) -> list[TaskView]:
        """All tasks, drafts too, by name."""
        raise NotImplementedError

    def create_task(self, definition: Mapping[str, Any], *, actor: str) -> TaskDetail:
        """A draft, owned by `actor`. Raises `TaskInvalid`, `NameTaken`, `NotFound` (the project)."""
        raise NotImplementedError

    def edit_task(
        self, task: int, definition: Mapping[str, Any], *, version: int | None = None, actor: str
    ) -> TaskDetail:
        """Replace the definition; nothing that runs changes before it is submitted and next started. The project cannot
        change. Raises `NotFound`, `StaleVersion`, `TaskInvalid`, `NameTaken`, `CommandRefused` while it is being
        removed."""
        raise NotImplementedError

    def delete_task(self, task: int, *, version: int | None = None, actor: str) -> Accepted:
        """The command `remove`."""
        raise NotImplementedError

    def submit(self, task: int, *, version: int | None = None, note: str = "", actor: str) -> TaskDetail:
        """Check the definition against its source and target and make it the newest version. A draft becomes
        Initialize; a task that is paused, failed or stopped keeps its status and opens with the new version next time.

        Raises `NotFound`, `StaleVersion`, `CommandRefused` (while it runs or operates), what `DataPlane.check_task`
        found (the first one, with all of them as the fact `errors`), `ObjectMissing` (data source, resource group),
        `TaskInvalid` when it changes what a kept run cannot take over (source, target, names, write mode): stop first.
        """
        raise NotImplementedError

    def versions(self, task: int) -> list[VersionView]:
        """Submitted definitions, newest first."""
        raise NotImplementedError

    # --- operating ---

    def ops(
        self,
        *,
        project: str | None = None,
        status: Sequence[str] = (),
        name: str | None = None,
        owner: str | None = None,
        source_kind: str | None = None,
        target_kind: str | None = None,
        resource_group: str | None = None,
        sort: str = "name",
        page: int = 1,
        page_size: int = 20,
    ) -> Page[TaskView]:
        """Submitted tasks. `status` takes shown statuses (any of them), `name` a part of the name, ignoring case.
        `sort` is one of `OPS_SORTS`, with a leading `-` for descending. Raises `Invalid`."""
        raise NotImplementedError

    def detail(self, task: int) -> TaskDetail:
        """Raises `NotFound`."""
        raise NotImplementedError

    def offers(self, task: int) -> list[OfferView]:
        """Every command, allowed or refused with its reason."""
        raise NotImplementedError

    def command(
        self,
        task: int,
        name: str,
        *,
        version: int | None = None,
        start: Mapping[str, Any] | None = None,
        actor: str,
    ) -> Accepted:
        """Carry out one of `run`, `pause`, `force-pause`, `continue`, `stop`, `remove`, `submit`. It returns as soon as
        the task is in its Operating step; the reconciler does the rest.

        `version` makes it conditional on nobody having changed the task since. `start` is for `run`: `{read:
        "full+incremental"|"incremental", position: str|None}`, by default what the definition says.

        Raises `CommandRefused` (facts `state`, `status`, `version`, `offers`), `StaleVersion` (the same facts),
        `NoUnits`, `NoSnapshot`, `ObjectMissing`, for `run` what `check_task` finds, for `continue` what
        `check_continue` finds (`PositionLost`, `SourceIdentityChanged`, …). Nothing has changed then.
        """
        raise NotImplementedError

    def runs(self, task: int) -> list[RunView]:
        """Newest first."""
        raise NotImplementedError

    def run(self, task: int, number: int) -> RunView:
        """Raises `NotFound`."""
        raise NotImplementedError

    def snapshots(self, task: int, *, run: int | None = None) -> list[SnapshotView]:
        """Newest first; of the present run unless another is named."""
        raise NotImplementedError

    def request_snapshot(self, task: int, *, actor: str) -> SnapshotRequest:
        """Ask the worker for a snapshot now. A request still open is answered again. Raises `CommandRefused` unless the
        task is Running."""
        raise NotImplementedError

    def snapshot_request(self, task: int, request: str) -> SnapshotRequest:
        """Raises `NotFound`."""
        raise NotImplementedError

    def positions(self, task: int, *, ask_source: bool = False) -> PositionView | None:
        """Where the present run stands; None without one. `ask_source` connects to the source, which may take
        seconds."""
        raise NotImplementedError

    def events(
        self, task: int | None = None, *, run: int | None = None, after: int = 0, limit: int = 200
    ) -> list[EventView]:
        """Key events newest first, at most `limit`; `after` gives only those with a greater id. Those of removed tasks
        are kept."""
        raise NotImplementedError

    # --- workers ---

    def authenticate(self, token: str) -> Session:
        """Raises `Unauthorized`, or `Fenced` when the epoch of the token is over (I5)."""
        raise NotImplementedError

    def register(self, session: Session, *, pid: int, started: str) -> Assignment:
        """A worker process says which one it is; `started` as `model.process.started(pid)` gives it. May be repeated.
        Raises `Fenced`."""
        raise NotImplementedError

    def heartbeat(self, session: Session, beat: Beat) -> Orders:
        """Raises `Fenced`."""
        raise NotImplementedError

    def store_snapshot(
        self,
        session: Session,
        *,
        kind: str,
        position: str,
        state: Json,
        request: str | None = None,
        sortable: str | None = None,
    ) -> int:
        """Durable when it returns; its id. `sortable` (as `Position.sortable()`) lets a position that goes back be
        refused (I2): `PositionWentBack`. The same snapshot sent again is stored once. Raises `Fenced`, `Invalid`."""
        raise NotImplementedError

    def event(self, session: Session, name: str, *, error: Json | None = None, facts: Json | None = None) -> None:
        """Something happened in the worker. The names in `WORKER_MOVES` change the state; others are recorded. One that
        was carried out already is accepted again and changes nothing. Raises `Fenced`, `Invalid`, `CommandRefused` when
        the state does not allow it (the worker goes on as its next heartbeat says)."""
        raise NotImplementedError


OPS_SORTS = (
    "name",
    "status",
    "owner",
    "source",
    "target",
    "resource_group",
    "created_at",
    "state_since",
    "lag_s",
    "lag_bytes",
)
WORKER_MOVES = ("opened", "open_failed", "drained", "pause_failed", "gave_up", "end_reached")
