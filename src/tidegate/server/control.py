"""What people, programs and workers may ask of the server, and the rules that decide. HTTP routes only translate.

Every method is synchronous, safe to call from many threads, and either does the whole thing or raises a
`TidegateError` having changed nothing. `actor` is who asks, for the key events. The parts, each on the one before:
`Catalog` (what tasks refer to), `Definitions`, `Gate` (what commands would do), `Operations` (commands and runs),
`Measurements` (figures), `Roster` (workers), `Verifications`. Beside them `Alerting`: alert rules, channels, and the
alerts that fired; `Batches`: the same for many tasks; `Rehearsals`: definitions that are not saved; `LogSearch`: what
is logged; `Outlook`: all at one look; and who there is: `Accounts`, `Members`, `AccessKeys`, `SignOn` (who comes from
a log-in provider), `Reach` (from where); `AuditLog`: what they did; and `EditLocks`.
"""

from __future__ import annotations

from tidegate.server.accesskeys import AccessKeys
from tidegate.server.audit import AuditLog
from tidegate.server.batches import Batches
from tidegate.server.catalog import MASK
from tidegate.server.locks import EditLocks
from tidegate.server.logsearch import LogSearch
from tidegate.server.operations import OPS_SORTS
from tidegate.server.outlook import Outlook
from tidegate.server.reach import Reach
from tidegate.server.rehearsal import Rehearsals
from tidegate.server.roster import WORKER_MOVES
from tidegate.server.signon import SignOn
from tidegate.server.verifications import Verifications

__all__ = ["MASK", "OPS_SORTS", "WORKER_MOVES", "Control"]


class Control(Rehearsals, Verifications, Batches, LogSearch, AccessKeys, SignOn, Reach, AuditLog, EditLocks, Outlook):
    """`Control(store, data_plane, clock=…, limits=…, attendance=…, wake=…)`, as `Desk` says."""
