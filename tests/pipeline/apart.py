"""A pipeline in a process of its own, that can be killed and its memory measured: `python -m pipeline.apart SPEC`.

It says `open` once it runs, answers every line of its standard input with what it has counted, and when that ends it
pauses and says what it counted in all.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.rig import Rig
from tidegate.engine.preflight import open_source, open_target
from tidegate.model.task import parse_task

TESTS = Path(__file__).parents[1]


class Apart:
    """The process, seen from the test."""

    def __init__(
        self, source: dict[str, Any], target: tuple[str, dict[str, Any]], task: dict[str, Any], run: str
    ) -> None:
        self._told = {"source": source, "target": target, "task": task, "run": run}
        self._epoch = 0
        self._process: subprocess.Popen[str] | None = None
        self.peaks_mb: list[float] = []

    def start(self) -> Apart:
        self._epoch += 1
        told = json.dumps(self._told | {"epoch": self._epoch})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.apart", told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TESTS,
        )
        assert self._said() == "open"
        return self

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _look(self) -> None:
        """Remember the most memory it has had."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
        self.peaks_mb.append(int(peak_kb) / 1024)

    def counters(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        counted: dict[str, Any] = json.loads(self._said())
        return counted

    def kill(self) -> None:
        assert self._process is not None
        self._look()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def end(self) -> dict[str, Any]:
        """Pause it; returns what it counted."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._look()
        self._process.stdin.close()
        counted: dict[str, Any] = json.loads(self._said())
        assert self._process.wait(60) == 0
        self._close()
        return counted

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()


def main(told: dict[str, Any]) -> None:
    rig = Rig(
        lambda: open_source(("postgres", told["source"])),
        lambda: open_target(tuple(told["target"])),
        parse_task(told["task"]),
        told["run"],
    )
    rig.epoch = told["epoch"] - 1
    rig.start().opens()
    print("open", flush=True)
    for _ in sys.stdin:
        if rig.error is not None:
            raise rig.error
        print(json.dumps(rig.counters()), flush=True)
    rig.pause()
    print(json.dumps(rig.totals), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
