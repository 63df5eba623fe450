"""Single sign-on with a real provider: who comes from it, what their groups give them, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from api.providers import CLIENT, SECRET, Real, browser, free_port, real, refusal, signed_on, walked
from api.rig import Api, opened
from api.test_guard import refused
from tidegate.model.federation import parse_rules
from tidegate.server.session import COOKIE
from tidegate.server.signonconfig import SignOnConfig

RULES = "/ops=north:ops_engineer; /dev=north:data_engineer; /dev=south:member; cn=all,ou=x=administrator"


@contextmanager
def town(folder: Path, *, claims_in: str = "id_token", **more: Any) -> Iterator[tuple[Api, Real]]:
    """A server that knows a provider, with the projects `north` and `south`."""
    port, provider_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    given = {"client_id": CLIENT, "client_secret": SECRET, "scopes": "openid profile email groups"} | more
    config = SignOnConfig(issuer=f"http://127.0.0.1:{provider_port}", public_url=url, rules=parse_rules(RULES), **given)
    with (
        real(url, claims_in=claims_in, port=provider_port) as provider,
        opened(folder, sign_on=config, port=port) as api,
    ):
        for project in ("north", "south"):
            api.ask("POST", "/projects", expect=201, json={"name": project})
        yield api, provider


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Real]]:
    with town(tmp_path_factory.mktemp("sso") / "data") as made:
        yield made


@pytest.fixture
def api(shared: tuple[Api, Real]) -> Api:
    return shared[0]


@pytest.fixture
def provider(shared: tuple[Api, Real]) -> Real:
    return shared[1]


@pytest.fixture
def at(api: Api) -> Iterator[Callable[[], httpx.Client]]:
    """A fresh browser each time it is called."""
    made: list[httpx.Client] = []

    def fresh() -> httpx.Client:
        made.append(browser(api.url))
        return made[-1]

    yield fresh
    for one in made:
        one.close()


def roles(client: httpx.Client) -> dict[str, str]:
    said = client.get("/api/v1/session").json()
    return {one["project"]: one["role"] for one in said["projects"]}


def test_who_is_in_a_mapped_group_gets_an_account_with_its_roles(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-ann", preferred_username="ann@corp.example", name="Ann Example", groups=["/dev", "/ops", "else"])
    client = at()
    answer = signed_on(client, as_person="s-ann", to="/api/v1/session/sso?next=/console/ops?state=running")
    assert answer.headers["location"] == "/console/ops?state=running"
    said = client.get("/api/v1/session").json()
    assert (said["actor"], said["account"], said["administrator"]) == ("ann", "ann", False)
    assert roles(client) == {"north": "data_engineer", "south": "member"}  # of two roles the one that allows more
    account = api.ask("GET", "/users/ann")
    assert (account["subject"], account["description"]) == ("s-ann", "Ann Example")
    shown = {one["account"]: one["by_group"] for one in api.ask("GET", "/projects/north/members")}
    assert shown["ann"] == "/dev"


def test_the_cookie_is_that_of_any_log_in_and_the_one_under_way_is_gone(
    provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-cat", preferred_username="cat", groups=["/ops"])
    client = at()
    answer = signed_on(client, as_person="s-cat")
    session = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}="))
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(session.split("; "))
    assert "tidegate_sign_on" not in client.cookies


def test_the_provider_demands_and_checks_pkce_and_is_given_state_and_nonce(
    api: Api, at: Callable[[], httpx.Client]
) -> None:
    place = at().get("/api/v1/session/sso").headers["location"]
    asked = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
    assert asked["code_challenge_method"] == "S256"
    assert min(len(asked["state"]), len(asked["nonce"]), len(asked["code_challenge"])) >= 43
    assert asked["redirect_uri"] == f"{api.url}/api/v1/session/sso/callback"


def test_roles_follow_the_groups_at_each_log_in_and_those_by_hand_stay(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-dan", preferred_username="dan", groups=["/ops", "cn=all,ou=x"])
    client = at()
    signed_on(client, as_person="s-dan")
    assert client.get("/api/v1/session").json()["administrator"] is True
    assert api.ask("GET", "/users/dan")["administrator_by"] == "cn=all,ou=x"
    api.ask("PUT", "/projects/south/members/dan", json={"role": "project_administrator"})
    provider.put("s-dan", preferred_username="another name", groups=["/dev"])
    signed_on(again := at(), as_person="s-dan")
    said = again.get("/api/v1/session").json()
    assert (said["actor"], said["administrator"]) == ("dan", False)
    assert roles(again) == {"north": "data_engineer", "south": "project_administrator"}
    provider.put("s-dan", preferred_username="dan", groups=[])
    signed_on(at(), as_person="s-dan")
    assert api.ask("GET", "/users/dan")["projects"] == {"south": "project_administrator"}


def test_an_administrator_by_hand_stays_one(api: Api, provider: Real, at: Callable[[], httpx.Client]) -> None:
    api.ask("POST", "/users", expect=201, json={"name": "root", "subject": "s-root", "administrator": True})
    provider.put("s-root", preferred_username="whatever", groups=[])
    client = at()
    signed_on(client, as_person="s-root")
    assert client.get("/api/v1/session").json()["administrator"] is True


def test_an_account_is_never_found_by_its_name_or_mail_address(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    secret = "correct horse 7 battery"
    api.ask("POST", "/users", expect=201, json={"name": "boss", "password": secret, "administrator": True})
    provider.put("s-imposter", preferred_username="boss", email="boss@corp.example", groups=["/ops"])
    client = at()
    signed_on(client, as_person="s-imposter")
    said = client.get("/api/v1/session").json()
    assert (said["actor"], said["administrator"]) == ("boss_2", False)
    assert api.ask("GET", "/users/boss")["subject"] is None


def test_an_account_that_is_there_can_be_bound_to_somebody(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    api.ask("POST", "/users", expect=201, json={"name": "eve", "password": "correct horse 7 battery"})
    provider.put("s-eve", preferred_username="x", groups=[])
    assert refusal(signed_on(at(), as_person="s-eve")) == "request.sign_on_not_admitted"
    assert api.ask("PUT", "/users/eve", json={"subject": "s-eve"})["subject"] == "s-eve"
    taken = api.http.put("/api/v1/users/ann", json={"subject": "s-eve"})
    assert taken.status_code in (404, 409)
    client = at()
    signed_on(client, as_person="s-eve")
    assert client.get("/api/v1/session").json()["actor"] == "eve"
    api.ask("PUT", "/users/eve", json={"subject": ""})
    refused(client.get("/api/v1/session"), 401, "request.unauthorized")


def test_who_is_in_no_mapped_group_gets_no_account_and_no_session(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-stranger", preferred_username="stranger", groups=["elsewhere"])
    client = at()
    assert refusal(signed_on(client, as_person="s-stranger")) == "request.sign_on_not_admitted"
    refused(client.get("/api/v1/session"), 401, "request.unauthorized")
    api.ask("GET", "/users/stranger", expect=404)
    noted = api.ask("GET", "/audit?action=finish_sign_on&outcome=refused&limit=1")[0]
    assert noted["code"] == "request.sign_on_not_admitted"


def test_a_disabled_account_ends_at_once_and_cannot_come_back(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-fay", preferred_username="fay", groups=["/ops"])
    client = at()
    signed_on(client, as_person="s-fay")
    assert client.get("/api/v1/ops").status_code == 200
    api.ask("PUT", "/users/fay", json={"enabled": False})
    refused(client.get("/api/v1/ops"), 401, "request.unauthorized")
    assert refusal(signed_on(at(), as_person="s-fay")) == "request.sign_on_refused"


@pytest.mark.parametrize(
    "ended",
    [
        [("", {"enabled": False}, 200), ("", {"enabled": True}, 200)],
        [("/password", {"password": "a long new password"}, 204)],
    ],
    ids=["disabled and enabled again", "another password by an administrator"],
)
def test_what_ends_log_ins_ends_those_at_the_provider_too(
    api: Api, provider: Real, at: Callable[[], httpx.Client], ended: list[tuple[str, dict[str, Any], int]]
) -> None:
    provider.put("s-ivy", preferred_username="ivy", groups=["/ops"])
    client = at()
    signed_on(client, as_person="s-ivy")
    assert client.get("/api/v1/ops").status_code == 200
    for place, body, expected in ended:
        api.ask("PUT", f"/users/ivy{place}", expect=expected, json=body)
    refused(client.get("/api/v1/ops"), 401, "request.unauthorized")


def test_a_session_ends_when_the_setting_says(
    api: Api, provider: Real, at: Callable[[], httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.put("s-gus", preferred_username="gus", groups=["/ops"])
    client = at()
    signed_on(client, as_person="s-gus")
    begun = api.control.clock.now()
    monkeypatch.setattr(api.control.clock, "now", lambda: begun + 8 * 3600 - 60, raising=False)
    assert client.get("/api/v1/session").status_code == 200
    monkeypatch.setattr(api.control.clock, "now", lambda: begun + 8 * 3600 + 60, raising=False)
    refused(client.get("/api/v1/session"), 401, "request.unauthorized")


def test_logging_out_ends_the_session_and_leads_to_the_provider_who_leads_back(
    api: Api, provider: Real, at: Callable[[], httpx.Client]
) -> None:
    provider.put("s-hal", preferred_username="hal", groups=["/ops"])
    client = at()
    signed_on(client, as_person="s-hal")
    answer = client.delete("/api/v1/session")
    assert answer.status_code == 200
    place = answer.json()["go_to"]
    assert place.startswith(f"{provider.issuer}/session/end?client_id={CLIENT}&post_logout_redirect_uri=")
    assert COOKIE not in client.cookies
    asked = client.get(place)  # the provider asks whether it is meant
    assert asked.status_code == 200
    assert "logout" in asked.text


def test_who_says_no_at_the_provider_is_told_so_by_the_log_in_page(
    provider: Real, at: Callable[[], httpx.Client]
) -> None:
    answer = signed_on(at(), as_person="")
    assert refusal(answer) == "request.sign_on_refused"


def test_the_log_in_is_in_the_audit_log(api: Api, provider: Real, at: Callable[[], httpx.Client]) -> None:
    provider.put("s-ida", preferred_username="ida", groups=["/ops"])
    signed_on(at(), as_person="s-ida")
    noted = api.ask("GET", "/audit?action=finish_sign_on&actor=ida&limit=1")[0]
    assert (noted["outcome"], noted["credential"]) == ("done", "single sign-on")


def test_a_code_is_good_once(api: Api, provider: Real, at: Callable[[], httpx.Client]) -> None:
    provider.put("s-jon", preferred_username="jon", groups=["/ops"])
    client = at()
    before = walked(client, "/api/v1/session/sso", as_person="s-jon", stop="/api/v1/session/sso/callback")
    callback, flow = before.headers["location"], client.cookies["tidegate_sign_on"]
    assert refusal(client.get(callback)) == ""
    thief = at()
    thief.cookies.set("tidegate_sign_on", flow)
    assert refusal(thief.get(callback)) == "request.sign_on_refused"
    assert COOKIE not in thief.cookies


def test_a_key_that_the_provider_turned_to_is_taken_and_the_one_before_is_not(
    api: Api, provider: Real, at: Callable[[], httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.put("s-kim", preferred_username="kim", groups=["/ops"])
    signed_on(at(), as_person="s-kim")
    provider.turn_keys()
    ticks = api.control.clock.ticks()
    monkeypatch.setattr(api.control.clock, "ticks", lambda: ticks + 60, raising=False)
    client = at()
    signed_on(client, as_person="s-kim")
    assert client.get("/api/v1/session").json()["actor"] == "kim"


def test_the_log_in_page_learns_of_it_without_a_log_in(api: Api, at: Callable[[], httpx.Client]) -> None:
    assert at().get("/api/v1/session/ways").json() == {"sso": "Single sign-on"}


@pytest.mark.parametrize(
    "more", [{"client_id": "public", "client_secret": None}, {"claims_in": "userinfo"}], ids=["public", "userinfo"]
)
def test_public_clients_and_providers_that_tell_groups_only_when_asked(tmp_path: Path, more: dict[str, Any]) -> None:
    with town(tmp_path / "data", **more) as (api, provider), browser(api.url) as client:
        provider.put("s-ann", preferred_username="ann", groups=["/ops"])
        assert refusal(signed_on(client, as_person="s-ann")) == ""
        assert roles(client) == {"north": "ops_engineer"}


@pytest.mark.parametrize(("unknown", "admitted"), [("refuse", False), ("admit", True)])
def test_whether_unknown_people_get_an_account_is_a_setting(tmp_path: Path, unknown: str, admitted: bool) -> None:
    with town(tmp_path / "data", unknown=unknown) as (api, provider), browser(api.url) as client:
        groups = [] if admitted else ["/ops"]
        provider.put("s-ann", preferred_username="ann", groups=groups)
        assert refusal(signed_on(client, as_person="s-ann")) == ("" if admitted else "request.sign_on_not_admitted")


def test_a_provider_that_is_away_is_said_to_be_and_other_log_ins_go_on(tmp_path: Path) -> None:
    with town(tmp_path / "data") as (api, provider), browser(api.url) as client:
        provider.process.kill()
        provider.process.wait(20)
        assert refusal(signed_on(client)) == "request.sign_on_unavailable"
        assert client.post("/api/v1/session", json={"token": api.token}).status_code == 201


def test_without_a_provider_there_is_none(tmp_path: Path) -> None:
    with opened(tmp_path / "data") as api, browser(api.url) as client:
        assert client.get("/api/v1/session/ways").json() == {"sso": None}
        for place in ("/api/v1/session/sso", "/api/v1/session/sso/callback?code=x&state=y"):
            refused(client.get(place), 404, "request.not_found")
