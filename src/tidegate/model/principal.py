"""Who asks, and what they may do: an account as its roles and the credential it came with allow, or the built-in
administrator that the admin token stands for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tidegate.errors import AddressRefused, Forbidden, NotFound
from tidegate.model.permission import (
    ACCOUNT_OWN,
    ACCOUNT_VIEW,
    BY_NAME,
    OF_ACCOUNT,
    OF_PROJECT,
    OF_SERVER,
    VIEW,
    Role,
    Scope,
)

BUILT_IN = "admin"
"""The name of whoever has the admin token. No account may have it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What somebody is in one project."""

    role: Role
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a credential is good for; None is all that its account may do, and all its projects."""

    permissions: frozenset[str] | None = None
    projects: frozenset[str] | None = None

    @property
    def whole(self) -> bool:
        return self.permissions is None and self.projects is None

    def lets(self, permission: str) -> bool:
        """Nothing can be done in a project without seeing it; oneself is always seen."""
        if permission == ACCOUNT_VIEW or self.permissions is None:
            return True
        return permission in self.permissions or (permission == VIEW and bool(self.permissions & OF_PROJECT))


@dataclass(frozen=True, slots=True)
class Principal:
    """`actor` is what key events and the audit log call them; `account` is None for the built-in administrator.
    `credential` says what they came with."""

    actor: str
    credential: str
    account: int | None = None
    administrator: bool = False
    grants: Mapping[str, Grant] = field(default_factory=dict)
    """By the project's name."""
    limit: Limit = field(default_factory=Limit)
    version: int = 0
    """Of the account, as it was when they asked."""
    reach: frozenset[str] | None = None
    """The projects that may be reached from where they are; None: all."""

    def may(self, permission: str, project: str | None = None) -> bool:
        """Whether they may do this, in the project if the permission is one of projects."""
        if not self.limit.lets(permission):
            return False
        match BY_NAME[permission].scope:
            case Scope.ACCOUNT:
                # A limited credential must not make one that is not.
                return permission != ACCOUNT_OWN or self.limit.whole
            case Scope.SERVER:
                return self.administrator and self.limit.projects is None
            case Scope.PROJECT:
                if project is None or (self.limit.projects is not None and project not in self.limit.projects):
                    return False
                if self.reach is not None and project not in self.reach:
                    return False
                held = self.grants.get(project)
                return self.administrator or (held is not None and permission in held.permissions)

    def sees(self, project: str) -> bool:
        return self.may(VIEW, project)

    @property
    def sees_all(self) -> bool:
        """Whether every project is there for them, also one that is made meanwhile."""
        return self.administrator and self.limit.whole and self.reach is None

    @property
    def seen(self) -> frozenset[str] | None:
        """The projects that are there for them; None: all."""
        if self.administrator and self.limit.lets(VIEW):
            both = [one for one in (self.limit.projects, self.reach) if one is not None]
            return frozenset.intersection(*both) if both else None
        return frozenset(name for name in self.grants if self.sees(name))

    def demand_reach(self, project: str) -> None:
        """Raises `AddressRefused` for a project that would be there for them, were they elsewhere."""
        if self.reach is not None and project not in self.reach and replace(self, reach=None).sees(project):
            raise AddressRefused(f"project {project} may not be reached from here", project=project)

    def demand_seen(self, project: str) -> None:
        """Raises `NotFound` for a project that is not there for them, `AddressRefused` for one that is, elsewhere."""
        self.demand_reach(project)
        if not self.sees(project):
            raise NotFound(f"there is no project {project}")

    def demand(self, permission: str, project: str | None = None) -> None:
        """Raises `Forbidden`, and `NotFound` for a project that is not there for them."""
        if project is not None:
            self.demand_seen(project)
        if not self.may(permission, project):
            where = f" in project {project}" if BY_NAME[permission].scope is Scope.PROJECT else ""
            raise Forbidden(f"{self.actor} has no permission {permission}{where}", permission=permission)

    def held(self, project: str | None = None) -> list[str]:
        """All they may do in the project, or without one; in order."""
        return sorted(
            name for name in (OF_SERVER | OF_ACCOUNT if project is None else OF_PROJECT) if self.may(name, project)
        )


def built_in(credential: str, actor: str = BUILT_IN, **more: Any) -> Principal:
    """The administrator who is there without an account."""
    return Principal(actor, credential, administrator=True, **more)
