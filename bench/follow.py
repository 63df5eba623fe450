"""One worker's pipeline in a process of its own, until its standard input is closed: `follow.py` and one JSON text."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path

from ground import pipeline
from workloads import workloads

from tidegate.cli.serving import without_huge_pages
from tidegate.connect.capability import ReadMode
from tidegate.engine.running import Phase
from tidegate.engine.snapshot import Desk


def main() -> None:
    without_huge_pages()  # as under a server
    given = json.loads(sys.argv[1])
    workload = workloads(given["scale"])[given["workload"]]
    desk, read = Desk(), ReadMode(given["read"])
    epoch = 2 if read is ReadMode.INCREMENTAL else 1
    work = pipeline(workload, given["source"], given["target"], desk, read=read, epoch=epoch)
    tell("ready")
    sys.stdin.readline()
    began = time.process_time()
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    if read is not ReadMode.INCREMENTAL:
        while work.phase is not Phase.INCREMENTAL and thread.is_alive():
            time.sleep(0.005)
        if not thread.is_alive():
            return
        tell("copied")
    sys.stdin.readline()
    used_s, memory_mb = time.process_time() - began, most_memory_mb()
    alive = thread.is_alive()
    desk.abandon()
    thread.join(20)
    tell(json.dumps({"cpu_s": used_s, "memory_mb": memory_mb, "alive": alive}))


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def most_memory_mb() -> float:
    """The most that was resident since this program began; what getrusage says begins with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
