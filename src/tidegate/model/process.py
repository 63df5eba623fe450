"""Which process is meant by a process id: ids are given again, so each comes with when its process started."""

from __future__ import annotations

from pathlib import Path


def started(pid: int) -> str | None:
    """When the process started, as a text that no other process of this id ever has; None if there is none or it is
    only waiting to be reaped."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else f"{boot[:8]}-{fields[18]}"
