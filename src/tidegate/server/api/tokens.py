"""Bearer tokens of accounts: what programs send with each request of this API."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from tidegate.model.permission import OF_PROJECT, OF_SERVER
from tidegate.server.access import Caller
from tidegate.server.api.shapes import NUMBER_MAX, Body, Door, NewName
from tidegate.server.members import TOKEN_DAYS_MAX, NewToken, TokenView

router = APIRouter(prefix="/tokens", tags=["tokens"])


class TokenWish(Body):
    name: NewName
    days: float = Field(
        default=90.0, gt=0, le=TOKEN_DAYS_MAX, allow_inf_nan=False, strict=False, description="How long it is good."
    )
    account: NewName | None = Field(default=None, description="A service account; by default your own.")
    permissions: list[Annotated[str, Field(json_schema_extra={"enum": sorted(OF_PROJECT | OF_SERVER)})]] | None = Field(
        default=None, max_length=100, description="Nothing else; by default all that the account may do."
    )
    projects: list[NewName] | None = Field(default=None, max_length=1000, description="Nowhere else.")


@router.get("")
def list_tokens(control: Door, who: Caller) -> list[TokenView]:
    """Your tokens, never themselves; all of them for who may change accounts."""
    return control.tokens(who)


@router.post("", status_code=201)
def create_token(control: Door, who: Caller, body: TokenWish) -> NewToken:
    """Make a token. It is in this answer and in no other; only its hash is stored."""
    return control.create_token(
        body.name,
        days=body.days,
        account=body.account,
        permissions=body.permissions,
        projects=body.projects,
        who=who,
    )


@router.delete("/{token}", status_code=204)
def revoke_token(
    control: Door, who: Caller, token: Annotated[int, Path(ge=1, le=NUMBER_MAX, description="Its id.")]
) -> None:
    """Refuse the token from now on."""
    control.revoke_token(token, who=who)
