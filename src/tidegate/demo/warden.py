"""Clears away what a demo started when the demo is gone, however it ended: workers outlive their server by design.

`python -m tidegate.demo.warden MARK FOLDER` waits for its standard input to end, ends every process that carries the
mark in its environment, and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

from tidegate.testing.servers import until

# Not a name of Tidegate's settings: those are not handed on to workers.
ENVIRONMENT = "DEMO_OF_TIDEGATE"


def marked(mark: str) -> list[int]:
    """The processes that inherited the mark."""
    wanted = f"{ENVIRONMENT}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def clear(mark: str, folder: Path) -> None:
    """Raises `TimeoutError` if a process does not go."""

    def gone() -> bool:
        left = marked(mark)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    until(gone, "the demo's processes to end", 30)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.read()
    clear(sys.argv[1], Path(sys.argv[2]))


if __name__ == "__main__":
    main()
