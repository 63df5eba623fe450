"""One worker's pipeline in a process of its own, until its standard input is closed: `follow.py` and one JSON text."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time

from ground import pipeline
from workloads import workloads

from tidegate.connect.capability import ReadMode
from tidegate.engine.snapshot import Desk


def main() -> None:
    given = json.loads(sys.argv[1])
    workload = workloads(given["scale"])[given["workload"]]
    desk = Desk()
    work = pipeline(workload, given["source"], given["target"], desk, read=ReadMode(given["read"]), epoch=2)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    began = time.process_time()
    thread = threading.Thread(target=work.run, daemon=True)
    thread.start()
    sys.stdin.readline()
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"cpu_s": time.process_time() - began, "memory_mb": used.ru_maxrss / 1024, "alive": thread.is_alive()}
    desk.abandon()
    thread.join(20)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
