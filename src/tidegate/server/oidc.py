"""OpenID Connect with the one provider that the settings name: where a browser is sent, and who came back.

The authorization code flow with PKCE (S256), state and nonce; of the ID token signature, issuer, audience, times, nonce
and, where there is one, the access token's hash are checked. Requests go to the issuer's host, and the hosts that the
settings name besides, and follow nobody elsewhere. Nothing that a provider hands out is kept: no code, no token.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry

from tidegate.errors import SignOnRefused, SignOnUnavailable, TidegateError
from tidegate.server.clock import Clock, SystemClock
from tidegate.server.signonconfig import SignOnConfig, is_local

FLOW_S = 600.0
"""How long somebody may take at the provider's log-in."""
LEEWAY_S = 30
KNOWN_S = 600.0
"""How long what the provider says of itself is taken for true …"""
KEYS_AGAIN_S = 30.0
"""… and how soon its keys are read anew for one that is not known."""
FAILED_S = 5.0
"""How long one that did not answer is not asked again."""
AT_ONCE = 4
TURN_S = 1.0
"""Anybody may begin a log-in: a provider that is slow must not hold up the server for everybody else."""
DEADLINE_S = 10.0
ANSWER_MAX_BYTES = 1 << 20
USED_MAX = 10_000
GROUPS_MAX = 2_000
# Signed by the provider alone: with a shared secret (HS…) its public key, or nothing, could pass for one.
SIGNED_BY = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True)
class Flow:
    """One log-in under way, which a cookie of the browser that began it keeps. `until` is a Unix time."""

    state: str
    nonce: str
    verifier: str
    until: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says somebody is. Only `issuer` and `subject` together name a person; what else there is may be
    anybody's choice."""

    issuer: str
    subject: str
    name: str
    title: str
    groups: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Known:
    """What the provider said of itself, and when, as a reading of the steady clock."""

    says: Mapping[str, Any]
    keys: tuple[Key, ...]
    at: float


class Provider:
    """Safe to call from many threads. Raises `SignOnUnavailable` where it does not answer, or not as it should, and
    `SignOnRefused` for a log-in that is not good."""

    def __init__(self, config: SignOnConfig, clock: Clock | None = None) -> None:
        self.config = config
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(AT_ONCE)
        self._known: _Known | None = None
        self._failed: tuple[SignOnUnavailable, float] | None = None
        self._used: OrderedDict[str, None] = OrderedDict()

    def look(self) -> None:
        """Whether it can be logged in with."""
        with self._turn():
            self._learn()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=TURN_S):
            raise SignOnUnavailable("other log-ins wait for the provider; try again in some seconds")
        try:
            yield
        finally:
            self._turns.release()

    # --- there ---

    def begin(self) -> tuple[Flow, str]:
        """A log-in, and where to send the browser for it."""
        until = self._clock.now() + FLOW_S
        flow = Flow(secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), until)
        with self._turn():
            place = self._learn().says["authorization_endpoint"]
        asked = prepare_grant_uri(
            place,
            self.config.client_id,
            "code",
            redirect_uri=self.config.redirect_uri,
            scope=self.config.scopes,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        )
        return flow, str(asked)

    def farewell(self) -> str | None:
        """Where to send a browser to log out at the provider as well; None: it has no such place, or does not
        answer."""
        try:
            with self._turn():
                place = self._learn().says.get("end_session_endpoint")
        except TidegateError:
            return None
        if not isinstance(place, str) or not self._may_ask(place):
            return None
        given = f"client_id={quote(self.config.client_id, safe='')}"
        back = f"post_logout_redirect_uri={quote(self.config.logged_out_uri, safe='')}"
        return f"{place}{'&' if urlsplit(place).query else '?'}{given}&{back}"

    # --- and back ---

    def complete(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        """Who came back to the browser that began `flow`, with the parameters of `answer`."""
        self._demand_ours(flow, answer)
        with self._turn():
            return self._completed(flow, answer)

    def _completed(self, flow: Flow, answer: Mapping[str, str]) -> Identity:
        known = self._learn()
        said_by = answer.get("iss")
        if said_by != self.config.issuer and (
            said_by is not None or known.says.get("authorization_response_iss_parameter_supported") is True
        ):
            raise SignOnRefused("the answer is another provider's")
        if "error" in answer:
            raise SignOnRefused(f"the provider refused: {_word(answer['error'])}")
        if not answer.get("code"):
            raise SignOnRefused("the answer holds no code")
        token = self._exchanged(known, answer["code"], flow.verifier)
        access = token.get("access_token")
        claims = self._claims(known, token.get("id_token"), flow.nonce, access if isinstance(access, str) else None)
        return self._identity({**self._told_more(known, claims, access), **claims})

    def _demand_ours(self, flow: Flow, answer: Mapping[str, str]) -> None:
        """Raises `SignOnRefused` for what this browser did not begin, or has ended."""
        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise SignOnRefused("the answer is not to the log-in that this browser began last")
        if flow.until <= self._clock.now():
            raise SignOnRefused("the log-in took too long")
        with self._lock:
            if flow.state in self._used:
                raise SignOnRefused("the answer was used already")
            self._used[flow.state] = None
            while len(self._used) > USED_MAX:
                self._used.popitem(last=False)

    def _exchanged(self, known: _Known, code: str, verifier: str) -> Mapping[str, Any]:
        """What the code stands for."""
        config, headers = self.config, {}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": config.redirect_uri}
        form["code_verifier"] = verifier
        ways = known.says.get("token_endpoint_auth_methods_supported")
        if config.client_secret and isinstance(ways, list) and "client_secret_basic" not in ways:
            form |= {"client_id": config.client_id, "client_secret": config.client_secret}
        elif config.client_secret:
            # RFC 6749 §2.3.1: both are encoded as in a form before they are joined.
            pair = f"{quote(config.client_id, safe='')}:{quote(config.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = config.client_id
        status, said = self._ask("POST", known.says["token_endpoint"], data=form, headers=headers)
        if status != 200:
            if status >= 500:
                raise SignOnUnavailable(f"the provider answered {status} when asked what the code stands for")
            raise SignOnRefused(f"the provider does not take the code: {_word(said.get('error'))}")
        return said

    def _claims(self, known: _Known, token: object, nonce: str, access_token: str | None) -> dict[str, Any]:
        """What the ID token says. Raises `SignOnRefused` unless it is the provider's, for this server and log-in, and
        of now."""
        if not isinstance(token, str):
            raise SignOnRefused("the provider gave no ID token")
        config, found = self.config, self._opened(known, token)
        options: Any = {"iss": {"essential": True, "value": config.issuer}}
        options["aud"] = {"essential": True, "value": config.client_id}
        params = {"nonce": nonce, "client_id": config.client_id, "access_token": access_token}
        claims = CodeIDToken(found.claims, found.header, options, params)
        try:
            claims.validate(now=int(self._clock.now()), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise SignOnRefused(f"the ID token is not good: {_word(getattr(error, 'error', None))} {error}") from error
        if not 0 < len(claims["sub"]) <= 255:
            raise SignOnRefused("the ID token names nobody")
        return dict(claims)

    def _opened(self, known: _Known, token: str) -> jwt.Token:
        """The token, signed by one of the provider's keys: those that are known, or those it has by now."""
        listed = known.says.get("id_token_signing_alg_values_supported")
        algorithms = [one for one in SIGNED_BY if not isinstance(listed, list) or one in listed]
        if not algorithms:  # which the library would take for: any
            raise SignOnRefused("the provider signs by none of the algorithms that are taken")
        registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
        kid = _kid(token)
        keys = _fitting(known.keys, kid)
        if not keys and self._clock.ticks() - known.at >= KEYS_AGAIN_S:
            keys = _fitting(self._learn(anew=True).keys, kid)
        for key in keys:
            try:
                return jwt.decode(token, key, registry=registry)
            except (JoseError, ValueError):
                continue
        raise SignOnRefused("the ID token is not signed by the provider")

    def _told_more(self, known: _Known, claims: Mapping[str, Any], access: object) -> Mapping[str, Any]:
        """What the provider says of them where it is asked, if the ID token does not say their groups."""
        place = known.says.get("userinfo_endpoint")
        wanted = self.config.rules and _groups(claims, self.config.groups_claim) is None
        if not wanted or not isinstance(place, str) or not isinstance(access, str) or not self._may_ask(place):
            return {}
        status, said = self._ask("GET", place, headers={"Authorization": f"Bearer {access}"})
        if status != 200:
            raise SignOnUnavailable(f"the provider answered {status} when asked for the groups")
        if said.get("sub") != claims["sub"]:
            raise SignOnRefused("the provider answers with somebody else's groups")
        return said

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        config = self.config
        # Where somebody is in too many groups, the token says only that it leaves them out.
        left_out = claims.get("_claim_names")
        groups = _groups(claims, config.groups_claim) or frozenset()
        if config.rules and not groups and isinstance(left_out, dict) and config.groups_claim in left_out:
            raise SignOnRefused("the provider leaves the groups out, for there are too many; have it send fewer")
        if len(groups) > GROUPS_MAX:
            raise SignOnRefused(f"the provider names more than {GROUPS_MAX} groups")
        named = (claims.get(name) for name in ("preferred_username", "email", "name", "sub"))
        name = next(one for one in named if isinstance(one, str) and one)
        title = claims.get("name")
        return Identity(config.issuer, claims["sub"], name, title if isinstance(title, str) else "", groups)

    # --- what the provider says of itself ---

    def _learn(self, *, anew: bool = False) -> _Known:
        with self._lock:
            now, known = self._clock.ticks(), self._known
            if known is not None and not anew and now - known.at < KNOWN_S:
                return known
            if self._failed is not None and now - self._failed[1] < FAILED_S:
                raise SignOnUnavailable(self._failed[0].detail)
            try:
                self._known = self._learned(now)
            except SignOnUnavailable as error:
                self._failed = error, self._clock.ticks()
                raise
            return self._known

    def _learned(self, now: float) -> _Known:
        says = self._said(get_well_known_url(self.config.issuer, external=True), "itself")
        if says.get("issuer") != self.config.issuer:
            raise SignOnUnavailable("the provider calls itself otherwise than sso_issuer, to the letter")
        for name in _ENDPOINTS:
            if not isinstance(says.get(name), str) or not self._may_ask(says[name]):
                raise SignOnUnavailable(f"the provider's {name} is not on its own host, nor on one of sso_hosts")
        held = self._said(says["jwks_uri"], "its keys").get("keys")
        keys = tuple(_keys(held if isinstance(held, list) else []))
        if not keys:
            raise SignOnUnavailable("the provider shows no key that it signs with")
        return _Known(says, keys, now)

    def _said(self, url: str, of: str) -> Mapping[str, Any]:
        status, said = self._ask("GET", url)
        if status != 200:
            raise SignOnUnavailable(f"the provider answered {status} when asked for {of}")
        return said

    # --- requests ---

    def _may_ask(self, url: str) -> bool:
        """Whether it is the issuer's own host and port, or one the settings name besides, and nobody can read along."""
        issuer = urlsplit(self.config.issuer)
        try:
            place = urlsplit(url)
            own = (place.scheme, place.hostname, place.port) == (issuer.scheme, issuer.hostname, issuer.port)
        except ValueError:
            return False
        named = place.scheme == "https" and place.netloc in self.config.hosts
        return (own or named) and place.username is None and place.password is None

    def _ask(self, method: str, url: str, **more: Any) -> tuple[int, Mapping[str, Any]]:
        """The status and the JSON object of the answer; empty where it is a refusal without one."""
        if not self._may_ask(url):
            raise SignOnUnavailable(
                "the provider names an address that is not on its own host, nor on one of sso_hosts"
            )
        try:
            status, body = asyncio.run(self._answered(method, url, **more))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise SignOnUnavailable(f"{urlsplit(url).netloc}: {type(error).__name__}") from error
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            if status == 200:
                raise SignOnUnavailable("the provider answers with something that is no JSON object")
            said = {}
        return status, said

    async def _answered(self, method: str, url: str, **more: Any) -> tuple[int, bytes]:
        """All of it within the deadline, also if each of its bytes comes in time. A redirect is followed nowhere."""
        # A proxy of the environment is for other machines, never for this one.
        client = httpx.AsyncClient(trust_env=not is_local(url), timeout=DEADLINE_S, follow_redirects=False)
        async with asyncio.timeout(DEADLINE_S), client, client.stream(method, url, **more) as answer:
            parts, size_bytes = [], 0
            async for part in answer.aiter_bytes():
                parts.append(part)
                size_bytes += len(part)
                if size_bytes > ANSWER_MAX_BYTES:
                    raise httpx.DecodingError("the answer is too large")
            return answer.status_code, b"".join(parts)


def _kid(token: str) -> str | None:
    """The key that the token says it is signed with."""
    head = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except ValueError:
        raise SignOnRefused("the ID token cannot be read") from None
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else None


def _keys(held: list[Any]) -> list[Key]:
    """Those that can sign; what is of a kind that is not known here is left out."""
    found = []
    for one in held:
        if isinstance(one, dict) and one.get("kty") in _KEY_TYPES and one.get("use", "sig") == "sig":
            try:
                found.append(import_key(one))
            except (JoseError, ValueError, TypeError):
                continue
    return found


def _fitting(keys: tuple[Key, ...], kid: str | None) -> list[Key]:
    return [key for key in keys if kid is None or key.kid == kid]


def _groups(claims: Mapping[str, Any], place: str) -> frozenset[str] | None:
    """None: the claim is not there."""
    held: Any = claims.get(place)
    if held is None:
        held = claims
        for part in place.split("."):
            held = held.get(part) if isinstance(held, Mapping) else None
    if isinstance(held, str):
        held = [held]
    return frozenset(one for one in held if isinstance(one, str)) if isinstance(held, list) else None


def _word(given: object) -> str:
    """A word of the provider's, if it is one: anything else is not quoted."""
    return given if isinstance(given, str) and re.fullmatch(r"[A-Za-z0-9_]{1,60}", given) else "it does not say why"
