"""What is tried against single sign-on: answers that are somebody else's, tokens that are not the provider's, addresses
that lead elsewhere. Each is refused, and no session comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from api.providers import CLIENT, Liar, browser, free_port, lying, refusal, signed_on, walked
from api.rig import Api, opened
from api.test_guard import refused
from tidegate.model.federation import parse_rules
from tidegate.server.api.signon import FLOW_COOKIE, safe_next
from tidegate.server.oidc import KEYS_AGAIN_S, LEEWAY_S, Provider
from tidegate.server.session import COOKIE
from tidegate.server.signonconfig import SignOnConfig

BEGIN, CALLBACK = "/api/v1/session/sso", "/api/v1/session/sso/callback"


def config(liar: Liar, port: int, **more: Any) -> SignOnConfig:
    rules = parse_rules("ops=default:ops_engineer")
    given: dict[str, Any] = {"client_id": CLIENT, "client_secret": "a secret", "rules": rules} | more
    return SignOnConfig(issuer=liar.issuer, public_url=f"http://127.0.0.1:{port}", **given)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Api, Liar]]:
    port = free_port()
    with lying() as liar, opened(tmp_path_factory.mktemp("sso"), sign_on=config(liar, port), port=port) as made:
        liar.now = made.control.clock.now
        yield made, liar


@pytest.fixture
def api(standing: tuple[Api, Liar]) -> Api:
    """A server that knows nothing of its provider yet."""
    made, liar = standing
    assert made.app is not None
    made.control.sign_on = config(liar, urlsplit(made.url).port or 0)
    made.app.state.provider = Provider(made.control.sign_on, made.control.clock)
    return made


@pytest.fixture
def liar(standing: tuple[Api, Liar]) -> Liar:
    standing[1].truthful()
    return standing[1]


@pytest.fixture
def client(api: Api, liar: Liar) -> Iterator[httpx.Client]:
    """A browser; the provider says the truth until the test has it lie."""
    with browser(api.url) as made:
        yield made


def outcome(client: httpx.Client) -> str:
    """Of a whole log-in: the code it is refused with, or who it made of the browser."""
    code = refusal(signed_on(client))
    if code:
        assert COOKIE not in client.cookies
        return code
    return str(client.get("/api/v1/session").json()["actor"])


REFUSED, UNAVAILABLE = "request.sign_on_refused", "request.sign_on_unavailable"


def test_without_a_lie_somebody_comes_of_it(client: httpx.Client, liar: Liar) -> None:
    assert outcome(client) == "ann"
    _, form, authorization = next(one for one in liar.asked if one[0] == "/token")
    assert form["code_verifier"]
    assert "client_secret" not in form
    assert authorization.startswith("Basic ")


# --- the ID token -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": ""},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": ["another", "third"]},
        {"aud": [CLIENT, "another"]},  # which of them it was made for is not said
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": 7},
        {"exp": 1},
        {"exp": None},
        {"exp": "never"},
        {"exp": float("nan")},
        {"exp": True},
        {"iat": 99_999_999_999},
        {"iat": None},
        {"nbf": 99_999_999_999},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": ["subject-1"]},
        {"sub": "s" * 256},
        {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"groups": None, "_claim_names": {"groups": "src1"}},
        {"groups": [f"group {number}" for number in range(2_001)]},
    ],
    ids=str,
)
def test_a_token_that_says_something_wrong_is_refused(client: httpx.Client, liar: Liar, claims: dict[str, Any]) -> None:
    liar.claims = claims
    assert outcome(client) == REFUSED


def test_a_token_is_good_a_little_longer_than_it_says_and_no_more(client: httpx.Client, liar: Liar, api: Api) -> None:
    now = int(api.control.clock.now())
    liar.claims = {"exp": now - LEEWAY_S - 5}
    assert outcome(client) == REFUSED
    liar.claims = {"exp": now - LEEWAY_S + 20}
    assert outcome(client) == "ann"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS256", "RS256", "ES256"])
def test_a_token_that_nobody_signed_is_refused(client: httpx.Client, liar: Liar, alg: str) -> None:
    liar.forge = lambda claims: liar.unsigned(claims, alg)
    assert outcome(client) == REFUSED


@pytest.mark.parametrize("listed", [["RS256"], ["RS256", "HS256", "none"], None], ids=str)
@pytest.mark.parametrize("secret", ["public key", "client's", "empty"])
def test_a_token_signed_with_what_everybody_knows_is_refused(
    client: httpx.Client, liar: Liar, listed: list[str] | None, secret: str
) -> None:
    liar.says = {"id_token_signing_alg_values_supported": listed}
    keys = {"client's": b"a secret", "empty": b"", "public key": liar.public_pem()}
    liar.forge = lambda claims: liar.with_secret(claims, keys[secret])
    assert outcome(client) == REFUSED


def test_a_token_signed_by_another_key_is_refused_whatever_it_says_of_the_key(client: httpx.Client, liar: Liar) -> None:
    other = RSAKey.generate_key(2048)
    headers: list[dict[str, Any]] = [
        {},
        {"kid": "unknown"},
        {"jwk": other.as_dict(private=False)},
        {"jku": f"{liar.issuer}/evil", "kid": "evil"},
    ]
    for header in headers:
        liar.forge = lambda claims, header=header: liar.signed(claims, other, **header)  # type: ignore[misc]
        assert outcome(client) == REFUSED, header
    assert "/evil" not in {path for path, _, _ in liar.asked}


def test_a_shared_secret_among_the_providers_keys_is_no_key(client: httpx.Client, liar: Liar) -> None:
    liar.keys_shown = [{"kty": "oct", "k": "c2hhcmVkIHdpdGggdGhlIHdvcmxk", "kid": "k1"}]
    liar.forge = lambda claims: liar.with_secret(claims, b"shared with the world")
    assert outcome(client) == UNAVAILABLE


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "e30.e30.", None, 7])
def test_what_is_no_token_is_refused(client: httpx.Client, liar: Liar, token: Any) -> None:
    liar.forge = lambda claims: token
    assert outcome(client) == REFUSED


def test_the_providers_keys_are_not_asked_for_with_every_unknown_one(client: httpx.Client, liar: Liar) -> None:
    liar.forge = lambda claims: liar.signed(claims, kid="unknown")
    for _ in range(3):
        assert outcome(client) == REFUSED
    assert [path for path, _, _ in liar.asked].count("/jwks") == 1
    assert KEYS_AGAIN_S > 10


# --- the way back -----------------------------------------------------------------------------------------------------


def returning(client: httpx.Client) -> str:
    """The address that the provider sends a browser back to."""
    return str(walked(client, BEGIN, stop=CALLBACK).headers["location"])


def test_an_answer_with_another_state_is_refused(client: httpx.Client, api: Api) -> None:
    for wrong in ("", "x", "%00", "é"):
        back = urlsplit(returning(client))
        code = parse_qs(back.query)["code"][0]
        answer = client.get(CALLBACK, params={"code": code, "state": wrong})
        assert refusal(answer) == REFUSED
        assert COOKIE not in client.cookies


def test_nobody_is_logged_in_by_an_answer_to_somebody_elses_log_in(client: httpx.Client, api: Api) -> None:
    """Log-in CSRF: the attacker's own answer is slipped to a victim's browser."""
    with browser(api.url) as attacker:
        slipped = returning(attacker)
    assert refusal(client.get(slipped)) == REFUSED  # which has begun nothing
    returning(client)
    assert refusal(client.get(slipped)) == REFUSED  # nor after it has begun something of its own
    assert COOKIE not in client.cookies


def test_a_session_that_was_there_before_is_not_gone_on_with(client: httpx.Client, api: Api) -> None:
    """Session fixation: the cookie after the log-in is another one, and the one before gained nothing."""
    client.cookies.set(COOKIE, "planted", domain="127.0.0.1", path="/")
    back = returning(client)
    answer = client.get(back)
    assert refusal(answer) == ""
    made = next(one for one in answer.headers.get_list("set-cookie") if one.startswith(f"{COOKIE}="))
    assert "planted" not in made
    planted = httpx.get(f"{api.url}/api/v1/session", headers={"Cookie": f"{COOKIE}=planted"}, trust_env=False)
    refused(planted, 401, "request.unauthorized")


def test_an_answer_is_good_once_even_if_the_provider_takes_its_code_twice(client: httpx.Client, api: Api) -> None:
    back, flow = returning(client), client.cookies[FLOW_COOKIE]
    assert refusal(client.get(back)) == ""
    with browser(api.url) as thief:
        thief.cookies.set(FLOW_COOKIE, flow)
        assert refusal(thief.get(back)) == REFUSED


def test_a_log_in_that_took_too_long_is_over(client: httpx.Client, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    back, now = returning(client), api.control.clock.now()
    monkeypatch.setattr(api.control.clock, "now", lambda: now + 601, raising=False)
    assert refusal(client.get(back)) == REFUSED


def test_an_answer_of_another_provider_is_refused(client: httpx.Client, liar: Liar) -> None:
    """Mix-up (RFC 9207)."""
    liar.back = {"iss": "https://evil.example"}
    assert outcome(client) == REFUSED
    assert "/token" not in {path for path, _, _ in liar.asked}  # nobody is told the code


def test_an_answer_must_say_whose_it_is_if_the_provider_says_it_always_does(client: httpx.Client, liar: Liar) -> None:
    liar.says = {"authorization_response_iss_parameter_supported": True}
    assert outcome(client) == REFUSED
    liar.back = {"iss": liar.issuer}
    assert outcome(client) == "ann"


def test_an_answer_that_says_something_twice_is_refused(client: httpx.Client) -> None:
    back = returning(client)
    assert refusal(client.get(f"{back}&code={parse_qs(urlsplit(back).query)['code'][0]}")) == REFUSED


@pytest.mark.parametrize("query", ["", "code=x", "state=x", "code=a&code=b", "error=access_denied", "code=x&state="])
def test_half_an_answer_is_refused(client: httpx.Client, query: str) -> None:
    returning(client)
    assert refusal(client.get(f"{CALLBACK}?{query}")) == REFUSED


@pytest.mark.parametrize("cookie", ["", "x", "AAAA", "A" * 5000, "%00", "=" * 20])
def test_a_log_in_under_way_that_was_made_up_is_none(api: Api, cookie: str) -> None:
    headers = {"Cookie": f"{FLOW_COOKIE}={cookie}"}
    answer = httpx.get(f"{api.url}{CALLBACK}?code=x&state=y", headers=headers, trust_env=False)
    assert refusal(answer) == REFUSED


def test_a_session_is_no_log_in_under_way_and_the_other_way_round(client: httpx.Client, api: Api) -> None:
    """Each sealed note is good for one thing."""
    back = returning(client)
    flow = client.cookies[FLOW_COOKIE]
    answer = httpx.get(f"{api.url}/api/v1/session", headers={"Cookie": f"{COOKIE}={flow}"}, trust_env=False)
    refused(answer, 401, "request.unauthorized")
    assert refusal(client.get(back)) == ""
    session = client.cookies[COOKIE]
    headers = {"Cookie": f"{FLOW_COOKIE}={session}"}
    assert refusal(httpx.get(f"{api.url}{CALLBACK}?code=x&state=y", headers=headers, trust_env=False)) == REFUSED


# --- where it leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/console/..//evil.example",
        "/console/%2e%2e//evil.example",
        "/console//evil.example",
        "/console@evil.example",
        "/console.evil.example",
        "javascript:alert(1)",
        "/console/\r\nSet-Cookie: a=b",
        "/console/\\evil",
        "/console/#/x",
        "/api/v1/ops",
        "",
        "/console/" + "x" * 2000,
    ],
)
def test_nobody_is_sent_anywhere_but_to_a_page_of_the_console(page: str) -> None:
    assert safe_next(page) == "/console/"


@pytest.mark.parametrize(
    "page", ["/console", "/console/", "/console/ops?state=running&q=a%20b", "/console/tasks/7/log"]
)
def test_a_page_of_the_console_is_come_back_to(page: str) -> None:
    assert safe_next(page) == page


def test_the_way_back_does_not_lead_elsewhere_either(client: httpx.Client) -> None:
    for page in ("https://evil.example", "//evil.example"):
        answer = walked(client, f"{BEGIN}?next={page}", stop="/console")
        assert answer.headers["location"] == "/console/"


def test_the_server_goes_to_nobody_the_provider_sends_it_to(client: httpx.Client, liar: Liar) -> None:
    with lying() as other:
        liar.redirects_to = f"{other.issuer}/token"
        assert outcome(client) in (REFUSED, UNAVAILABLE)
        assert other.asked == []


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:1/x",
        "https://evil.example/x",
        "file:///etc/passwd",
        "http://[",
        7,
    ],
)
def test_the_server_asks_no_host_but_the_issuers(client: httpx.Client, liar: Liar, name: str, place: Any) -> None:
    liar.says = {name: place}
    assert outcome(client) == UNAVAILABLE


def test_groups_that_would_have_to_be_asked_for_elsewhere_are_none(client: httpx.Client, liar: Liar) -> None:
    """As at Microsoft Entra ID, which leaves the claim out for people without groups."""
    liar.says = {"userinfo_endpoint": "https://graph.example/oidc/userinfo"}
    liar.claims = {"groups": None, "sub": "without groups"}
    assert outcome(client) == "request.sign_on_not_admitted"


def test_a_place_to_log_out_that_is_elsewhere_is_not_gone_to(client: httpx.Client, liar: Liar) -> None:
    liar.says = {"end_session_endpoint": "https://evil.example/"}
    assert outcome(client) == "ann"
    assert client.delete("/api/v1/session").status_code == 204


def test_a_provider_that_calls_itself_otherwise_is_not_the_one(client: httpx.Client, liar: Liar) -> None:
    liar.says = {"issuer": "https://evil.example"}
    assert outcome(client) == UNAVAILABLE


def test_a_provider_that_does_not_answer_is_not_asked_again_and_again(client: httpx.Client, liar: Liar) -> None:
    liar.says = {"issuer": "https://evil.example"}
    for _ in range(5):
        assert refusal(client.get(BEGIN)) == UNAVAILABLE
    assert len(liar.asked) == 1


def test_a_session_ends_when_the_server_is_given_another_provider(client: httpx.Client, api: Api, liar: Liar) -> None:
    assert outcome(client) == "ann"
    api.control.sign_on = config(Liar(issuer="https://another.example"), 1)
    refused(client.get("/api/v1/session"), 401, "request.unauthorized")


def test_no_secret_of_a_log_in_is_in_the_log(
    client: httpx.Client, liar: Liar, capfd: pytest.CaptureFixture[str]
) -> None:
    liar.claims = {"nonce": "another"}
    back = returning(client)
    code, state = (parse_qs(urlsplit(back).query)[name][0] for name in ("code", "state"))
    client.get(back)
    said = "".join(capfd.readouterr())
    for secret in (state, "a secret", client.cookies.get(FLOW_COOKIE, "never")):
        assert secret not in said
    assert code not in said
