"""The log of servers and workers."""

from __future__ import annotations

import errno
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tidegate import logs
from tidegate.logs import Lossy


class Disk:
    """A stream on a disk that may be full."""

    def __init__(self) -> None:
        self.full = False
        self.kept: list[str] = []

    def write(self, text: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.kept.append(text)
        return len(text)

    def flush(self) -> None:
        pass


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else() -> None:
    disk = Disk()
    said = Lossy(disk)  # type: ignore[arg-type]
    print("one", file=said, flush=True)
    disk.full = True
    print("two", file=said, flush=True)
    print("three", file=said, flush=True)
    disk.full = False
    print("four", file=said, flush=True)
    lines = "".join(disk.kept).splitlines()
    assert [lines[0], lines[-1]] == ["one", "four"]
    assert '"log.lost", "lines": 2' in lines[1]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What is logged, as data."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(logs, "_journal", type(logs._journal)())
    logs.configure("info")
    logs.hand_to(lambda entry: found.append(dict(entry)))
    yield found
    structlog.reset_defaults()


def test_a_line_says_who_when_and_what(lines: list[dict[str, Any]]) -> None:
    before = time.time()
    structlog.get_logger().info("it.happened", task=7, name="x")
    [line] = lines
    assert (line["event"], line["level"], line["task"], line["name"]) == ("it.happened", "info", 7, "x")
    assert before - 0.01 <= line["timestamp"] <= time.time() + 0.01
    assert line["logger"] == __name__


def test_of_an_exception_only_classes_and_places_are_said(lines: list[dict[str, Any]]) -> None:
    try:
        int("canary-value")
    except ValueError:
        structlog.get_logger().exception("it.broke")
    [line] = lines
    assert line["exception"] == "ValueError"
    assert "test_logs.py" in line["places"][0]
    assert "canary" not in json.dumps(line)


def test_a_secret_is_replaced_wherever_it_stands(lines: list[dict[str, Any]]) -> None:
    logs.conceal(["p/ss wörd"])
    said = {"detail": "at p/ss wörd!", "deep": [{"p/ss wörd": ("x", "p%2Fss%20w%C3%B6rd")}]}
    structlog.get_logger().warning("said p/ss wörd", **said)
    text = json.dumps(lines, ensure_ascii=False)
    assert "wörd" not in text
    assert "%2Fss" not in text
    assert text.count(logs.CONCEALED) == 4


def test_a_line_is_bounded_and_holds_nothing_that_cannot_be_stored(lines: list[dict[str, Any]]) -> None:
    fields = {f"field_{at}": "x" * 900 + "\0\ud800" for at in range(30)}
    structlog.get_logger().info("it.is_long", task=3, number=float("inf"), **fields)
    [line] = lines
    assert len(json.dumps(line)) < 2 * logs.LINE_BYTES_MAX
    assert line["task"] == 3
    json.dumps(line, ensure_ascii=False, allow_nan=False).encode()


def test_who_logs_in_a_loop_is_cut_short_and_a_line_says_by_how_much(lines: list[dict[str, Any]]) -> None:
    log = structlog.get_logger()
    for _ in range(1_000):
        log.info("again")
    log.info("another")
    logs.settle(everything=True)
    assert [line["event"] for line in lines] == ["again"] * 100 + ["another", "log.left_out"]
    assert (lines[-1]["of"], lines[-1]["lines"]) == ("again", 900)


def test_a_file_is_begun_anew_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("a") as stream:
        said = Lossy(stream, 10_000)
        for at in range(1_000):
            said.write(f"line {at} {'x' * 90}\n")
            assert path.stat().st_size <= 10_100
    assert path.read_text().splitlines()[-1].startswith("line 999 ")
