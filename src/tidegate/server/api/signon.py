"""Logging in at a provider: a browser is sent there and comes back as somebody, with the cookie of any other log-in.

What belongs to a log-in under way is in a sealed cookie of the browser that began it, so that nobody else's answer can
be slipped to it. Nobody is sent anywhere but to the provider and to pages of the console.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from tidegate.errors import NotFound, SecretKeyWrong, SignOnRefused, TidegateError
from tidegate.server.access import about
from tidegate.server.api.session import provider_of, sessions_of, set_session
from tidegate.server.api.shapes import Door
from tidegate.server.control import Control
from tidegate.server.oidc import FLOW_S, Flow, Provider
from tidegate.server.session import SIGN_ON

router = APIRouter(tags=["session"])
log = structlog.get_logger()

FLOW_COOKIE = "tidegate_sign_on"
FLOW_PATH = "/api/v1/session/sso"
SEALED_FOR = "log-in under way"
COOKIE_MAX = 3000
CONSOLE = "/console/"
NEXT_MAX = 1000
# A page of the console: no host can be read out of it, nor anything that leads out of the folder.
_NEXT = re.compile(r"/console(/[A-Za-z0-9_~%.,:=&?@+-]*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class LogInWays:
    """`sso` is what the button for the provider says; None: there is none."""

    sso: str | None


@router.get("/session/ways")
def list_log_in_ways(request: Request) -> LogInWays:
    """How one may log in besides with a name and password, or a token."""
    provider = provider_of(request)
    return LogInWays(provider.config.label if provider else None)


@router.get("/session/sso", status_code=303, response_class=RedirectResponse)
def begin_sign_on(
    request: Request,
    control: Door,
    next_page: Annotated[
        str, Query(alias="next", max_length=NEXT_MAX, description="The page of the console to come back to.")
    ] = CONSOLE,
) -> RedirectResponse:
    """Send a browser to the provider."""
    provider = _provider(request)
    try:
        flow, place = provider.begin()
    except TidegateError as error:
        return _sent_back(request, error)
    note = {"state": flow.state, "nonce": flow.nonce, "verifier": flow.verifier, "until": f"{flow.until:.3f}"}
    sealed = control.store.vault.seal(note | {"next": safe_next(next_page)}, SEALED_FOR)
    response = RedirectResponse(place, status_code=303)
    response.set_cookie(
        FLOW_COOKIE,
        base64.urlsafe_b64encode(sealed).decode(),
        max_age=int(FLOW_S),
        path=FLOW_PATH,
        httponly=True,
        samesite="lax",  # the provider sends the browser back, which is from another site
        secure=provider.config.secure or request.url.scheme == "https",
    )
    return response


@router.get("/session/sso/callback", status_code=303, response_class=RedirectResponse)
def finish_sign_on(request: Request, control: Door) -> RedirectResponse:
    """Where the provider sends the browser back to: it is logged in, or told why not."""
    provider, told = _provider(request), about(request.scope)
    try:
        flow, next_page = _flow(control, request.cookies.get(FLOW_COOKIE, ""))
        given = request.query_params.multi_items()
        if len(dict(given)) < len(given):
            raise SignOnRefused("the answer says something twice")
        identity = provider.complete(flow, dict(given))
        session, cookie = sessions_of(request).sign_on(identity)
    except TidegateError as error:
        return _sent_back(request, error)
    told["actor"], told["credential"] = session.actor, SIGN_ON
    response = RedirectResponse(next_page, status_code=303)
    secure = provider.config.secure or request.url.scheme == "https"
    set_session(response, cookie, provider.config.lasts_s, secure=secure)
    response.delete_cookie(FLOW_COOKIE, path=FLOW_PATH, httponly=True, samesite="lax")
    return response


def _provider(request: Request) -> Provider:
    provider = provider_of(request)
    if provider is None:
        raise NotFound("there is no single sign-on here")
    return provider


def _sent_back(request: Request, error: TidegateError) -> RedirectResponse:
    """A browser is told by the log-in page; the audit log and the server's log have what happened."""
    told = about(request.scope)
    told["status"], told["code"] = error.status, error.code
    log.warning("sign_on.refused", code=error.code, why=error.detail)
    response = RedirectResponse(f"{CONSOLE}?sign_on={error.code}", status_code=303)
    response.delete_cookie(FLOW_COOKIE, path=FLOW_PATH, httponly=True, samesite="lax")
    return response


def _flow(control: Control, cookie: str) -> tuple[Flow, str]:
    """The log-in that this browser began. Raises `SignOnRefused`."""
    try:
        if not 0 < len(cookie) <= COOKIE_MAX:
            raise ValueError
        note = control.store.vault.open(base64.urlsafe_b64decode(cookie.encode("ascii")), SEALED_FOR)
        flow = Flow(note["state"], note["nonce"], note["verifier"], float(note["until"]))
        return flow, safe_next(note["next"])
    except (SecretKeyWrong, UnicodeError, binascii.Error, json.JSONDecodeError, KeyError, ValueError):
        raise SignOnRefused("this browser has begun no log-in here; begin at the address in public_url") from None


def safe_next(page: str) -> str:
    """The page of the console, or its first one instead of anything else."""
    whole = len(page) <= NEXT_MAX and _NEXT.fullmatch(page) is not None
    return page if whole and not any(bad in page.lower() for bad in ("..", "//", "%2e")) else CONSOLE
