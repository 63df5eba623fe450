"""Accounts of people and of programs."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field

from tidegate.errors import Forbidden, Invalid
from tidegate.model.permission import USER_EDIT
from tidegate.model.principal import Principal
from tidegate.server.access import Caller, about
from tidegate.server.accounts import AccountView
from tidegate.server.api.session import address_of
from tidegate.server.api.shapes import Body, Door, NameInPath, NewName

router = APIRouter(prefix="/users", tags=["users"])

Secret = Annotated[str, Field(min_length=1, max_length=1000)]
Subject = Annotated[str, Field(max_length=255)]


class NewUser(Body):
    name: NewName
    kind: Literal["person", "service"] = Field(
        default="person", description="A service account has no password, only tokens and access keys."
    )
    password: Secret | None = Field(default=None, description="Of a person: 12 characters or more.")
    administrator: bool = Field(default=False, description="Whether it may do everything.")
    description: str = Field(default="", max_length=500)
    subject: Subject | None = Field(
        default=None, description="What the log-in provider calls the person, who then needs no password here."
    )


class ChangedUser(Body):
    administrator: bool | None = None
    enabled: bool | None = Field(
        default=None,
        description="One that is not is refused from the next request on; its log-ins, tokens and access keys are over "
        "for good.",
    )
    description: str | None = Field(default=None, max_length=500)
    subject: Subject | None = Field(default=None, description="As in a new one; empty: no log-in there any more.")


class NewPassword(Body):
    password: Secret
    present: Secret | None = Field(default=None, description="The one until now; an administrator needs none.")
    end_credentials: bool = Field(
        default=False,
        description="Whether tokens and access keys end as well, and not log-ins alone; where an administrator sets it "
        "they always do.",
    )


@router.get("")
def list_users(control: Door) -> list[AccountView]:
    """All accounts."""
    return control.accounts()


@router.post("", status_code=201)
def create_user(control: Door, who: Caller, body: NewUser) -> AccountView:
    """Make an account. It sees no project until it is a member of one."""
    if body.administrator or body.subject is not None:
        _demand_whole(who)
    return control.create_account(
        body.name,
        body.kind,
        password=body.password,
        administrator=body.administrator,
        description=body.description,
        subject=body.subject,
        actor=who.actor,
    )


@router.get("/{name}")
def get_user(control: Door, name: NameInPath) -> AccountView:
    """One account."""
    return control.account(name)


@router.put("/{name}")
def edit_user(control: Door, who: Caller, name: NameInPath, body: ChangedUser) -> AccountView:
    """Make it an administrator or none, disable or enable it, describe it, bind it to somebody at the provider."""
    if body.administrator or body.subject is not None or control.account(name).administrator:
        _demand_whole(who)
    return control.edit_account(
        name,
        administrator=body.administrator,
        enabled=body.enabled,
        description=body.description,
        subject=body.subject,
    )


@router.delete("/{name}", status_code=204)
def delete_user(control: Door, name: NameInPath) -> None:
    """Delete an account with its memberships, tokens and access keys; refused while it owns tasks that have a run."""
    control.delete_account(name)


@router.put("/{name}/password", status_code=204)
def set_password(request: Request, control: Door, who: Caller, name: NameInPath, body: NewPassword) -> None:
    """Set another password: one's own, with the present one, or anybody's as an administrator, which ends tokens and
    access keys as well. Log-ins with the one before are over."""
    own = who.account is not None and name == who.actor
    about(request.scope)["detail"] = f"credentials={'kept' if own and not body.end_credentials else 'ended'}"
    if not own:
        who.demand(USER_EDIT)
        _demand_whole(who)
    elif body.present is None:
        raise Invalid("present: is required to change your own password")
    control.set_password(
        name,
        body.password,
        present=body.present if own else None,
        address=address_of(request),
        end_credentials=body.end_credentials,
    )


def _demand_whole(who: Principal) -> None:
    """What a limited credential makes must not be without limits. Raises `Forbidden`."""
    if not who.limit.whole:
        raise Forbidden(f"{who.actor} came with a limited token, which makes no administrators and sets no log-ins")
