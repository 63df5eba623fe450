"""`python -m tidegate.worker`: started by a resource group's engine, told by the environment where its server is."""

from __future__ import annotations

import os
import signal
import sys
import threading

from tidegate import faultpoint, logs
from tidegate.worker.agent import Agent
from tidegate.worker.link import Link

TERMINATED = 143


def main() -> int:
    logs.configure("info")
    faultpoint.arm_from_environment()
    agent = Agent(Link(os.environ.pop("TIDEGATE_WORKER_URL"), os.environ.pop("TIDEGATE_WORKER_TOKEN")))
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
