"""Faults strike where they were ordered, once, and what a process crossed is known after its death."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import tidegate
from tidegate import faultpoint
from tidegate.faultpoint import POINTS, VARIABLE
from tidegate.model.process import started
from tidegate.testing.faults import Action, Faults, Trace

CROSSES = """
import sys
from tidegate import faultpoint
from tidegate.errors import TidegateError
faultpoint.arm_from_environment()
for point in sys.argv[1:]:
    try:
        faultpoint.crossing(point)
        print("crossed", point, flush=True)
    except TidegateError as error:
        print(error.code, flush=True)
"""


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    return Faults(tmp_path / "faults")


Process = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def process(faults: Faults) -> Iterator[Process]:
    """Starts an armed process that crosses the points given."""
    with ExitStack() as stack:

        def start(*points: str) -> subprocess.Popen[str]:
            return stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", CROSSES, *points],
                    env=os.environ | {VARIABLE: str(faults.folder)},
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )

        yield start


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "nobody came"
        time.sleep(0.01)


def test_every_point_is_crossed_somewhere_and_every_crossing_is_in_the_table() -> None:
    source = [path.read_text() for path in Path(tidegate.__file__).parent.rglob("*.py")]
    found = {name for text in source for name in re.findall(r'\bcrossing\("([^"]+)"\)', text)}
    assert found == set(POINTS)


def test_an_order_kills_the_first_process_that_comes_there_and_no_other(faults: Faults, process: Process) -> None:
    faults.order("batch.committed")
    first = process("batch.writing", "batch.committed", "lease.renewed")
    assert first.wait(30) == -signal.SIGKILL
    assert faults.taken("batch.committed") == first.pid
    assert faults.trace(first.pid) == Trace("batch.committed", Counter({"batch.writing": 1, "batch.committed": 1}))
    second = process("batch.committed", "batch.committed")
    assert second.communicate(timeout=30)[0].count("crossed") == 2
    assert faults.counts() == Counter({"batch.writing": 1, "batch.committed": 3})


def test_an_order_may_wait_for_later_crossings_of_several_processes(faults: Faults, process: Process) -> None:
    faults.order("batch.staged", after=3)
    first = process("batch.staged", "batch.staged")
    assert first.communicate(timeout=30)[0].count("crossed") == 2
    second = process("batch.staged", "batch.staged", "batch.staged")
    assert second.communicate(timeout=30)[0].count("crossed") == 1
    assert second.returncode == -signal.SIGKILL


def test_an_order_can_make_the_step_fail(faults: Faults, process: Process) -> None:
    faults.order("batch.staged", Action.FAIL)
    faults.order("store.committing", Action.FAIL)
    said = process("batch.staged", "store.committing").communicate(timeout=30)[0]
    assert said.split() == ["target.unreachable", "store.unavailable"]


def test_a_process_waits_where_it_was_told_until_it_is_released(faults: Faults, process: Process) -> None:
    faults.order("chunk.read", Action.HOLD)
    held = process("chunk.read")
    eventually(lambda: faults.taken("chunk.read") is not None)
    assert held.poll() is None
    faults.release("chunk.read")
    assert held.wait(30) == 0


def test_a_stopped_process_goes_on(faults: Faults, process: Process) -> None:
    faults.order("chunk.read", Action.STOP)
    stopped = process("chunk.read", "chunk.written")
    pid, status = os.waitpid(stopped.pid, os.WUNTRACED)
    assert (pid, os.WIFSTOPPED(status)) == (stopped.pid, True)
    stopped.send_signal(signal.SIGCONT)
    assert stopped.wait(30) == 0
    assert faults.trace(stopped.pid).last == "chunk.written"


def test_what_another_process_of_the_same_id_crossed_is_not_taken_for_its_own(faults: Faults, process: Process) -> None:
    faults.order("batch.staged", Action.HOLD)
    first = process("batch.staged")
    eventually(lambda: faults.taken("batch.staged") is not None)
    since = started(first.pid)
    faults.release("batch.staged")
    first.communicate(timeout=30)
    own = Trace("batch.staged", Counter(["batch.staged"]))
    assert faults.trace(first.pid, since) == faults.trace(first.pid) == own
    assert faults.trace(first.pid, "another-1") == Trace(None, Counter())


def test_a_withdrawn_order_strikes_nobody(faults: Faults, process: Process) -> None:
    faults.order("chunk.read")
    assert faults.withdraw("chunk.read")
    assert process("chunk.read").wait(30) == 0
    assert not faults.withdraw("chunk.read")


def test_a_point_that_is_not_in_the_table_cannot_be_ordered(faults: Faults) -> None:
    with pytest.raises(ValueError, match=r"no fault point batch\.commited"):
        faults.order("batch.commited")


def test_nothing_happens_where_nobody_armed_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    faultpoint.arm_from_environment()
    faultpoint.crossing("not even a point")
