"""Records what a real server says, for the tests to read: `PYTHONPATH=tests python -m decode.record`.

Writes to `recorded/` the messages, in frames, and the rows the tables hold at the end. Run it again when a new
version of PostgreSQL says things in another way.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from decode.streams import frames
from tidegate.testing.servers import PostgresServer, newest

RECORDED = Path(__file__).with_name("recorded")

# Table, and its key at a target (none: it is kept as a log).
KEYS = {"orders": ["id"], "places": ["land", "name"], "visits": []}

SETUP = """
create type state as enum ('new', 'paid', 'ströntium');
create table orders (id bigint primary key, state state, total numeric(12, 2), at timestamptz, document text);
alter table orders alter document set storage external;
create table places (name text, land text, people int, document text, primary key (land, name));
alter table places alter document set storage external;
alter table places alter name set storage external;
create table visits (who text, at timestamp);
alter table visits replica identity full;
create publication told for all tables;
set timezone = 'UTC';
"""

# One statement, one transaction; some are several.
HISTORY = (
    "insert into orders select n, 'new', n * 1.25, '2026-11-22 10:00+00', 'short' from generate_series(1, 12) n",
    "insert into orders values (100, null, null, 'infinity', repeat('größe', 800))",
    "insert into orders values (101, 'ströntium', 'NaN', null, '')",
    "update orders set state = 'paid' where id in (1, 2, 100)",
    "update orders set id = 200 where id = 100",
    "update orders set id = 201, document = 'new' where id = 101",
    "delete from orders where id between 3 and 5",
    "insert into places values ('Köln', 'de', 1, repeat('x', 3000)), ('東京', 'jp', null, null), ('', '', 0, '')",
    "insert into places values (repeat('a name that is long', 120), 'xx', 1, 'd')",
    "update places set people = 2",
    "update places set land = 'nrw' where name = 'Köln'",
    "update places set land = 'yy' where land = 'xx'",
    "insert into visits select 'she', timestamp '2026-11-22 10:00' + n * interval '1 s' from generate_series(1, 4) n",
    "update visits set who = null where at > '2026-11-22 10:00:03'",
    "delete from visits where at = '2026-11-22 10:00:01'",
    "insert into visits values ('she', null), ('she', null)",
    "select pg_logical_emit_message(true, 'tests', 'a message of its own')",
    "begin; insert into orders (id) values (300); savepoint s; insert into orders (id) values (301); rollback to s; "
    "insert into orders (id) values (302); update orders set document = repeat('y', 3000) where id = 300; commit",
    "alter table orders add extra text default 'x'",
    "update orders set state = 'new' where id in (200, 300)",
    "begin; delete from places where land = 'jp'; truncate places; "
    "insert into places values ('after', 'xx', 1, repeat('z', 3000)); commit",
    "update places set people = 5",
    "alter table orders drop total",
    "update orders set extra = 'ä' where id > 300",
    "begin; update orders set id = id + 1000 where id = 300; update orders set id = id - 1000 where id = 1300; commit",
)


def main() -> None:
    RECORDED.mkdir(exist_ok=True)
    with PostgresServer(newest()) as server:
        server.create_database("told")
        with server.connect("told") as connection:
            execute(connection, SETUP)
            for slot in ("whole", "streamed"):
                connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,))
            for statement in HISTORY:
                execute(connection, statement)
            write("whole", connection, "'proto_version', '1', 'messages', 'true'")
            connection.execute("set debug_logical_replication_streaming = immediate")
            write("streamed", connection, "'proto_version', '4', 'streaming', 'parallel'")
            rows = {table: held(connection, table) for table in KEYS}
    (RECORDED / "rows.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")


def execute(connection: psycopg.Connection[Any], statements: str) -> None:
    for statement in statements.split(";"):
        if statement.strip():
            connection.execute(statement.encode())


def write(slot: str, connection: psycopg.Connection[Any], options: str) -> None:
    asked = f"select data from pg_logical_slot_get_binary_changes('{slot}', null, null, 'publication_names', 'told', "
    with connection.cursor(binary=True) as cursor:
        messages = [data for (data,) in cursor.execute((asked + options + ")").encode())]
    (RECORDED / f"{slot}.bin").write_bytes(frames(*messages))


def held(connection: psycopg.Connection[Any], table: str) -> list[list[str | None]]:
    names = [
        name
        for (name,) in connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
            "order by attnum",
            (table,),
        )
    ]
    listed = ", ".join(f"{name}::text" for name in names)
    return [list(row) for row in connection.execute(f"select {listed} from {table} order by {table}::text".encode())]


if __name__ == "__main__":
    main()
