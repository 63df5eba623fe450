"""What somebody may do, by role, by being an administrator, and by what their credential is limited to."""

from __future__ import annotations

import pytest

from tidegate.errors import Forbidden, NotFound
from tidegate.model.permission import (
    ACCOUNT_OWN,
    ACCOUNT_VIEW,
    OF_PROJECT,
    OF_SERVER,
    PERMISSIONS,
    ROLES,
    SERVER_METRICS,
    TASK_EDIT,
    TASK_OPERATE,
    USER_EDIT,
    VIEW,
    Role,
)
from tidegate.model.principal import Grant, Limit, Principal, built_in


def person(role: Role, limit: Limit | None = None, *, administrator: bool = False) -> Principal:
    return Principal("ann", "token", 7, administrator, {"shop": Grant(role, ROLES[role])}, limit or Limit())


def test_whoever_has_the_admin_token_may_do_everything_everywhere() -> None:
    who = built_in("admin token")
    assert all(who.may(one.name, "any") for one in PERMISSIONS)
    assert who.seen is None


@pytest.mark.parametrize("role", Role)
def test_a_member_may_do_what_the_role_says_there_and_nothing_elsewhere(role: Role) -> None:
    who = person(role)
    assert {name for name in OF_PROJECT if who.may(name, "shop")} == ROLES[role]
    assert not any(who.may(name, "other") for name in OF_PROJECT)
    assert not any(who.may(name) for name in OF_SERVER)
    assert who.may(ACCOUNT_VIEW)
    assert who.may(ACCOUNT_OWN)
    assert who.seen == {"shop"}


def test_a_permission_in_a_project_is_none_without_one() -> None:
    assert not built_in("admin token").may(TASK_EDIT)


def test_a_limit_only_takes_away() -> None:
    who = person(Role.OPS_ENGINEER, Limit(frozenset({TASK_OPERATE, TASK_EDIT})))
    assert {name for name in OF_PROJECT if who.may(name, "shop")} == {TASK_OPERATE, VIEW}
    assert not who.may(ACCOUNT_OWN)
    assert who.may(ACCOUNT_VIEW)


def test_a_limit_to_something_of_the_server_shows_no_project() -> None:
    who = person(Role.MEMBER, Limit(frozenset({SERVER_METRICS})), administrator=True)
    assert who.may(SERVER_METRICS)
    assert not who.may(USER_EDIT)
    assert who.seen == frozenset()
    assert not who.sees("shop")


def test_an_administrator_limited_to_projects_has_nothing_of_the_server() -> None:
    who = person(Role.MEMBER, Limit(projects=frozenset({"north"})), administrator=True)
    assert who.may(TASK_EDIT, "north")
    assert not who.may(TASK_EDIT, "shop")
    assert not any(who.may(name) for name in OF_SERVER)
    assert who.seen == {"north"}


def test_what_is_not_seen_is_not_there_and_what_is_seen_is_forbidden() -> None:
    who = person(Role.MEMBER)
    with pytest.raises(NotFound, match="there is no project other"):
        who.demand(TASK_EDIT, "other")
    with pytest.raises(Forbidden, match=r"no permission task.edit in project shop"):
        who.demand(TASK_EDIT, "shop")
    with pytest.raises(Forbidden, match=r"no permission user.edit$"):
        who.demand(USER_EDIT)
    who.demand(VIEW, "shop")
