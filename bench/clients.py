"""What many clients at once do to one server: 64 of them look and give commands for a minute, by `tidegate.client`, at
a real `tidegate server` on SQLite with real workers behind some of its tasks. Says how many requests failed, how long
the list of tasks takes, and whether anything that was acknowledged was lost.

    python bench/clients.py --clients 64 --seconds 60

An edit reads a definition, adds one to the number in it and writes it back with the version it read: the number must in
the end be as large as the edits that were acknowledged are many. A command that was accepted must be in the audit log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from tidegate.client import AsyncClient, TidegateError
from tidegate.errors import CommandRefused, StaleVersion
from tidegate.testing.servers import PostgresServer, newest
from tidegate.testing.site import Site

WORKING, EDITED, DRAFTS = 4, 8, 100
MIX = {"list": 40, "task": 15, "events": 10, "log": 10, "metrics": 5, "offers": 5, "edit": 10, "command": 5}


@dataclass
class Seen:
    took_s: dict[str, list[float]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    """Told that somebody was first, or that the status does not allow it: as it should be."""
    failed: Counter[str] = field(default_factory=Counter)
    edits: Counter[str] = field(default_factory=Counter)
    accepted: int = 0


class User:
    """One client, which does one thing after the other."""

    def __init__(self, client: AsyncClient, seen: Seen, r: random.Random) -> None:
        self.client, self.seen, self.r = client, seen, r

    async def live(self, until: float) -> None:
        while time.monotonic() < until:
            what = self.r.choices(list(MIX), list(MIX.values()))[0]
            began = time.monotonic()
            try:
                await getattr(self, what)()
            except (StaleVersion, CommandRefused) as error:
                self.seen.refused[error.code] += 1
            except TidegateError as error:
                self.seen.failed[f"{what} {error.code}"] += 1
            self.seen.took_s.setdefault(what, []).append(time.monotonic() - began)

    async def list(self) -> None:
        await self.client.list_ops(page_size=self.r.choice((20, 200)), sort=self.r.choice(("name", "-lag_s")))

    async def task(self) -> None:
        await self.client.get_task(self._working())

    async def events(self) -> None:
        await self.client.list_task_events(self._working(), limit=100)

    async def log(self) -> None:
        await self.client.list_task_log(self._working(), search="run OR command", limit=100)

    async def metrics(self) -> None:
        await self.client.get_metrics(self._working(), names=["rows_written_per_s", "lag_s"])

    async def offers(self) -> None:
        await self.client.list_offers(self._working())

    async def edit(self) -> None:
        name = f"edited_{self.r.randrange(EDITED)}"
        found = await self.client.get_task(name)
        changed: Any = found["definition"] | {"description": str(int(found["definition"]["description"]) + 1)}
        await self.client.edit_task(name, changed, version=found["task"]["version"])
        self.seen.edits[name] += 1

    async def command(self) -> None:
        name = self._working()
        found = (await self.client.get_task(name))["task"]
        wanted = {"Running": self.r.choice(("pause", "force-pause")), "Paused": "continue"}.get(found["status"])
        if wanted is not None:
            given: Any = {"version": found["version"]}
            await self.client.give_command(name, wanted, given)  # type: ignore[arg-type]
            self.seen.accepted += 1

    def _working(self) -> str:
        return f"working_{self.r.randrange(WORKING)}"


def definition(name: str, tables: list[str]) -> dict[str, Any]:
    return {
        "task": name,
        "kind": "whole_database",
        "description": "0",
        "source": {"data_source": "src", "tables": tables},
        "target": {"data_source": "dst", "write": "upsert", "schema": "public"},
    }


def furnish(site: Site, server: PostgresServer) -> None:
    """Tasks at work, tasks to be edited, and many that are only there."""
    for name in ("src", "dst"):
        server.create_database(name)
        site.ask("POST", "/data-sources", {"name": name, "kind": "postgres", "config": server.config(name)})
    with server.connect("src") as source:
        for at in range(WORKING):
            source.execute(f"create table t{at} as select i as id, 'n' || i as name from generate_series(1, 1000) i")
            source.execute(f"alter table t{at} add primary key (id)")
    for at in range(WORKING):
        site.ask("POST", "/tasks", definition(f"working_{at}", [f"public.t{at}"]))
        site.ask("POST", f"/tasks/working_{at}/submit", {})
        site.command(f"working_{at}", "run")
    for name in [f"edited_{at}" for at in range(EDITED)] + [f"draft_{at}" for at in range(DRAFTS)]:
        site.ask("POST", "/tasks", definition(name, ["public.t0"]))
    for at in range(WORKING):
        site.becomes(f"working_{at}", "Running")


async def crowd(site: Site, token: str, clients: int, seconds: float, seed: int) -> Seen:
    seen, until = Seen(), time.monotonic() + seconds
    held = [AsyncClient(site.url, token) for _ in range(clients)]
    users = [User(client, seen, random.Random(seed + at)) for at, client in enumerate(held)]  # noqa: S311
    await asyncio.gather(*(user.live(until) for user in users))
    for client in held:
        await client.close()
    return seen


def measured(clients: int, seconds: float, seed: int) -> dict[str, Any]:
    """One crowd at a server of its own."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        server = held.enter_context(PostgresServer(newest()))
        site = Site(folder).start()
        held.callback(site.close)
        furnish(site, server)
        before = accepted(site)
        token = (folder / "admin.token").read_text().strip()
        seen = asyncio.run(crowd(site, token, clients, seconds, seed))
        told = accepted(site) - before
        numbers = {name: int(site.task(name)["definition"]["description"]) for name in seen.edits}
    lost = sum(seen.edits[name] - numbers[name] for name in numbers)
    requests = sum(len(took) for took in seen.took_s.values())
    return {
        "clients": clients,
        "seconds": seconds,
        "seed": seed,
        "requests_per_s": round(requests / seconds, 1),
        "took_ms": {what: _spread(took) for what, took in sorted(seen.took_s.items())},
        "failed": dict(seen.failed),
        "refused": dict(seen.refused),
        "edits": sum(seen.edits.values()),
        "lost_edits": lost,
        "commands": seen.accepted,
        "lost_commands": seen.accepted - told,
        "load_before": os.getloadavg()[0],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def accepted(site: Site) -> int:
    """How many commands the audit log has that were done."""
    assert site.client is not None
    lines = site.client.get("/audit/export", params={"action": "give_command", "outcome": "done"}).text.splitlines()
    return len(lines)


def _spread(took_s: list[float]) -> dict[str, float]:
    cuts = quantiles(took_s, n=100) if len(took_s) > 1 else took_s * 99
    return {"p50": round(cuts[49] * 1000, 1), "p99": round(cuts[98] * 1000, 1), "n": len(took_s)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))  # noqa: S311
    given = parser.parse_args()
    found = measured(given.clients, given.seconds, given.seed)
    print(json.dumps(found, indent=2))  # noqa: T201
    raise SystemExit(1 if found["failed"] or found["lost_edits"] or found["lost_commands"] else 0)


if __name__ == "__main__":
    main()
