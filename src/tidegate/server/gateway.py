"""The outermost door: a server that has a list of networks answers others with the refusal, and tells nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from uuid import uuid4

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.errors import AddressRefused, StoreUnavailable
from tidegate.model.network import Network, holds
from tidegate.server import witness
from tidegate.server.access import about
from tidegate.server.control import Control
from tidegate.server.guard import WORKER_PREFIX
from tidegate.server.problem import answer
from tidegate.server.reach import address_of
from tidegate.server.wedata import door
from tidegate.server.wedata.codes import declined

POLICY_VIOLATED = 1008


class AddressGate:
    """ASGI middleware before all others. Without networks everybody passes; workers, who come with a token of one run,
    always do."""

    def __init__(self, app: ASGIApp, control: Control, networks: Sequence[Network]) -> None:
        self.app = app
        self.control = control
        self.networks = networks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "lifespan"
            or not self.networks
            or scope["path"].startswith(WORKER_PREFIX)
            or holds(self.networks, address_of(scope))
        ):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            # Closed before it is open: the handshake is answered with 403.
            return await send({"type": "websocket.close", "code": POLICY_VIOLATED})
        error = AddressRefused(f"this server takes no requests from {address_of(scope) or 'where this comes from'}")
        about(scope)["code"] = error.code
        with suppress(StoreUnavailable):
            await witness.told(self.control, scope, error.status)
        if (scope["method"], scope["path"]) == (door.METHOD, door.PATH):
            said = door.enveloped(door.refusal(declined(error)), str(uuid4()))
            return await JSONResponse(said, headers=door.HEADERS | {"Connection": "close"})(scope, receive, send)
        # What was sent is not read, so the connection cannot carry another request.
        headers = {"Connection": "close", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return await answer(error, headers)(scope, receive, send)
