"""Many clients at one server, at its smallest size: nothing fails, and nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
def test_nothing_fails_and_nothing_acknowledged_is_lost_while_many_look_and_give_commands() -> None:
    command = [sys.executable, str(BENCH / "clients.py"), "--clients", "16", "--seconds", "8"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    found = json.loads(said.stdout)
    assert (found["failed"], found["lost_edits"], found["lost_commands"]) == ({}, 0, 0)
    assert found["edits"] > 0
