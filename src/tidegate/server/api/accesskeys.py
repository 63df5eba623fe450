"""Access keys: what programs sign their requests to the WeData-compatible API with."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from tidegate.model.task import NAME_PATTERN
from tidegate.server.access import Caller
from tidegate.server.accesskeys import AccessKeyView, NewAccessKey
from tidegate.server.api.shapes import Body, Door, NewName

router = APIRouter(prefix="/access-keys", tags=["access keys"])

SecretId = Annotated[str, Path(pattern=NAME_PATTERN, description="As it was shown when the key was made.")]


class NewKey(Body):
    name: NewName
    account: NewName | None = Field(default=None, description="A service account; by default your own.")


@router.get("")
def list_access_keys(control: Door, who: Caller) -> list[AccessKeyView]:
    """Your access keys, without their secrets; all of them for who may change accounts."""
    return control.access_keys(who)


@router.post("", status_code=201)
def create_access_key(control: Door, who: Caller, body: NewKey) -> NewAccessKey:
    """Make a pair of SecretId and SecretKey. The secret is in this answer and in no other."""
    return control.create_access_key(body.name, account=body.account, who=who)


@router.delete("/{secret_id}", status_code=204)
def revoke_access_key(control: Door, who: Caller, secret_id: SecretId) -> None:
    """What the key signs is refused from now on."""
    control.revoke_access_key(secret_id, who=who)
