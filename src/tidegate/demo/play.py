"""`tidegate demo`: a busy shop, two tasks that follow it, all that can be done to them, and a proof at the end."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType

from tidegate.demo.stage import Stage
from tidegate.demo.story import Report, Story
from tidegate.demo.view import screen
from tidegate.errors import EnvironmentLacking, TidegateError

EXIT_FAILED, EXIT_ENVIRONMENT, EXIT_INTERRUPTED = 1, 3, 130

# So that what is shown is fresh: workers report, and what they report is shown, four times a second.
OFTEN = {"TIDEGATE_HEARTBEAT_S": "0.25", "TIDEGATE_RECONCILE_INTERVAL_S": "0.25"}


SOURCE = "TIDEGATE_DEMO_SOURCE"
"""Names what the shop is on: `postgres`, or `mariadb`."""


def run(seconds: float, *, as_json: bool, seed: int | None = None) -> int:
    """Run the demo with `seconds` of workload. The exit code: 0 both targets were proven equal to the source, 1 not
    verified or a step failed, 3 nothing to run it on, 130 interrupted."""
    report, code, source = Report(), EXIT_FAILED, os.environ.get(SOURCE) or "postgres"
    with _ended_by_signals(), screen(as_json=as_json) as shown:
        try:
            with Stage(shown.say, source, **OFTEN) as stage:
                story = Story(stage, shown, seconds, seed)
                report = story.report
                story.tell()
        except KeyboardInterrupt:
            report.problems.append("interrupted; everything was cleared away")
            code = EXIT_INTERRUPTED
        except EnvironmentLacking as error:
            report.problems.append(error.detail)
            code = EXIT_ENVIRONMENT
        except (TidegateError, TimeoutError) as error:
            report.problems.append(str(error))
        for problem in report.problems:
            shown.say(problem, good=False)
        shown.say(_summary(report), good=report.verified)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report)) + "\n")
    return 0 if report.verified else code


def _summary(report: Report) -> str:
    if not report.verified:
        return "NOT verified."
    said = f"Verified: {report.rows_full:,} rows copied and {report.changes:,} changes followed, none lost, none twice."
    if report.lag_ms_p50 is None:
        return said
    lag = f"{report.lag_ms_p50:g} ms at the median, {report.lag_ms_p99:g} ms at the 99th percentile"
    return f"{said} Lag while undisturbed: {lag}."


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
