"""What groups of a log-in provider are here: roles in projects, or administrators. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tidegate.model.permission import ROLES, Role
from tidegate.model.task import checked_name

ADMINISTRATOR = "administrator"
GROUP_MAX = 300


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is in the group has the role in the project; without a project it makes administrators."""

    group: str
    project: str | None = None
    role: Role | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What somebody's groups give: the group that makes an administrator, and by project the role with its group."""

    administrator_by: str | None = None
    roles: dict[str, tuple[Role, str]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return self.administrator_by is not None or bool(self.roles)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """`GROUP=PROJECT:ROLE; GROUP=administrator`. A group's name may hold anything but a semicolon: the last `=` ends
    it. Raises `ValueError` naming the line."""
    return tuple(_rule(part.strip()) for part in text.split(";") if part.strip())


def _rule(text: str) -> Rule:
    group, found, place = (part.strip() for part in text.rpartition("="))
    if not found or not group or len(group) > GROUP_MAX:
        raise ValueError(f"{text} is neither GROUP=PROJECT:ROLE nor GROUP={ADMINISTRATOR}")
    if place == ADMINISTRATOR:
        return Rule(group)
    project, _, role = (part.strip() for part in place.partition(":"))
    checked_name(project)
    if role not in set(Role) - {Role.CUSTOM}:
        known = ", ".join(one for one in Role if one is not Role.CUSTOM)
        raise ValueError(f"{text}: the role must be one of {known}")
    return Rule(group, project, Role(role))


def granted(rules: Sequence[Rule], groups: Collection[str]) -> Granted:
    """Of two groups that give a role in one project the one that allows more counts."""
    administrator_by: str | None = None
    roles: dict[str, tuple[Role, str]] = {}
    for rule in rules:
        if rule.group not in groups:
            continue
        if rule.project is None or rule.role is None:
            administrator_by = administrator_by or rule.group
            continue
        held = roles.get(rule.project)
        if held is None or ROLES[held[0]] < ROLES[rule.role]:
            roles[rule.project] = rule.role, rule.group
    return Granted(administrator_by, roles)
