"""Found first by every Python of an installation under test: what its operating system would do, done to it.

RIM_CLOCK names a file with seconds: what the machine's clock says is off by so much. Time that passes is not.
RIM_SPARES: the server's signals reach no worker, as if they ran on a machine that cannot be reached.
"""

from __future__ import annotations

import os
import signal
import time

_clock = os.environ.get("RIM_CLOCK")
if _clock is not None:
    _told = time.time

    def _off_by() -> float:
        try:
            with open(_clock, encoding="ascii") as file:
                return float(file.read() or 0)
        except OSError:
            return 0.0

    time.time = lambda: _told() + _off_by()

if os.environ.get("RIM_SPARES"):
    signal.pidfd_send_signal = lambda *given: None
