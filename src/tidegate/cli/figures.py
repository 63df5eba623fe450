"""Numbers and times as people read them. None is always a dash; a time comes as the server's text."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "–"


def count(number: float | None) -> str:
    """12,345"""
    return NONE if number is None else f"{number:,.0f}"


def size(size_bytes: float | None) -> str:
    """1.4 MiB"""
    if size_bytes is None:
        return NONE
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:,.1f} TiB"


def duration(duration_s: float | None) -> str:
    """85 ms, 0.4 s, 12 s, 3 min 20 s, 2 h 5 min, 3 d 4 h"""
    if duration_s is None:
        return NONE
    if duration_s < 0.0995:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < 9.95:
        return f"{duration_s:.1f} s"
    whole = round(duration_s)
    for unit_s, unit, part_s, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            rest = whole % unit_s // part_s
            return f"{whole // unit_s} {unit} {rest} {part}" if rest else f"{whole // unit_s} {unit}"
    return f"{whole} s"


def between(first: str, last: str) -> float:
    """Seconds from one time to another."""
    return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()


def ago(at: str | None, now: datetime | None = None) -> str:
    """How long ago a time was."""
    if at is None:
        return NONE
    passed = (now or datetime.now(UTC)) - datetime.fromisoformat(at)
    return duration(max(0.0, round(passed.total_seconds(), 1)))


def moment(at: str | None) -> str:
    """A time on this machine's clock; the day only when it is another one."""
    if at is None:
        return NONE
    local = datetime.fromisoformat(at).astimezone()
    today = datetime.now().astimezone().date()
    return local.strftime("%H:%M:%S" if local.date() == today else "%Y-%m-%d %H:%M:%S")
