"""The same shop on a MariaDB: its tables and rows, the ledger its triggers keep, and how its people speak to it. Where
PostgreSQL has types of its own there are others here, and order items are deleted by who deletes an order: rows that a
foreign key deletes are in no log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tidegate.demo import shop, workload
from tidegate.testing.mariadb import MariadbServer
from tidegate.testing.mariadb_session import MariadbSession

_SCHEMA = """
create database ledger;
create table shop.customers (
  id uuid primary key,
  name varchar(100) not null,
  email varchar(100) not null,
  active boolean not null default true,
  joined_at timestamp(6) not null default current_timestamp(6),
  preferences json
);
create table shop.products (
  sku varchar(60) collate utf8mb4_bin primary key,
  title varchar(100) not null,
  description longtext not null,
  price decimal(10, 2) not null,
  stock int not null,
  tags text not null default ''
);
create table shop.orders (
  id bigint primary key,
  version int not null default 1,
  customer uuid not null references shop.customers (id),
  state enum('new', 'paid', 'packed', 'sent', 'returned') not null default 'new',
  total decimal(12, 2) not null,
  placed_at timestamp(6) not null default current_timestamp(6),
  note text
);
create table shop.order_items (
  order_id bigint not null references shop.orders (id),
  line smallint not null,
  sku varchar(60) collate utf8mb4_bin not null references shop.products (sku),
  quantity int not null,
  price decimal(10, 2) not null,
  primary key (order_id, line)
);
create table shop.visits (
  day date not null,
  id bigint not null,
  page varchar(100) not null,
  seconds float,
  primary key (day, id)
) partition by range columns (day) (
  partition october values less than ('2026-11-01'),
  partition november values less than ('2026-12-01'),
  partition later values less than (maxvalue)
);
create table ledger.orders (
  number bigint auto_increment primary key, op varchar(9) not null, id bigint not null, version int
);
create table ledger.changes (number bigint auto_increment primary key, `rows` int not null);

insert into shop.customers
select concat_ws('-', left(hash, 8), mid(hash, 9, 4), concat('4', mid(hash, 14, 3)), concat('8', mid(hash, 18, 3)),
                 right(hash, 12)),
       concat('Customer ', seq), concat('customer', seq, '@example.org'), seq % 17 <> 0,
       timestamp'2020-01-01 00:00:00' + interval seq * 61 minute,
       if(seq % 3 = 0, null, json_object('newsletter', seq % 2 = 0, 'visits', seq))
  from (select seq, md5(concat('customer ', seq)) as hash from mysql.seq_1_to_{customers}) c;
insert into shop.products
select concat('SKU-', lpad(seq, 5, '0')), concat('Product ', seq, if(seq % 50 = 0, ' – Größe Ü, 特价', '')),
       repeat(concat(md5(seq), ' '), 80), (seq % 997) + 0.99, seq % 500, if(seq % 4 = 0, '', concat('tag ', seq % 7))
  from mysql.seq_1_to_{products};
insert into shop.orders
select o.seq, 1, c.id, elt(1 + o.seq % 4, 'new', 'paid', 'packed', 'sent'), (o.seq % 90000) / 7.0,
       timestamp'2026-09-01 00:00:00' + interval o.seq * 11 second,
       if(o.seq % 9 = 0, concat('Leave it with the neighbour, No. ', o.seq), null)
  from mysql.seq_1_to_{orders} o
  join (select id, row_number() over (order by id) as place from shop.customers) c
    on c.place = 1 + o.seq * 7919 % {customers};
insert into shop.order_items
select o.seq, line.seq, concat('SKU-', lpad(1 + (o.seq * 31 + line.seq * 17) % {products}, 5, '0')), 1 + o.seq % 5,
       (o.seq % 997) + 0.99
  from mysql.seq_1_to_{orders} o join mysql.seq_1_to_3 line on line.seq <= 1 + o.seq % 3;
insert into shop.visits
select '2026-10-01' + interval (seq % 80) day, seq, concat('/product/', seq % 1000), (seq % 700) / 3.0
  from mysql.seq_1_to_{visits};

create trigger shop.placed after insert on shop.orders for each row
  insert into ledger.orders (op, id, version) values ('insert', new.id, new.version);
create trigger shop.moved after update on shop.orders for each row
  insert into ledger.orders (op, id, version) values ('update', new.id, new.version);
create trigger shop.gone after delete on shop.orders for each row
  insert into ledger.orders (op, id, version) values ('delete', old.id, null);
"""

# How the values of the shop's columns are spelled as in DuckDB, for the proof.
ALIKE: Mapping[str, str] = {
    "uuid": "cast({0} as char)",
    "text": "{0}",
    "boolean": "{0}",
    "integer": "{0}",
    "real": "{0} + 0e0",
    "numeric": "cast({0} as char)",
    "date": "cast({0} as char)",
    "time": "timestampdiff(microsecond, '1970-01-01', {0})",
    "array": "{0}",
    "enum": "cast({0} as char)",
    "json": "{0}",
}


def fill(connection: MariadbSession) -> int:
    """Make the shop's tables and rows; how many rows there are. The ledger begins after them."""
    text = _SCHEMA
    for name, count in shop.SIZES.items():
        text = text.replace(f"{{{name}}}", str(count))
    for statement in text.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    return sum(_number(connection, f"select count(*) from shop.{table}") for table in shop.TABLES)


def _number(connection: MariadbSession, query: str) -> int:
    ((found,),) = connection.execute(query).fetchall()
    return int(found)


class MariadbShopper(workload.Shopper):
    """The same people, in MariaDB's words."""

    NOW = "current_timestamp(6)"

    def change_price(self) -> int:
        return int(
            self.connection.execute(
                "update shop.products set price = price + 0.01, stock = stock - 1, tags = concat(left(tags, 500), %s)"
                " where sku = %s",
                [self.random.choice([" sale", "", ' with "quotes", and {braces}']), self.random.choice(self.products)],
            ).rowcount
        )

    def forget_visits(self) -> int:
        return int(self.connection.execute("delete from shop.visits partition (october) limit 5").rowcount)


class MariadbOrigin:
    """See `origin.Origin`."""

    kind = "mariadb"
    follower = "replica"
    tells_commit_times = False
    alike: Mapping[str, str] = ALIKE

    def __init__(self) -> None:
        """Raises `EnvironmentLacking` where there is no MariaDB."""
        self._server = MariadbServer(fsync=True, settings={"innodb_buffer_pool_size": "128M"})

    @property
    def title(self) -> str:
        return f"MariaDB {'.'.join(map(str, self._server.version))}"

    def start(self, stack: ExitStack) -> int:
        stack.enter_context(self._server).create_database(shop.SCHEMA)
        with self.connect() as connection:
            return fill(connection)

    def config(self) -> dict[str, Any]:
        return self._server.config(shop.SCHEMA)

    def connect(self) -> MariadbSession:
        return MariadbSession.to(self._server.config())

    def people(self) -> tuple[str, str]:
        return __name__, json.dumps(self._server.config())

    def log_end(self, connection: MariadbSession) -> str:
        ((file, offset, *_),) = connection.execute("show master status").fetchall()
        return f"{file}:{offset}"

    def reached(self, position: str, end: str) -> bool:
        return _place(position.partition(";")[0].partition("+")[0]) >= _place(end)

    def followers(self, connection: MariadbSession) -> int:
        return _number(connection, "select count(*) from information_schema.processlist where command = 'Binlog Dump'")


def _place(text: str) -> tuple[int, int]:
    """A file of the log and an offset in it: log.000007:4711."""
    file, offset = text.rsplit(":", 1)
    return int(file.rpartition(".")[2]), int(offset)


if __name__ == "__main__":
    workload.attend(lambda address: MariadbSession.to(json.loads(address)), MariadbShopper)
