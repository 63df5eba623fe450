"""What decoding costs, taken from `decode.py` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from contest import Outcome
from workloads import Workload


def decoded(workload: Workload) -> dict[str, Outcome]:
    """By `native`, `python` (the net change of each key), `native log` and `python log`: rows in a core's second."""
    command = [sys.executable, Path(__file__).parent / "decode.py", "--rows", str(workload.changes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        f"{decoder}{name}": Outcome(rate, worker_cpu_s=1.0)
        for mode, name in (("net", ""), ("log", " log"))
        for decoder, rate in found[mode]["rows_per_s"].items()
    }
