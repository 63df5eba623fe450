"""The shop the demo synchronizes: its tables, its first rows, and a ledger of what is done to its orders that the
database itself keeps, so that nobody has to believe the workload."""

from __future__ import annotations

from typing import Any

import psycopg

SOURCE = "shop"
WAREHOUSE = "warehouse"
SCHEMA = "shop"
TABLES = ("customers", "products", "orders", "order_items", "visits")
KEYS = {
    "customers": ("id",),
    "products": ("sku",),
    "orders": ("id",),
    "order_items": ("order_id", "line"),
    "visits": ("day", "id"),
}

# `version` counts an order's changes: with it the ledger can say which change of which order arrived.
# `extended` storage without compression keeps the descriptions out of line, where an update that leaves them alone
# does not repeat them in the log.
_SCHEMA = """
create schema shop;

create table shop.customers (
  id uuid primary key,
  name text not null,
  email text not null,
  active boolean not null default true,
  joined_at timestamptz not null,
  preferences jsonb
);

create table shop.products (
  sku text primary key,
  title text not null,
  description text not null,
  price numeric(10, 2) not null,
  stock integer not null,
  tags text[] not null default '{}'
);
alter table shop.products alter column description set storage external;

create type shop.order_state as enum ('new', 'paid', 'packed', 'sent', 'returned');

create table shop.orders (
  id bigint primary key,
  version integer not null default 1,
  customer uuid not null references shop.customers,
  state shop.order_state not null default 'new',
  total numeric(12, 2) not null,
  placed_at timestamptz not null,
  note text
);

create table shop.order_items (
  order_id bigint not null references shop.orders on delete cascade,
  line smallint not null,
  sku text not null references shop.products,
  quantity integer not null,
  price numeric(10, 2) not null,
  primary key (order_id, line)
);
create index on shop.order_items (sku);

create table shop.visits (
  day date not null,
  id bigint not null,
  page text not null,
  seconds real,
  primary key (day, id)
) partition by range (day);
create table shop.visits_2026_10 partition of shop.visits for values from ('2026-10-01') to ('2026-11-01');
create table shop.visits_2026_11 partition of shop.visits for values from ('2026-11-01') to ('2026-12-01');
create table shop.visits_2026_12 partition of shop.visits for values from ('2026-12-01') to ('2027-01-01');

create schema ledger;

create table ledger.orders (
  number bigint generated always as identity primary key,
  op text not null,
  id bigint not null,
  version integer
);

create function ledger.note() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    insert into ledger.orders (op, id, version) values ('delete', old.id, null);
  else
    insert into ledger.orders (op, id, version) values (lower(tg_op), new.id, new.version);
  end if;
  return null;
end $$;

create table ledger.changes (
  number bigint generated always as identity primary key,
  rows integer not null
);
"""

_ROWS = """
insert into shop.customers
select md5('customer ' || n)::uuid, 'Customer ' || n, 'customer' || n || '@example.org', n % 17 <> 0,
       timestamptz '2020-01-01 00:00:00+00' + n * interval '61 minutes',
       case when n % 3 = 0 then null else jsonb_build_object('newsletter', n % 2 = 0, 'visits', n) end
  from generate_series(1, %(customers)s) n;

insert into shop.products
select 'SKU-' || lpad(n::text, 5, '0'), 'Product ' || n || case when n % 50 = 0 then ' – Größe Ü, 特价' else '' end,
       (select string_agg(md5(n || ' ' || k), ' ') from generate_series(1, 80) k), (n % 997) + 0.99, n % 500,
       case when n % 4 = 0 then '{}' else array['tag ' || n % 7, 'even'] end
  from generate_series(1, %(products)s) n;

insert into shop.orders
select n, 1, md5('customer ' || (1 + n * 7919 % %(customers)s))::uuid,
       (array['new', 'paid', 'packed', 'sent'])[1 + n % 4]::shop.order_state,
       (n % 90000) / 7.0, timestamptz '2026-09-01 00:00:00+00' + n * interval '11 seconds',
       case when n % 9 = 0 then 'Leave it with the neighbour, No. ' || n end
  from generate_series(1, %(orders)s) n;

insert into shop.order_items
select n, line, 'SKU-' || lpad((1 + (n * 31 + line * 17) % %(products)s)::text, 5, '0'), 1 + n % 5, (n % 997) + 0.99
  from generate_series(1, %(orders)s) n, generate_series(1, 1 + n % 3) line;

insert into shop.visits
select date '2026-10-01' + (n % 80)::integer, n, '/product/' || n % 1000, (n % 700) / 3.0
  from generate_series(1, %(visits)s) n;

create trigger note after insert or update or delete on shop.orders for each row execute function ledger.note();
analyze;
"""

SIZES = {"customers": 5_000, "products": 2_000, "orders": 40_000, "visits": 40_000}


def fill(connection: psycopg.Connection[Any]) -> int:
    """Make the shop's tables and rows; how many rows there are. The ledger begins after them."""
    rows = _ROWS
    for name, count in SIZES.items():
        rows = rows.replace(f"%({name})s", str(count))
    connection.execute((_SCHEMA + rows).encode())
    counts = [connection.execute(f"select count(*) from shop.{table}".encode()).fetchone() for table in TABLES]
    return sum(count[0] for count in counts if count is not None)
