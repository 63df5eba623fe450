"""Brings a database server down in the ways servers go down, and up again; what it did follows from a seed."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Literal

from tidegate.testing.servers import PostgresServer

Way = Literal["kill", "immediate", "fast", "away"]

# Dying is the hardest, so it comes most often; `away` stays down for a while.
WEIGHTS: dict[Way, int] = {"kill": 5, "immediate": 3, "fast": 2, "away": 1}
AWAY_S = (1.0, 3.0)


@dataclass(slots=True)
class Downfall:
    """`once` may be called as often as wanted; `ways` counts what happened."""

    server: PostgresServer
    seed: int
    away_s: tuple[float, float] = AWAY_S
    ways: dict[str, int] = field(default_factory=dict)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def once(self, way: Way | None = None) -> Way:
        """Down and up again. Returns how, once the server accepts connections. Raises `EnvironmentLacking` if it does
        not come up."""
        chosen = way or self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        match chosen:
            case "kill" | "away":
                self.server.kill()
            case _:
                self.server.stop(chosen)
        if chosen == "away":
            time.sleep(self._random.uniform(*self.away_s))
        self.server.start()
        self.ways[chosen] = self.ways.get(chosen, 0) + 1
        return chosen
