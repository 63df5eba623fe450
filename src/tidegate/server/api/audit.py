"""The audit log: who did what, and whether anybody changed the log since."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from tidegate.model.permission import AUDIT_VIEW, SERVER_AUDIT
from tidegate.model.principal import Principal
from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller
from tidegate.server.api.shapes import Door, Instant, one_of
from tidegate.server.audit import ENTRIES_MAX, OUTCOMES, AuditCheck, AuditEntryView
from tidegate.server.control import Control
from tidegate.store.audit import Sought

router = APIRouter(prefix="/audit", tags=["audit"])

Text = Annotated[str | None, Query(min_length=1, max_length=120)]
FILES: dict[int | str, dict[str, Any]] = {200: {"content": {"application/jsonl": {}}}}


def _sought(
    control: Door,
    who: Caller,
    project: Annotated[str | None, Query(pattern=NAME_PATTERN)] = None,
    actor: Text = None,
    action: Annotated[
        str | None, Query(min_length=1, max_length=100, description="A route's or action's name.")
    ] = None,
    outcome: Annotated[
        Annotated[str, one_of(*OUTCOMES)] | None, Query(json_schema_extra={"enum": list(OUTCOMES)})
    ] = None,
    address: Annotated[str | None, Query(min_length=1, max_length=100, description="Where it came from.")] = None,
    since: Annotated[Instant | None, Query(description="From this time on.")] = None,
    until: Annotated[Instant | None, Query(description="Before this time.")] = None,
) -> Sought:
    return Sought(
        _readable(control, who),
        project,
        actor,
        action,
        outcome,
        address,
        None if since is None else since.timestamp(),
        None if until is None else until.timestamp(),
    )


def _readable(control: Control, who: Principal) -> list[str] | None:
    """The projects whose entries they may read; None: all there is, also what is about no project."""
    if who.may(SERVER_AUDIT):
        return None
    return [one.name for one in control.projects() if who.may(AUDIT_VIEW, one.name)]


Which = Annotated[Sought, Depends(_sought)]


@router.get("")
def list_audit(
    control: Door,
    which: Which,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="Only with a smaller id: the next page.")] = None,
    limit: Annotated[int, Query(ge=1, le=ENTRIES_MAX)] = 100,
) -> list[AuditEntryView]:
    """Who did what, newest first: every command and every refusal, of the projects whose log you may read."""
    return control.audit_entries(which, before=before, limit=limit)


@router.get("/export", response_class=StreamingResponse, responses=FILES)
def export_audit(control: Door, which: Which) -> StreamingResponse:
    """The same as lines of JSON, all there is, the oldest first."""
    disposition = 'attachment; filename="audit.jsonl"'
    lines = control.audit_lines(which)
    return StreamingResponse(lines, media_type="application/jsonl", headers={"Content-Disposition": disposition})


@router.get("/verify")
def verify_audit(
    control: Door,
    expect: Annotated[str | None, Query(max_length=100, description="A head that was noted earlier.")] = None,
) -> AuditCheck:
    """Go through the whole log: whether any entry was changed, taken out or moved since it was written, and
    whether it has the last one that the server noted outside the store."""
    return control.check_audit(expect)
