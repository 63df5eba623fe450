"""`tidegate demo`: a busy shop, two tasks that follow it, all that can be done to them, and a proof at the end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType

from tidegate.demo.stage import Stage
from tidegate.demo.story import Report, Story
from tidegate.demo.view import screen
from tidegate.errors import EnvironmentLacking, TidegateError

SECONDS_LEAST, SECONDS_MOST = 10, 3600
EXIT_FAILED, EXIT_ENVIRONMENT = 1, 3


def main(arguments: Sequence[str]) -> int:
    """The command's exit code: 0 verified, 1 not verified or a step failed, 2 wrong arguments, 3 nothing to run it on,
    130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="tidegate demo",
        description="Start a PostgreSQL with a busy shop, synchronize it into DuckDB and into another PostgreSQL "
        "database, pause, continue, cut off and kill the tasks, and prove that both targets are equal to the source. "
        "Everything runs in temporary folders and is removed at the end.",
    )
    parser.add_argument("--seconds", type=_seconds, default=30.0, help="how long the shop is open (default: 30)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--seed", type=int, help="repeat the workload of an earlier demo")
    given = parser.parse_args(arguments)
    try:
        return run(given.seconds, as_json=given.json, seed=given.seed)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; everything was cleared away.\n")
        return 130


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a number") from None
    if not SECONDS_LEAST <= seconds <= SECONDS_MOST:
        raise argparse.ArgumentTypeError(f"must be from {SECONDS_LEAST} to {SECONDS_MOST}")
    return seconds


def run(seconds: float, *, as_json: bool, seed: int | None = None) -> int:
    """Run the demo with `seconds` of workload; the exit code: 0 when both targets were proven equal to the source."""
    with _ended_by_signals(), screen(as_json=as_json) as shown:
        code = EXIT_FAILED
        try:
            with Stage() as stage:
                report = Story(stage, shown, seconds, seed).tell()
        except EnvironmentLacking as error:
            report, code = Report(problems=[error.detail]), EXIT_ENVIRONMENT
        except (TidegateError, TimeoutError) as error:
            report = Report(problems=[str(error)])
        for problem in report.problems:
            shown.say(problem, good=False)
        shown.say(_summary(report), good=report.verified)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 0 if report.verified else code


def _summary(report: Report) -> str:
    if not report.verified:
        return "NOT verified."
    lag = "not measured"
    if report.lag_ms_p50 is not None:
        lag = f"{report.lag_ms_p50:g} ms at the median, {report.lag_ms_p99:g} ms at the 99th percentile"
    return (
        f"Verified: {report.rows_full:,} rows copied and {report.changes:,} changes followed, none lost, none twice. "
        f"Lag while undisturbed: {lag}."
    )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP clear away like Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
