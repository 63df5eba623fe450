"""A small company as its operators see it: a real server, its workers, real databases that are in use, and tasks in
every status."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import psycopg

from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Site, eventually

SCHEMA = """
create table customers (id int primary key, name text not null, email text, city text, since timestamptz default now());
create table products (id int primary key, name text not null, price numeric(10, 2) not null);
create table orders (id bigint primary key, customer_id int not null, placed_at timestamptz not null default now(),
                     status text not null, total numeric(12, 2) not null, note text);
create table order_items (order_id bigint, line int, product_id int not null, quantity int not null,
                          primary key (order_id, line));
create table payments (id bigint primary key, order_id bigint not null, amount numeric(12, 2), paid_at timestamptz);
create table contacts (id int primary key, name text, phone text);
create table tickets (id int primary key, subject text, opened_at timestamptz default now());
create table ledger (id int primary key, account text, amount numeric(12, 2));
insert into customers select i, 'Customer ' || i, 'c' || i || '@example.com', 'City ' || i % 97
  from generate_series(1, 4000) i;
insert into products select i, 'Product ' || i, (i % 400) + 0.99 from generate_series(1, 500) i;
insert into orders select i, i % 4000 + 1, now() - i * interval '1 minute', 'paid', i % 300, repeat('n', 60)
  from generate_series(1, 20000) i;
insert into order_items select i / 3, i % 3, i % 500 + 1, 1 from generate_series(3, 40000) i;
insert into payments select i, i, i % 300, now() from generate_series(1, 12000) i;
insert into contacts select i, 'Contact ' || i, '+49 30 ' || i from generate_series(1, 800) i;
insert into tickets select i, 'Subject ' || i from generate_series(1, 600) i;
insert into ledger select i, 'A' || i % 9, i from generate_series(1, 500) i;
"""

SETTINGS = {
    "detection-interval-s": "1",
    "pausing-deadline-s": "3",
    "default-group-units": "40",
    "alert-interval-s": "0.5",
    "heartbeat-s": "1",
    "lease-s": "10",
    "outbound-allow": "127.0.0.0/8",
}


class Town:
    """The site with its data sources `shop_db` and `warehouse`."""

    def __init__(self, folder: Path, server: PostgresServer, source: str, target: str) -> None:
        self.server = server
        self.site = Site(folder, **SETTINGS).start()
        self.source, self.target = server.connect(source), server.connect(target)
        self.source.execute(SCHEMA)
        self._busy = _Customers(self.source.info.dsn)
        for name, database, what in (
            ("shop_db", source, "The web shop"),
            ("warehouse", target, "Reporting"),
        ):
            config = server.config(database)
            body = {"name": name, "kind": "postgres", "config": config, "description": what}
            self.site.ask("POST", "/data-sources", body)
        self._busy.start()

    def task(self, name: str, tables: list[str], *, run: bool = True, schema: str = "public", **more: Any) -> str:
        """A submitted task; with `run` it follows the log when this returns."""
        target = {"data_source": "warehouse", "write": "upsert", "schema": schema} | more.pop("target", {})
        definition = {
            "task": name,
            "kind": "whole_database",
            "source": {"data_source": "shop_db", "tables": tables},
            "target": target,
        }
        self.site.ask("POST", "/tasks", definition | more)
        self.site.ask("POST", f"/tasks/{name}/submit", {"note": "first version"})
        if run:
            self.run(name)
        return name

    def run(self, name: str) -> None:
        self.site.command(name, "run")
        self.site.becomes(name, "Running")
        eventually(lambda: self.site.task(name)["task"]["phase"] == "incremental", f"{name} follows the log")

    def pause(self, name: str) -> None:
        self.site.command(name, "pause")
        self.site.becomes(name, "Paused")

    def close(self) -> None:
        self._busy.stop()
        self.site.close()
        self.source.close()
        self.target.close()


class _Customers:
    """They order, at an even pace."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._order, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)
        if self._error is not None:
            raise self._error

    def _order(self) -> None:
        r = random.Random(8)
        number = 1_000_000
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                while not self._stop.wait(0.05):
                    number += 1
                    lines = r.randint(1, 6)
                    with connection.transaction():
                        connection.execute(
                            "insert into orders (id, customer_id, status, total) values (%s, %s, 'new', %s)",
                            (number, r.randint(1, 4000), r.randint(5, 500)),
                        )
                        connection.execute(
                            "insert into order_items select %s, i, i + 1, 1 from generate_series(1, %s) i",
                            (number, lines),
                        )
                        connection.execute(
                            "update orders set status = 'paid' where id = %s", (number - r.randint(1, 40),)
                        )
        except Exception as error:  # noqa: BLE001  raised by stop()
            self._error = error
