"""A town of two projects and everybody who could ask for something in it: each role, with each kind of credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import update

from api.rig import Api, data_source, definition, opened
from tidegate.model.permission import ALERT_EDIT, OF_PROJECT, ROLES, SERVER_METRICS, TASK_OPERATE, VIEW, Role
from tidegate.store.tables import bearer_token

PASSWORD = "correct horse 7 battery"
NORTH, SOUTH = "north", "south"
TASK, SOUTHERN = "shop_to_lake", "south_to_lake"
RULE, CHANNEL = "late", "hook"
KEY = "a key of sixteen or more"
CUSTOM = frozenset({ALERT_EDIT})


@dataclass
class Person:
    """Somebody as the table sees them: what they are in `north`, and what their credential is limited to."""

    name: str
    http: httpx.Client
    known: bool = True
    administrator: bool = False
    in_north: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    only_in: frozenset[str] | None = None
    account: str | None = None

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """`^` stands before an address that is not one of the API."""
        return self.http.request(method, path[1:] if path.startswith("^") else f"/api/v1{path}", **more)

    def got(self, path: str, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


@dataclass
class Town:
    api: Api
    people: dict[str, Person] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        made = httpx.Client(base_url=self.api.url, headers=bearer | headers, timeout=30, trust_env=False)
        self.clients.append(made)
        return made

    def browser(self, **body: str) -> httpx.Client:
        """Logged in."""
        made = self.client(Origin=self.api.url)
        answer = made.post("/api/v1/session", json=body)
        assert answer.status_code == 201, answer.text
        return made

    def account(self, name: str, kind: str = "service", **more: Any) -> None:
        secret = {"password": PASSWORD} if kind == "person" else {}
        self.api.ask("POST", "/users", expect=201, json={"name": name, "kind": kind} | secret | more)

    def member(self, account: str, role: str, project: str = NORTH, **more: Any) -> None:
        self.api.ask("PUT", f"/projects/{project}/members/{account}", json={"role": role} | more)

    def token(self, account: str, name: str = "t", **more: Any) -> str:
        made = self.api.ask("POST", "/tokens", expect=201, json={"account": account, "name": name} | more)
        return str(made["token"])

    def person(self, name: str, http: httpx.Client, **more: Any) -> Person:
        self.people[name] = Person(name, http, **more)
        return self.people[name]

    def service(self, name: str, role: Role | None = None, **more: Any) -> Person:
        """A service account in `north` with a token of its own."""
        self.account(name)
        held: frozenset[str] = frozenset()
        if role is not None:
            self.member(name, role, **({"permissions": sorted(CUSTOM)} if role is Role.CUSTOM else {}))
            held = ROLES[role] | (CUSTOM if role is Role.CUSTOM else set())
        return self.person(name, self.client(self.token(name, **more)), in_north=held, account=name)


@contextmanager
def town(folder: Path, **more: Any) -> Iterator[Town]:
    """`north` with a task that is Starting, data sources, a rule and a channel; `south` with a draft."""
    with opened(folder, **more) as api:
        made = Town(api)
        try:
            _build(api)
            yield made
        finally:
            for client in made.clients:
                client.close()


def _build(api: Api) -> None:
    for project, task in ((NORTH, TASK), (SOUTH, SOUTHERN)):
        api.ask("POST", "/projects", expect=201, json={"name": project})
        for name in ("shop", "lake"):
            api.ask("POST", f"/data-sources?project={project}", expect=201, json=data_source(name))
        api.ask("POST", "/tasks", expect=201, json=definition(task, project=project))
    rule = {
        "alert_rule": RULE,
        "project": NORTH,
        "applies_to": {"all": True},
        "conditions": [{"metric": "task_failed"}],
        "channels": "all",
        "severity": "normal",
    }
    api.ask("POST", "/alert-rules", expect=201, json=rule)
    hook = {"name": CHANNEL, "kind": "webhook", "url": "https://127.0.0.1:1/hook", "key": KEY}
    api.ask("POST", f"/alert-channels?project={NORTH}", expect=201, json=hook)
    api.ask("POST", f"/tasks/{TASK}/submit?project={NORTH}", json={})
    api.ask("POST", f"/tasks/{TASK}/commands/run?project={NORTH}", expect=202, json={})


def populate(town: Town) -> None:
    """Everybody."""
    api = town.api
    town.person("nobody", town.client(), known=False)
    town.person("a wrong token", town.client("tga_wrong"), known=False)
    town.person("the admin token", town.client(api.token), administrator=True)
    town.person("the admin token's log-in", town.browser(token=api.token), administrator=True)
    town.account("root", "person", administrator=True)
    town.person("an administrator", town.browser(name="root", password=PASSWORD), administrator=True, account="root")
    for role in Role:
        town.service(role.value, role)
    town.service("outsider")
    town.account("south_only")
    town.member("south_only", "project_administrator", SOUTH)
    town.person("another project's administrator", town.client(town.token("south_only")), account="south_only")
    town.account("ann", "person")
    town.member("ann", "data_engineer")
    engineer = ROLES[Role.DATA_ENGINEER]
    town.person(
        "a data engineer's log-in", town.browser(name="ann", password=PASSWORD), in_north=engineer, account="ann"
    )
    _limited(town)
    _over(town)


def _limited(town: Town) -> None:
    for name, administrator, only, only_in in (
        ("operating only", False, {TASK_OPERATE}, None),
        ("in south only", False, None, {SOUTH}),
        ("scraping only", True, {SERVER_METRICS}, None),
        ("looking only", True, {VIEW}, None),
        ("administrator in north only", True, None, {NORTH}),
    ):
        account = f"limited_{len(town.people)}"
        town.account(account, administrator=administrator)
        town.member(account, "project_administrator")
        limits = {"permissions": only and sorted(only), "projects": only_in and sorted(only_in)}
        town.person(
            f"a token for {name}",
            town.client(town.token(account, **limits)),
            administrator=administrator,
            in_north=OF_PROJECT,
            only=None if only is None else frozenset(only),
            only_in=None if only_in is None else frozenset(only_in),
            account=account,
        )


def _over(town: Town) -> None:
    """Those who were let in once."""
    for name, end in _ENDS.items():
        account = f"over_{len(town.people)}"
        town.account(account)
        town.member(account, "project_administrator")
        http = town.client(town.token(account))
        assert http.get(f"/api/v1/tasks/{TASK}?project={NORTH}").status_code == 200
        end(town, account)
        town.person(name, http, known=False)


def _expire(town: Town, account: str) -> None:
    number = next(one["id"] for one in town.api.ask("GET", "/tokens") if one["account"] == account)
    with town.api.control.db.write() as tx:
        tx.execute(update(bearer_token).where(bearer_token.c.id == number).values(expires_at=1.0))


def _revoke(town: Town, account: str) -> None:
    number = next(one["id"] for one in town.api.ask("GET", "/tokens") if one["account"] == account)
    town.api.ask("DELETE", f"/tokens/{number}", expect=204)


_ENDS: dict[str, Callable[[Town, str], object]] = {
    "an expired token": _expire,
    "a revoked token": _revoke,
    "a disabled account": lambda town, name: town.api.ask("PUT", f"/users/{name}", json={"enabled": False}),
    "a deleted account": lambda town, name: town.api.ask("DELETE", f"/users/{name}", expect=204),
}
