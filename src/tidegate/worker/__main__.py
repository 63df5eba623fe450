"""`python -m tidegate.worker`: started by a resource group's engine, told by the environment where its server is."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from tidegate import faultpoint, logs
from tidegate.worker.agent import Agent
from tidegate.worker.link import Link

TERMINATED = 143


def main() -> int:
    logs.configure("info")
    faultpoint.arm_from_environment()
    agent = Agent(Link(os.environ.pop("TIDEGATE_WORKER_URL"), os.environ.pop("TIDEGATE_WORKER_TOKEN")))
    asked = False

    def terminate(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(TERMINATED)
        asked = True
        agent.drain()

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at the server's terminal is not meant for its workers
    return agent.run()


if __name__ == "__main__":
    sys.exit(main())
