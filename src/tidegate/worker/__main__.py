"""`python -m tidegate.worker`: started by a resource group's engine, told by the environment where its server is."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from tidegate import faultpoint, logs
from tidegate.worker.agent import Agent
from tidegate.worker.link import Link
from tidegate.worker.shipping import Shipper

TERMINATED = 143
FILE_BYTES_MAX = 4_000_000
"""Of the worker's own log file, which is for what could not be told to the server."""


def main() -> int:
    logs.configure(os.environ.get("TIDEGATE_LOG_LEVEL", "info"), file_bytes_max=FILE_BYTES_MAX)
    faultpoint.arm_from_environment()
    token = os.environ.pop("TIDEGATE_WORKER_TOKEN")
    logs.conceal([token])
    trusts = os.environ.pop("TIDEGATE_WORKER_TRUSTS", None)
    link = Link(os.environ.pop("TIDEGATE_WORKER_URL"), token, Path(trusts) if trusts else None)
    shipper = Shipper(link)
    logs.hand_to(shipper.take)
    agent = Agent(link, shipper)
    _heed(agent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the server's terminal is not meant for its workers
    return agent.run()


def _heed(agent: Agent) -> None:
    """SIGTERM drains, a second one ends. On a thread of its own, for the main one may be deep in a wait for a database,
    where Python calls no handler."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def listen() -> None:
        asked = 0
        while asked < 2:
            asked += os.read(told, 100).count(signal.SIGTERM)
            agent.drain()
        os._exit(TERMINATED)

    threading.Thread(target=listen, name="signals", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
