"""A comparison the server asked for, as the pipeline takes it, and its reports on their way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.engine.snapshot import Inquiry
from tidegate.errors import ServerUnreachable, TidegateError
from tidegate.worker.link import Link
from tidegate.worker.outbox import Outbox


def inquiry(order: Mapping[str, Any], link: Link, outbox: Outbox) -> Inquiry:
    """What a heartbeat's answer asks for."""
    id = str(order["id"])

    def tell(report: dict[str, Any]) -> bool:
        if report["state"] in ("done", "ended"):
            outbox.report(id, report)
            return True
        try:
            return bool(link.post("verification", {"id": id, "report": report})["wanted"])
        except ServerUnreachable:
            return True  # it is back before the end, or takes the last report then
        except TidegateError:
            return False

    return Inquiry(
        id,
        tell,
        tables=tuple(order.get("tables", ())),
        wait=bool(order.get("wait", False)),
        keys=bool(order.get("keys", False)),
        limit=int(order.get("limit", 0)),
        deadline_s=float(order.get("deadline_s", 3600.0)),
    )
