"""`python -m tidegate.worker`: started by a resource group's engine, told by the environment where its server is."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import structlog

from tidegate.worker.agent import Agent
from tidegate.worker.link import Link

TERMINATED = 143


def main() -> int:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
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
