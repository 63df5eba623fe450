"""A table of PostgreSQL into another PostgreSQL by sling: `sling_copy.py GIVEN ANSWER`. The time is that of its
process, a program that needs no interpreter. Runs in an environment of its own (`sling.txt`), which has the program."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import sling_linux_amd64


def main() -> None:
    given, answer = json.loads(sys.argv[1]), Path(sys.argv[2])
    environment = os.environ | {"SLING_DISABLE_TELEMETRY": "true", "HERE": given["source"], "THERE": given["target"]}
    ends = ["--src-conn", "HERE", "--src-stream", f"public.{given['table']}"]
    ends += ["--tgt-conn", "THERE", "--tgt-object", f"public.{given['table']}", "--mode", "full-refresh"]
    began = time.perf_counter()
    subprocess.run([sling_linux_amd64.SLING_BIN, "run", *ends], check=True, env=environment)
    wall_s = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {"wall_s": wall_s, "cpu_s": used.ru_utime + used.ru_stime, "memory_mb": used.ru_maxrss / 1024}
    answer.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
