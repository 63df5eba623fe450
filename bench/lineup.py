"""Who takes part in which workload."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import copying
from contest import NATIVE, PARALLEL, Outcome, debezium, live, subscription, tidegate
from ground import Ground
from workloads import Kind, Workload

Contestant = Callable[[Ground], Outcome]

ENVIRONMENTS = {"debezium": "debezium", "dlt connectorx": "dlt", "dlt pyarrow": "dlt", "sling": "sling"}
"""Whose packages are not Tidegate's."""


def lineup(workload: Workload, scale: float) -> dict[str, Contestant]:
    """In the order of the first turn; neighbours are a pair."""
    given = {"workload": workload}
    ours = partial(tidegate, **given, scale=scale)
    if workload.kind is Kind.THIN:
        return {"tidegate": partial(live, **given, scale=scale)}
    if workload.name == "full":
        copied = partial(copying.tidegate, **given, scale=scale)
        peers = {"psql": partial(copying.psql, **given), "tidegate again": copied}
        return {"tidegate": copied, **peers, "sling": partial(copying.sling, **given)}
    if workload.name == "lake":
        backends = {
            f"dlt {backend}": partial(copying.dlt, **given, backend=backend) for backend in ("connectorx", "pyarrow")
        }
        return {"tidegate": partial(copying.tidegate_lake, **given, scale=scale), **backends}
    if workload.name == "giant":
        return {"tidegate": ours}
    native = PARALLEL if workload.name == "huge" else NATIVE
    found: dict[str, Contestant] = {"tidegate": ours}
    found |= {name: partial(subscription, **given, options=options) for name, options in native.items()}
    if workload.name == "huge":
        found["tidegate unstaged"] = partial(ours, stages=False)
    if workload.name == "mixed":
        found["tidegate again"] = ours
        found["tidegate python"] = partial(ours, decoder="python")
        found["tidegate unpaced"] = partial(ours, pace_ms=0)
        found["debezium"] = partial(debezium, **given)
    return found
