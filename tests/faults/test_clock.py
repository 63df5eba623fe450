"""The machine's clock jumps; the time that passes does not. Leases, steps and waits go by what passes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from faults.lanes import long
from faults.whole import RIM, eventually, whole
from tidegate.testing.servers import PostgresServer

pytestmark = long

HOUR_S, DAY_S = 3_600, 86_400
IN_2045_S = 19 * 365 * DAY_S


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_jumps_of_the_clock_replace_no_worker_and_hold_none_back(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    clock = tmp_path / "clock"
    clock.write_text("0")
    rim = {"PYTHONPATH": str(RIM), "RIM_CLOCK": str(clock)}
    with whole(tmp_path / "site", postgres, database, environment=rim) as held:
        held.shop.start()
        held.task("app", "ledger", write="append")
        worker, epoch = held.worker("app"), held.site.epoch("app")
        for off_s in (HOUR_S, -HOUR_S, DAY_S, -DAY_S, IN_2045_S):
            clock.write_text(str(off_s))
            held.progresses("app")
            time.sleep(0.5)  # a few sweeps and heartbeats
            assert (held.worker("app"), held.site.epoch("app")) == (worker, epoch), f"after a jump to {off_s:+} s"

        # A server that starts at another time adopts the worker; its death is noticed and answered soon.
        clock.write_text(str(-DAY_S))
        held.site.kill()
        held.site.start()
        assert (held.worker("app"), held.site.epoch("app")) == (worker, epoch)
        os.kill(worker, signal.SIGKILL)
        clock.write_text(str(IN_2045_S))
        eventually(lambda: held.site.epoch("app") > epoch, "another worker is started", 30)
        held.worker("app")

        # Every wait that was written down as a time of day is waited for as long as it lasts, and no longer.
        for off_s in (-DAY_S, HOUR_S):
            before = held.site.epoch("app")
            os.kill(held.worker("app"), signal.SIGKILL)
            clock.write_text(str(off_s))
            eventually(lambda before=before: held.site.epoch("app") > before, "another worker is started", 45)  # type: ignore[misc]
        held.worker("app")
        clock.write_text(str(IN_2045_S))
        held.site.command("app", "pause")
        held.site.becomes("app", "Paused")
        held.shop.stop()
        clock.write_text("0")
        held.site.command("app", "continue")
        held.is_whole("app")
        starts = [event["facts"]["epoch"] for event in held.site.events("app") if event["name"] == "worker_started"]
        assert starts == sorted(set(starts)), "an epoch was given twice"
