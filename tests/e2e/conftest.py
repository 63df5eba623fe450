"""A running site with a source and two target databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from e2e.shop import Shop
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Site

NewDatabase = Callable[..., str]


class World:
    """A site, its source `src` and its target `dst`, both on one server."""

    def __init__(self, site: Site, server: PostgresServer, source: str, target: str) -> None:
        self.site, self.server, self.source_name, self.target_name = site, server, source, target
        self.source = server.connect(source)
        self.target = server.connect(target)
        self.source_dsn = self.source.info.dsn
        for name, database in (("src", source), ("dst", target)):
            config = server.config(database)
            site.ask("POST", "/data-sources", {"name": name, "kind": "postgres", "config": config})

    def task(self, name: str, tables: list[str], *, write: str = "upsert", run: bool = True, **more: Any) -> str:
        definition = {
            "task": name,
            "kind": "whole_database",
            "source": {"data_source": "src", "tables": tables},
            "target": {"data_source": "dst", "write": write, "schema": "public"} | more.pop("target", {}),
        }
        self.site.ask("POST", "/tasks", definition | more)
        self.site.ask("POST", f"/tasks/{name}/submit", {})
        if run:
            self.site.command(name, "run")
            self.site.becomes(name, "Running")
        return name

    def equal(self, table: str) -> bool:
        query = f"select t::text from {table} t order by 1"
        try:
            return self.source.execute(query).fetchall() == self.target.execute(query).fetchall()
        except psycopg.errors.UndefinedTable:
            return False

    def shop(self, seed: int = 1, **more: Any) -> Shop:
        return Shop(self.source_dsn, seed, **more).create()

    def slots(self) -> list[str]:
        rows = self.source.execute("select slot_name from pg_replication_slots where database = current_database()")
        return [row[0] for row in rows.fetchall()]

    def close(self) -> None:
        self.site.close()
        self.source.close()
        self.target.close()


@contextmanager
def opened(site: Site, postgres: PostgresServer, database: NewDatabase) -> Iterator[World]:
    """A world around a site that runs; both are gone afterwards."""
    world = None
    try:
        world = World(site, postgres, database(), database())
        yield world
    finally:
        if world is not None:
            world.close()
        site.close()


@pytest.fixture
def world(tmp_path: Path, postgres: PostgresServer, database: NewDatabase) -> Iterator[World]:
    with opened(Site(tmp_path).start(), postgres, database) as world:
        yield world
