"""What is copied and what happens to it: tables and streams of changes, the same at every run of the same size."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is measured of a workload."""

    CATCH_UP = "catch_up"
    THIN = "thin"
    COPY = "copy"
    DECODE = "decode"


@dataclass(frozen=True)
class Shape:
    """Tables of one form. `fill` gives the rows 1 to `{base}` of `{table}`, `mark` the values after a row's id."""

    create: str
    fill: str
    mark: str


ORDERS = Shape(
    """
create table {table} (
  id bigint primary key, customer int not null, status varchar(20) not null, amount numeric(12, 2) not null,
  created timestamp not null, updated timestamp not null, note text
);
""",
    """
insert into {table} select i, (hashint8(i) & 2147483647) % 200000,
  (array['new', 'paid', 'packed', 'shipped', 'delivered', 'returned'])[1 + (hashint8(i + 7) & 1023) % 6],
  ((hashint8(i * 3) & 2147483647) % 10000000)::numeric / 100,
  timestamp '2024-01-01' + make_interval(secs => i % 31536000 + (hashint8(i) & 1048575) / 1000000.0),
  timestamp '2024-06-01' + make_interval(secs => i % 31536000),
  case when i % 50 = 0 then null
  else 'note ' || left(md5(i::text) || md5((i + 1)::text), 30 + (i % 11)::int) end
from generate_series(1, {base}) i;
""",
    "1, 'END', 0, now(), now(), 'END'",
)

NARROW = Shape(
    "create table {table} (id bigint primary key, amount int not null);",
    "insert into {table} select i, i % 1000 from generate_series(1, {base}) i;",
    "0",
)

_WIDE_TYPES = ("int", "numeric(12, 2)", "timestamp", "varchar(20)", "bigint")
_WIDE_VALUES = (
    "(i * {n} % 100000)::int",
    "(i * {n} % 1000000) / 100.0",
    "timestamp '2025-01-01' + make_interval(secs => i % 86400 + {n})",
    "'value ' || (i * {n}) % 1000",
    "i * {n}",
)
WIDE_ROW = ", ".join(_WIDE_VALUES[n % 5].format(n=n) for n in range(1, 100))
"""Of the number `i`."""

WIDE = Shape(
    "create table {table} (id bigint primary key, "
    + ", ".join(f"c{n} {_WIDE_TYPES[n % 5]}" for n in range(1, 100))
    + ");",
    "insert into {table} select i, " + WIDE_ROW + " from generate_series(1, {base}) i;",
    ", ".join(["null"] * 99),
)

# Kept outside the row, and as they are: what is measured is not how well they can be compressed.
TOAST = Shape(
    "create table {table} (id bigint primary key, revision int not null, body text not null);"
    "alter table {table} alter column body set storage external;",
    "insert into {table} select i, 0, repeat(md5(i::text), 250) from generate_series(1, {base}) i;",
    "0, 'END'",
)

# 60 % inserts, 30 % updates, 10 % deletes in transactions of 1 to 100 rows; half of the updates hit a recent tenth.
# Called again, it goes on.
MIXED = """
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  done bigint := 0; newest bigint; gone bigint := 0; left_in int; dice float8; k bigint;
begin
  select max(id) into newest from orders;
  left_in := 1 + floor(random() * 100)::int;
  while done < total loop
    dice := random();
    if dice < 0.6 then
      newest := newest + 1;
      insert into orders values (newest, (newest * 31) % 200000, 'new', ((newest * 37) % 1000000) / 100.0,
        timestamp '2025-01-01' + make_interval(secs => done / 1000.0),
        timestamp '2025-01-01' + make_interval(secs => done / 1000.0),
        'note ' || left(md5(newest::text) || md5((newest + 1)::text), 30 + (newest % 11)::int));
    elsif dice < 0.9 then
      if random() < 0.5 then k := newest - floor(random() * base / 10)::bigint;
      else k := 1 + floor(random() * base)::bigint; end if;
      update orders set status = 'shipped', amount = amount + 1,
        updated = timestamp '2025-01-01' + make_interval(secs => done / 1000.0) where id = k;
      if not found then continue; end if;
    else
      gone := gone + 1;
      delete from orders where id = 1 + (gone * 7919) % base;
      if not found then continue; end if;
    end if;
    done := done + 1;
    left_in := left_in - 1;
    if left_in = 0 then
      commit;
      left_in := 1 + floor(random() * 100)::int;
    end if;
  end loop;
end $$;
"""

INSERTS = """
create procedure change(total bigint, base bigint) language plpgsql as $$
begin
  for i in 1..total loop
    insert into orders values (base + i, i % 200000, 'new', (i % 1000000) / 100.0,
      timestamp '2025-01-01' + make_interval(secs => i / 1000.0), timestamp '2025-01-01', 'note ' || md5(i::text));
    if i % 50 = 0 then commit; end if;
  end loop;
end $$;
"""

HOT = """
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  hot bigint;
begin
  for i in 1..total loop
    hot := 1 + floor(random() * 1000)::int;  -- in the statement itself it would be another for each row of the table
    update orders set amount = amount + 1, status = 'shipped',
      updated = timestamp '2025-01-01' + make_interval(secs => i / 1000.0) where id = hot;
    if i % 50 = 0 then commit; end if;
  end loop;
end $$;
"""

HUGE = """
create procedure change(total bigint, base bigint) language plpgsql as $$
begin
  insert into orders select base + i, i % 200000, 'new', (i % 1000000) / 100.0,
    timestamp '2025-01-01' + make_interval(secs => i / 1000.0), timestamp '2025-01-01', 'note ' || md5(i::text)
    from generate_series(1, total) i;
end $$;
"""

# Transactions of 1 to 10 statements, each of ten rows of any of the tables: 60 % insert, 30 % update, 10 % delete.
MANY = """
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  done bigint := 0; newest bigint[] := array_fill(base, array[100]); gone bigint[] := array_fill(0::bigint, array[100]);
  t int; dice float8; k bigint; n bigint; left_in int := 1;
begin
  while done < total loop
    t := 1 + floor(random() * 100)::int;
    dice := random();
    if dice < 0.6 then
      execute format('insert into t%s select i, i %% 1000 from generate_series(%s, %s) i', t, newest[t] + 1,
        newest[t] + 10);
      newest[t] := newest[t] + 10;
    elsif dice < 0.9 then
      k := gone[t] + floor(random() * (newest[t] - gone[t] - 10))::bigint;
      execute format('update t%s set amount = amount + 1 where id between %s and %s', t, k + 1, k + 10);
    elsif gone[t] + 10 < base then
      execute format('delete from t%s where id between %s and %s', t, gone[t] + 1, gone[t] + 10);
      gone[t] := gone[t] + 10;
    else
      continue;
    end if;
    get diagnostics n = row_count;
    done := done + n;
    left_in := left_in - 1;
    if left_in = 0 then
      commit;
      left_in := 1 + floor(random() * 10)::int;
    end if;
  end loop;
end $$;
"""

# As MIXED, of rows with a hundred columns; an update changes three of them.
WIDELY = f"""
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  i bigint := base; done bigint := 0; gone bigint := 0; k bigint; dice float8;
begin
  while done < total loop
    dice := random();
    if dice < 0.6 then
      i := i + 1;
      insert into wide values (i, {WIDE_ROW});
    elsif dice < 0.9 then
      k := gone + 1 + floor(random() * (i - gone))::bigint;
      update wide set c1 = c1 + 1, c3 = 'changed', c50 = done where id = k;
    else
      gone := gone + 1;
      delete from wide where id = gone;
    end if;
    if not found then continue; end if;
    done := done + 1;
    if done % 50 = 0 then commit; end if;
  end loop;
end $$;
"""

# Texts of 8 kB: 60 % updates that leave them alone, 10 % that do not, 20 % inserts, 10 % deletes.
HEAVY = """
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  newest bigint := base; done bigint := 0; gone bigint := 0; dice float8; k bigint;
begin
  while done < total loop
    dice := random();
    k := gone + 1 + floor(random() * (newest - gone))::bigint;
    if dice < 0.6 then
      update documents set revision = revision + 1 where id = k;
    elsif dice < 0.7 then
      update documents set revision = revision + 1, body = repeat(md5(done::text), 250) where id = k;
    elsif dice < 0.9 then
      newest := newest + 1;
      insert into documents values (newest, 0, repeat(md5(newest::text), 250));
    else
      gone := gone + 1;
      delete from documents where id = gone;
    end if;
    if not found then continue; end if;
    done := done + 1;
    if done % 50 = 0 then commit; end if;
  end loop;
end $$;
"""


@dataclass(frozen=True)
class Workload:
    """`base` rows in each table, then `changes` changes made by the procedure `change`."""

    name: str
    kind: Kind
    base: int
    changes: int = 0
    procedure: str = "create procedure change(total bigint, base bigint) language sql as ''"
    shape: Shape = ORDERS
    tables: tuple[str, ...] = ("orders",)
    part: int = 0
    """So many of the changes come first and end with a mark of their own, for who would take too long for all."""
    once: bool = False
    """Whether one repetition will do."""

    def schema(self) -> str:
        return "".join(self.shape.create.format(table=table) for table in self.tables)

    def rows(self) -> str:
        """Statements that fill the tables."""
        return "".join(self.shape.fill.format(table=table, base=self.base) for table in self.tables)

    def mark(self, id: int) -> str:
        """A last change, by which an end is known."""
        return f"insert into {self.tables[0]} values ({id}, {self.shape.mark})"


def workloads(scale: float) -> dict[str, Workload]:
    rows = int(2_000_000 * scale)
    made = (
        Workload("decode", Kind.DECODE, 0, int(min(300_000, 3_000_000 * scale))),
        Workload("full", Kind.COPY, rows),
        Workload("lake", Kind.COPY, rows),
        Workload("mixed", Kind.CATCH_UP, rows, rows // 2, MIXED, part=int(100_000 * min(1.0, 3 * scale))),
        Workload("inserts", Kind.CATCH_UP, rows // 20, rows // 2, INSERTS),
        Workload("hot", Kind.CATCH_UP, rows // 20, rows // 2, HOT),
        Workload("huge", Kind.CATCH_UP, rows // 20, rows // 4, HUGE),
        Workload("giant", Kind.CATCH_UP, rows // 20, 5 * rows // 2, HUGE, once=True),
        Workload(
            "narrow100",
            Kind.CATCH_UP,
            max(100, rows // 500),
            rows // 4,
            MANY,
            NARROW,
            tuple(f"t{n}" for n in range(1, 101)),
        ),
        Workload("wide", Kind.CATCH_UP, rows // 100, rows // 20, WIDELY, WIDE, ("wide",)),
        Workload("toast", Kind.CATCH_UP, rows // 100, rows // 20, HEAVY, TOAST, ("documents",)),
        Workload("live", Kind.THIN, 100_000),
    )
    return {workload.name: workload for workload in made}
