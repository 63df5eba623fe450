"""What decoding costs, taken from `decode.py` and `decode_binlog.py` in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from contest import Outcome
from workloads import Workload


def decoded(workload: Workload) -> dict[str, Outcome]:
    """By `native`, `python` (the net change of each key), `native log` and `python log`, and the same with ` binlog`
    for MariaDB's log: rows in a core's second."""
    return _rates("decode.py", workload, "") | _rates("decode_binlog.py", workload, " binlog")


def _rates(script: str, workload: Workload, suffix: str) -> dict[str, Outcome]:
    command = [sys.executable, Path(__file__).parent / script, "--rows", str(workload.changes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {
        f"{decoder}{suffix}{name}": Outcome(rate, worker_cpu_s=1.0)
        for mode, name in (("net", ""), ("log", " log"))
        for decoder, rate in found[mode]["rows_per_s"].items()
    }
