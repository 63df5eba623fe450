"""Requests as they are signed by Tencent's clients, and every way to change one on its way."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from tidegate.server.wedata import codes
from tidegate.server.wedata.codes import Declined
from tidegate.server.wedata.signature import (
    UNSIGNED,
    WINDOW_S,
    Received,
    canonical,
    claim,
    payload_hash,
    signature,
    verify,
)

SECRET_ID, SECRET_KEY = "AKIDEXAMPLE", "SKEXAMPLE"
AT = 1_700_000_000
BODY = b'{"TaskId": "t-1", "ProjectId": "p-1"}'
SIGNATURE = "47fd7b71d479b4b98cf20e6f83e708ecf34467fe8b7443fa9e398f1fbb4118f2"
HEADERS = {
    "Host": "127.0.0.1:8080",
    "Content-Type": "application/json",
    "X-TC-Timestamp": str(AT),
    "Authorization": f"TC3-HMAC-SHA256 Credential={SECRET_ID}/2023-11-14/wedata/tc3_request, "
    f"SignedHeaders=content-type;host, Signature={SIGNATURE}",
}


def request(**changed: str | None) -> Received:
    """The request of the known answer, with headers changed or (None) left out; `-` in a name is written `_`."""
    headers = dict(HEADERS)
    for name, value in changed.items():
        written = next(
            (one for one in headers if one.lower() == name.lower().replace("_", "-")), name.replace("_", "-")
        )
        if value is None:
            del headers[written]
        else:
            headers[written] = value
    return Received("POST", "", list(headers.items()), BODY)


def check(received: Received, now: float = AT, secret_key: str = SECRET_KEY) -> None:
    verify(received, claim(received), secret_key, now)


def code_of(received: Received, now: float = AT, secret_key: str = SECRET_KEY) -> str:
    with pytest.raises(Declined) as caught:
        check(received, now, secret_key)
    return caught.value.code


def test_the_known_answer_is_what_comes_out() -> None:
    said = claim(request())
    assert (said.secret_id, said.signature) == (SECRET_ID, SIGNATURE)
    assert payload_hash(request()) == "bef3b9f68ce4b3b9e86d54d0bd6c679d76f33ab4d11ff51468ef502c050c2fbd"
    hashed = hashlib.sha256(canonical(request(), said.names).encode()).hexdigest()
    assert hashed == "d52c2918604b8139aedf203b54916a8f8c1106f4e9c1bc317ac851207d4ebbf7"
    check(request())


@pytest.mark.parametrize(
    "tampered",
    [
        replace(request(), body=BODY.replace(b"t-1", b"t-2")),
        replace(request(), body=BODY + b" "),
        replace(request(), method="PUT"),
        request(Host="127.0.0.1:8081"),
        request(Content_Type="text/plain"),
        request(X_TC_Timestamp=str(AT + 1)),
        request(X_TC_Content_SHA256=UNSIGNED),
        request(Authorization=HEADERS["Authorization"].replace(SIGNATURE[:4], "0000")),
        request(Authorization=HEADERS["Authorization"].replace("2023-11-14", "2023-11-15")),
        request(Authorization=HEADERS["Authorization"].replace("/wedata/", "/cvm/")),
        request(Authorization=HEADERS["Authorization"].replace("type;host", "type;host;x-tc-timestamp")),
        request(Authorization=HEADERS["Authorization"].replace("type;host", "type;host;x-tc-action")),
    ],
    ids=lambda one: None,
)
def test_what_was_changed_after_it_was_signed_is_refused(tampered: Received) -> None:
    assert code_of(tampered) == codes.WRONG_SIGNATURE


@pytest.mark.parametrize("scope", ["2023-11-15/wedata", "2023-11-13/wedata", "2023-11-14/cvm"])
def test_what_is_rightly_signed_for_another_day_or_service_is_refused(scope: str) -> None:
    said = HEADERS["Authorization"].replace("2023-11-14/wedata", scope)
    made = signature(request(Authorization=said), claim(request(Authorization=said)), SECRET_KEY, str(AT))
    assert code_of(request(Authorization=said.replace(SIGNATURE, made))) == codes.WRONG_SIGNATURE


def test_another_secret_signs_otherwise() -> None:
    assert code_of(request(), secret_key="SKEXAMPLF") == codes.WRONG_SIGNATURE


@pytest.mark.parametrize("skew_s", [-WINDOW_S, -1, 0, 1, WINDOW_S])
def test_a_clock_within_five_minutes_is_right(skew_s: int) -> None:
    check(request(), now=AT + skew_s)


@pytest.mark.parametrize("skew_s", [-WINDOW_S - 1, WINDOW_S + 1, 86_400])
def test_what_is_older_or_newer_has_expired(skew_s: int) -> None:
    assert code_of(request(), now=AT + skew_s) == codes.EXPIRED


@pytest.mark.parametrize("timestamp", [None, "", "soon", "-1", "1700000000.5", "١٧٠٠٠٠٠٠٠٠", "9" * 12])
def test_a_time_that_is_none_has_expired(timestamp: str | None) -> None:
    assert code_of(request(X_TC_Timestamp=timestamp)) == codes.EXPIRED


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "SKIP",
        "Bearer x",
        HEADERS["Authorization"].replace("TC3-HMAC-SHA256", "TC3-HMAC-SM3"),
        HEADERS["Authorization"].replace("tc3_request", "aws4_request"),
        HEADERS["Authorization"].replace(SIGNATURE, SIGNATURE[:-1]),
        HEADERS["Authorization"].replace(SIGNATURE, SIGNATURE.upper()),
        HEADERS["Authorization"].replace("content-type;host", "content-type"),
        HEADERS["Authorization"].replace("content-type;host", "host"),
        HEADERS["Authorization"].replace("content-type;host", "content-type;host;host"),
        HEADERS["Authorization"] + ", " + HEADERS["Authorization"],
    ],
)
def test_what_is_no_authorization_is_refused_as_such(said: str | None) -> None:
    assert code_of(request(Authorization=said)) == codes.NO_AUTHORIZATION


@pytest.mark.parametrize("name", ["Host", "Authorization", "X-TC-Timestamp"])
def test_a_header_given_twice_is_refused(name: str) -> None:
    twice = replace(request(), headers=[*HEADERS.items(), (name.lower(), HEADERS[name])])
    assert code_of(twice) == codes.NO_AUTHORIZATION


def test_temporary_credentials_are_refused() -> None:
    assert code_of(request(X_TC_Token="t")) == codes.WRONG_TOKEN
