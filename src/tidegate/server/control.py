"""What people, programs and workers may ask of the server, and the rules that decide. HTTP routes only translate.

Every method is synchronous, safe to call from many threads, and either does the whole thing or raises a
`TidegateError` having changed nothing. `actor` is who asks, for the key events. The parts, each on the one before:
`Catalog` (what tasks refer to), `Definitions`, `Operations` (commands and runs), `Roster` (workers),
`Verifications`.
"""

from __future__ import annotations

from tidegate.server.catalog import MASK, Catalog
from tidegate.server.operations import OPS_SORTS
from tidegate.server.roster import WORKER_MOVES
from tidegate.server.verifications import Verifications

__all__ = ["MASK", "OPS_SORTS", "WORKER_MOVES", "Control"]


class Control(Catalog, Verifications):
    """`Control(store, data_plane, clock=…, limits=…, attendance=…, wake=…)`, as `Desk` says."""
