"""The log of servers and workers."""

from __future__ import annotations

import errno

from tidegate.logs import Lossy


class Disk:
    """A stream on a disk that may be full."""

    def __init__(self) -> None:
        self.full = False
        self.kept: list[str] = []

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept.append(text)
        return len(text)

    def flush(self) -> None:
        pass


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else() -> None:
    disk = Disk()
    said = Lossy(disk)  # type: ignore[arg-type]
    print("one", file=said, flush=True)
    disk.full = True
    print("two", file=said, flush=True)
    print("three", file=said, flush=True)
    disk.full = False
    print("four", file=said, flush=True)
    lines = "".join(disk.kept).splitlines()
    assert [lines[0], lines[-1]] == ["one", "four"]
    assert '"log.lost", "lines": 2' in lines[1]
