"""Log-in providers for tests: a real one (the certified `oidc-provider`, a process of its own), and one that lies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tidegate.testing.servers import until

HERE = Path(__file__).parents[1] / "oidc"
CLIENT, SECRET = "tidegate", "a secret & of: 32 characters, +/="
START_DEADLINE_S = 60.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


# --- a real one -----------------------------------------------------------------------------------------------------


@dataclass
class Real:
    issuer: str
    process: subprocess.Popen[str]

    def put(self, subject: str, **claims: Any) -> None:
        """Somebody it knows from now on, as these claims have them."""
        httpx.put(f"{self.issuer}/people/{subject}", json=claims, trust_env=False).raise_for_status()

    def turn_keys(self) -> None:
        """It signs with another key from now on, and does not know the one before."""
        httpx.post(f"{self.issuer}/keys", trust_env=False).raise_for_status()


@contextmanager
def real(public_url: str, *, claims_in: str = "id_token", port: int | None = None) -> Iterator[Real]:
    """A provider that lets in browsers of this server."""
    node, installed = shutil.which("node"), (HERE / "node_modules" / "oidc-provider").exists()
    if node is None or not installed:
        pytest.skip("no Node.js, or its oidc-provider is not installed (make test does)")
    port = port or free_port()
    args = [node, "provider.mjs", str(port), f"{public_url}/api/v1/session/sso/callback", f"{public_url}/console/"]
    process = subprocess.Popen(
        args, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={"CLAIMS_IN": claims_in}
    )
    issuer = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or _answers(issuer), "the provider to answer", START_DEADLINE_S)
        assert process.poll() is None, "the provider ended"
        yield Real(issuer, process)
    finally:
        process.kill()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


def _answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/.well-known/openid-configuration", trust_env=False).is_success
    except httpx.HTTPError:
        return False


# --- one that lies --------------------------------------------------------------------------------------------------


@dataclass
class Liar:
    """A provider as the protocol has it, but for what a test changes about it."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"}))
    claims: dict[str, Any] = field(default_factory=dict)
    """Over those that are right; None takes one away."""
    forge: Callable[[dict[str, Any]], str] | None = None
    """Makes the ID token of the claims, instead of a right one."""
    says: dict[str, Any] = field(default_factory=dict)
    """Over what it says of itself."""
    back: dict[str, str] = field(default_factory=dict)
    """Over the parameters it sends the browser back with."""
    redirects_to: str | None = None
    """Where it answers every question for a token to."""
    keys_shown: list[dict[str, Any]] | None = None
    asked: list[tuple[str, Mapping[str, str], str]] = field(default_factory=list)
    """Path, form and Authorization of each request."""
    begun: dict[str, dict[str, str]] = field(default_factory=dict)
    now: Callable[[], float] = lambda: 0.0

    def metadata(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
        return {
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{place}" for name, place in places.items()},
            "end_session_endpoint": f"{self.issuer}/end",
            "id_token_signing_alg_values_supported": ["RS256"],
            **self.says,
        }

    def keys(self) -> dict[str, Any]:
        shown = KeySet([self.key]).as_dict(private=False)["keys"] if self.keys_shown is None else self.keys_shown
        return {"keys": shown}

    def right_claims(self, nonce: str) -> dict[str, Any]:
        now = int(self.now())
        right = {"iss": self.issuer, "sub": "subject-1", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": nonce}
        right |= {"preferred_username": "ann", "groups": ["ops"]}
        return {name: value for name, value in (right | self.claims).items() if value is not None}

    def token(self, form: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """The code's worth; it is checked against the challenge as a good provider does."""
        asked = self.begun.get(form.get("code", ""), {})
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked.get("code_challenge") != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            return 400, {"error": "invalid_grant"}
        claims = self.right_claims(asked["nonce"])
        made = self.forge(claims) if self.forge else self.signed(claims)
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": made}

    def signed(self, claims: dict[str, Any], key: Any = None, alg: str = "RS256", **header: Any) -> str:
        head = {"alg": alg, "kid": "k1"} | header
        return str(jwt.encode(head, claims, key or self.key, algorithms=[alg]))

    def with_secret(self, claims: dict[str, Any], secret: bytes) -> str:
        """HS256, by what everybody knows or can read: the oldest trick."""
        text = self.unsigned(claims, "HS256").rstrip(".")
        return f"{text}.{_part(hmac.digest(secret, text.encode(), 'sha256'))}"

    def public_pem(self) -> bytes:
        return bytes(self.key.as_pem(private=False))

    @staticmethod
    def unsigned(claims: dict[str, Any], alg: str = "none") -> str:
        head = json.dumps({"alg": alg, "kid": "k1"}).encode()
        return f"{_part(head)}.{_part(json.dumps(claims).encode())}."

    def truthful(self) -> None:
        """It says the truth again."""
        fresh = Liar(self.issuer, self.key, now=self.now)
        for name in ("claims", "forge", "says", "back", "redirects_to", "keys_shown", "asked", "begun"):
            setattr(self, name, getattr(fresh, name))


def _part(held: bytes) -> str:
    return base64.urlsafe_b64encode(held).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    liar: Liar

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        self.liar.asked.append((place.path, {}, self.headers.get("Authorization", "")))
        if place.path == "/auth":
            given = {name: values[0] for name, values in parse_qs(place.query).items()}
            code = f"code-{len(self.liar.begun)}"
            self.liar.begun[code] = given
            back = {"code": code, "state": given["state"]} | self.liar.back
            self.send_response(303)
            self.send_header("Location", f"{given['redirect_uri']}?{urlencode(back)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        said = {"/jwks": self.liar.keys, "/.well-known/openid-configuration": self.liar.metadata}.get(place.path)
        self._say(*((200, said()) if said else (404, {})))

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        form = dict(parse_qsl(self.rfile.read(length).decode()))
        self.liar.asked.append((self.path, form, self.headers.get("Authorization", "")))
        if self.liar.redirects_to:
            self.send_response(307)
            self.send_header("Location", self.liar.redirects_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self._say(*self.liar.token(form))

    def _say(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def lying() -> Iterator[Liar]:
    """One that says the truth until it is told otherwise."""
    liar = Liar()
    handler = type("Handler", (_Handler,), {"liar": liar})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    liar.issuer = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield liar
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


# --- a browser ------------------------------------------------------------------------------------------------------


def browser(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Origin": url}, timeout=30, trust_env=False)


def walked(client: httpx.Client, start: str, *, as_person: str = "", stop: str = "/console") -> httpx.Response:
    """Where a browser ends that follows every redirect from `start`, and at the provider says who it is: the answer
    that sends it to an address with a path that begins with `stop`."""
    place, answer = start, None
    for _ in range(20):
        if answer is not None and urlsplit(place).path.startswith(stop):
            return answer
        if urlsplit(place).path.startswith("/person/"):
            place += f"?as={as_person}"
        answer = client.get(place)
        assert answer.is_redirect, f"{place}: {answer.status_code} {answer.text[:500]}"
        place = str(answer.request.url.join(answer.headers["location"]))
    raise AssertionError("a browser goes round in circles")


def signed_on(client: httpx.Client, *, as_person: str = "", to: str = "/api/v1/session/sso") -> httpx.Response:
    return walked(client, to, as_person=as_person)


def refusal(answer: httpx.Response) -> str:
    """The code with which the log-in page is told that there was none."""
    found = parse_qs(urlsplit(answer.headers["location"]).query).get("sign_on", [""])
    return found[0]
