"""`tidegate demo`, as a person or a program runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tidegate.console.pages import STATIC
from tidegate.testing.mariadb_binaries import available as mariadbs
from tidegate.testing.servers import until

COMMAND = [sys.executable, "-m", "tidegate", "demo"]


def folders(home: Path) -> list[str]:
    ours = ("tidegate-demo-", "tidegate-pg-", "tidegate-mariadb-")
    return [entry.name for entry in home.iterdir() if entry.name.startswith(ours)]


@pytest.fixture
def place() -> Path:
    """A temporary folder of this test's own, open to the user PostgreSQL runs as."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("source", ["postgres", "mariadb"])
def test_the_demo_proves_both_targets_equal_and_leaves_nothing_behind(place: Path, source: str) -> None:
    if source == "mariadb" and not mariadbs():
        pytest.skip("no MariaDB server programs on this machine")
    ended = subprocess.run(
        [*COMMAND, "--seconds", "10", "--json", "--seed", "7"],
        env=os.environ | {"TMPDIR": str(place), "TIDEGATE_DEMO_SOURCE": source},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["verified"] is True
    assert ("see it in a browser: http://127.0.0.1:" in ended.stderr) == (STATIC / "index.html").exists()
    assert (told["lost"], told["duplicated"], told["different"]) == (0, 0, 0)
    assert told["rows_full"] > 200_000
    assert told["changes"] > 500
    if source == "postgres":  # MariaDB's log has whole seconds only
        assert 0 < told["lag_ms_p50"] <= told["lag_ms_p99"]
    steps = [step["operation"] for step in told["operations"] if step["task"] == "orders_history"]
    assert steps == ["run", "pause", "continue", "force-pause", "continue", "kill", "stop"]
    assert folders(place) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_takes_everything_with_it(place: Path, how: signal.Signals) -> None:
    with subprocess.Popen(
        [*COMMAND, "--seconds", "60"],
        env=os.environ | {"TMPDIR": str(place)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "The shop opens" in line:
                break
        assert len(folders(place)) == 2
        demo.send_signal(how)
        demo.stdout.read()
        demo.wait(60)
    until(lambda: folders(place) == [], "the demo's folders to be removed", 60)
