"""People buying in the shop: a process that commits inserts, updates and deletes until its standard input ends.

`python -m tidegate.demo.workload` reads the database from TIDEGATE_DEMO_SHOP (a connection string) and the seed from
its first argument. When it ends it writes what it committed as one JSON line.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg

TRANSACTIONS_PER_S = 120
ENVIRONMENT = "TIDEGATE_DEMO_SHOP"


class Shopper:
    """One connection, PostgreSQL's or one with its methods, and what it knows of the shop. Every method is the body of
    one transaction and returns how many rows it changed in replicated tables."""

    NOW = "clock_timestamp()"

    def __init__(self, connection: psycopg.Connection[Any], seed: int) -> None:
        self.connection = connection
        self.random = random.Random(seed)  # noqa: S311
        self.orders = [row[0] for row in connection.execute("select id from shop.orders order by id")]
        self.customers = [row[0] for row in connection.execute("select id from shop.customers order by id")]
        self.products = [row[0] for row in connection.execute("select sku from shop.products order by sku")]
        self.next_order = max(self.orders, default=0) + 1
        self.next_visit = 10_000_000
        self.undo: list[int] = []

    def place_order(self) -> int:
        number, self.next_order = self.next_order, self.next_order + 1
        customer, lines = self.random.choice(self.customers), self.random.randint(1, 4)
        columns = "id, customer, total, placed_at, note"
        self.connection.execute(
            f"insert into shop.orders ({columns}) values (%s, %s, %s, {self.NOW}, %s)".encode(),
            [
                number,
                customer,
                self.random.randint(1, 10_000_000) / 100,
                self.random.choice([None, "", "Bitte ö\tffnen\\"]),
            ],
        )
        for line in range(1, lines + 1):
            self.connection.execute(
                "insert into shop.order_items values (%s, %s, %s, %s, 9.99)",
                [number, line, self.random.choice(self.products), self.random.randint(1, 9)],
            )
        self.orders.append(number)
        self.undo.append(number)
        return 1 + lines

    def move_order_on(self) -> int:
        state = self.random.choice(["paid", "packed", "sent", "returned"])
        return self.connection.execute(
            "update shop.orders set state = %s, version = version + 1 where id = %s",
            [state, self.random.choice(self.orders)],
        ).rowcount

    def cancel_order(self) -> int:
        number = self.random.choice(self.orders)
        items = self.connection.execute("delete from shop.order_items where order_id = %s", [number]).rowcount
        return items + self.connection.execute("delete from shop.orders where id = %s", [number]).rowcount

    def close_many_orders(self) -> int:
        first = self.random.choice(self.orders)
        return self.connection.execute(
            "update shop.orders set total = total + 0.01, version = version + 1 where id between %s and %s",
            [first, first + 300],
        ).rowcount

    def change_price(self) -> int:
        """The large description stays as it is."""
        return self.connection.execute(
            "update shop.products set price = price + 0.01, stock = stock - 1, tags = tags || %s where sku = %s",
            [self.random.choice([["sale"], [], ['with "quotes", and {braces}']]), self.random.choice(self.products)],
        ).rowcount

    def rewrite_description(self) -> int:
        text = " ".join(f"{self.random.getrandbits(128):032x}" for _ in range(90))
        return self.connection.execute(
            "update shop.products set description = %s where sku = %s", [text, self.random.choice(self.products)]
        ).rowcount

    def rename_product(self) -> int:
        """The key changes and the large description stays, of a product that nobody has ordered."""
        sku = f"NEW-{uuid.UUID(int=self.random.getrandbits(128))}"
        old = self.connection.execute(
            "select sku from shop.products where sku > %s and sku < 'NEW.' order by sku limit 1", [sku]
        ).fetchone()
        if old is None:
            return self.connection.execute(
                "insert into shop.products (sku, title, description, price, stock) values (%s, 'New', %s, 1, 1)",
                [sku, "x" * 5000 + sku],
            ).rowcount
        return self.connection.execute("update shop.products set sku = %s where sku = %s", [sku, old[0]]).rowcount

    def change_customer(self) -> int:
        return self.connection.execute(
            "update shop.customers set email = %s, active = not active, preferences = %s where id = %s",
            [
                f"{self.random.random()}@example.org",
                self.random.choice([None, '{"a": [1, 2.50, null]}']),
                self.random.choice(self.customers),
            ],
        ).rowcount

    def visit(self) -> int:
        number, self.next_visit = self.next_visit, self.next_visit + 1
        day = f"2026-1{self.random.randint(0, 2)}-{self.random.randint(1, 28):02d}"
        return self.connection.execute(
            "insert into shop.visits values (%s, %s, %s, %s)",
            [day, number, f"/cart/{number}", self.random.choice([None, 0.1, 1e-7, 12345.678])],
        ).rowcount

    def forget_visits(self) -> int:
        return self.connection.execute(
            "delete from shop.visits where ctid = any (array(select ctid from shop.visits_2026_10 limit 5)) "
            "and tableoid = 'shop.visits_2026_10'::regclass"
        ).rowcount


WEIGHTS = {
    "place_order": 34,
    "move_order_on": 30,
    "cancel_order": 8,
    "close_many_orders": 1,
    "change_price": 8,
    "rewrite_description": 2,
    "rename_product": 1,
    "change_customer": 5,
    "visit": 10,
    "forget_visits": 1,
}


class _ChangedMind(Exception):
    """The transaction is rolled back."""


def work(shopper: Shopper, over: threading.Event) -> Counter[str]:
    """Commit transactions at a steady pace until told that it is over; what was committed."""
    connection = shopper.connection
    done: Counter[str] = Counter()
    begun = time.monotonic()
    number = 0
    while not over.wait(max(0.0, begun + number / TRANSACTIONS_PER_S - time.monotonic())):
        number += 1
        changed = 0
        try:
            with connection.transaction():
                for step in shopper.random.choices(
                    list(WEIGHTS), list(WEIGHTS.values()), k=shopper.random.randint(1, 3)
                ):
                    changed += getattr(shopper, step)()
                if shopper.random.random() < 0.03:
                    raise _ChangedMind
                connection.execute("insert into ledger.changes values (default, %s)", [changed])
        except _ChangedMind:
            gone = set(shopper.undo)
            shopper.orders = [order for order in shopper.orders if order not in gone]
            done["rolled_back"] += 1
        else:
            done["transactions"] += 1
            done["changes"] += changed
        shopper.undo.clear()
    return done


def attend(connect: Callable[[str], Any], kind: type[Shopper]) -> None:
    """The process: `connect` is given what the environment says."""
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with connect(os.environ[ENVIRONMENT]) as connection:
        done = work(kind(connection, int(sys.argv[1])), over)
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    attend(lambda address: psycopg.connect(address, autocommit=True, application_name="shop"), Shopper)
