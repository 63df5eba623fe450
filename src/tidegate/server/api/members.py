"""Members of projects: who may do what there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from tidegate.model.permission import OF_PROJECT, Role
from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller
from tidegate.server.api.shapes import Body, Door, NameInPath
from tidegate.server.members import MemberView

router = APIRouter(prefix="/projects/{name}/members", tags=["members"])

AccountInPath = Annotated[str, Path(pattern=NAME_PATTERN, description="The account's name.", examples=["ann"])]


class Membership(Body):
    role: Role = Field(strict=False)
    permissions: list[Annotated[str, Field(json_schema_extra={"enum": sorted(OF_PROJECT)})]] | None = Field(
        default=None, max_length=100, description="For the role `custom`: what it may do besides seeing the project."
    )


@router.get("")
def list_members(control: Door, name: NameInPath) -> list[MemberView]:
    """All members of a project, and what each may do there."""
    return control.members(name)


@router.put("/{account}")
def put_member(control: Door, who: Caller, name: NameInPath, account: AccountInPath, body: Membership) -> MemberView:
    """Let an account in, or give it another role: nothing that you may not do yourself."""
    return control.put_member(name, account, body.role, body.permissions, who=who)


@router.delete("/{account}", status_code=204)
def remove_member(control: Door, who: Caller, name: NameInPath, account: AccountInPath) -> None:
    """Remove a member; refused while it owns tasks of the project that have a run."""
    control.remove_member(name, account, who=who)
