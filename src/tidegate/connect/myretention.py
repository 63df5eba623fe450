"""Until when a server keeps the log that runs need. It keeps it for nobody: whole files go by their age and,
at MariaDB, by the size of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tidegate.connect.myflavour import Flavour
from tidegate.connect.myposition import Place
from tidegate.connect.mysession import Limits, file_sizes, limits
from tidegate.connect.mytypes import Query
from tidegate.connect.source import Retention, Retentions

Begun = Callable[[str], int]
"""When the server began the file of this name, in seconds since 1970 by its own clock."""


def retentions(query: Query, flavour: Flavour, places: Mapping[str, Place], begun: Begun) -> Retentions:
    """Of the runs that read on from these places."""
    limit = limits(query)
    sizes = file_sizes(query)
    written, now_s = _written(query, flavour, sizes)
    found = {run: _lost(place) for run, place in places.items()}
    behind, after = 0, ""
    for name, size in reversed(sizes.items()):
        behind += size
        for run, place in places.items():
            if place.file == name:
                expires_in_s = _expires_in_s(limit, now_s, after, begun)
                safe = max(0, limit.size_bytes - behind) if limit.size_bytes else None
                found[run] = Retention(max(0, behind - place.offset), safe, expires_in_s)
        after = name
    return Retentions(written, found)


def _written(query: Query, flavour: Flavour, sizes: Mapping[str, int]) -> tuple[int, float]:
    """How much log was written, and what time it is by the server's clock. MySQL counts nothing of the kind: there it
    is what is kept, which begins anew whenever a file goes."""
    if flavour.mysql:
        ((now_s,),) = query("select unix_timestamp()", ())
        return sum(sizes.values()), float(now_s)
    ((written, now_s),) = query(
        "select cast(variable_value as unsigned), unix_timestamp() from information_schema.global_status"
        " where variable_name = 'binlog_bytes_written'",
        (),
    )
    return int(written), float(now_s)


def _expires_in_s(limit: Limits, now_s: float, after: str, begun: Begun) -> float | None:
    """Of the file that `after` follows. It was last written when that was begun, or before, if the server was down in
    between: then it goes sooner than is said here. The newest is still written. A server that has nothing to write
    drops nothing, nor one whose replica reads there, so a file may also last longer."""
    if not limit.age_s:
        return None
    return max(0.0, limit.age_s - max(0.0, now_s - begun(after))) if after else limit.age_s


def _lost(place: Place) -> Retention:
    return Retention(0, 0, lost=f"the server no longer has its log file {place.file}")
