"""What is copied and what happens to it: tables and streams of changes, the same at every run of the same size."""

from __future__ import annotations

from dataclasses import dataclass, field

ORDERS = """
create table {table} (
  id bigint primary key, customer int not null, status varchar(20) not null, amount numeric(12, 2) not null,
  created timestamp not null, updated timestamp not null, note text
);
"""

# 60 % inserts, 30 % updates, 10 % deletes in transactions of 1 to 100 rows; half of the updates hit a recent tenth.
MIXED = """
create procedure change(total bigint, base bigint) language plpgsql as $$
declare
  done bigint := 0; newest bigint := base; gone bigint := 0; left_in int; dice float8; k bigint;
begin
  perform setseed(0.42);
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
begin
  perform setseed(0.1);
  for i in 1..total loop
    update orders set amount = amount + 1, status = 'shipped',
      updated = timestamp '2025-01-01' + make_interval(secs => i / 1000.0) where id = 1 + floor(random() * 1000)::int;
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


NOTHING = "create procedure change(total bigint, base bigint) language sql as ''"


@dataclass(frozen=True)
class Workload:
    """`{base}` rows in each table, then `changes` changes made by the procedure `change`."""

    name: str
    procedure: str
    base: int
    changes: int
    tables: tuple[str, ...] = field(default=("orders",))

    def schema(self) -> str:
        return "".join(ORDERS.format(table=table) for table in self.tables)

    def rows(self) -> str:
        """Statements that fill the tables."""
        return "".join(
            f"""
            insert into {table} select i, (hashint8(i) & 2147483647) % 200000,
              (array['new', 'paid', 'packed', 'shipped', 'delivered', 'returned'])[1 + (hashint8(i + 7) & 1023) % 6],
              ((hashint8(i * 3) & 2147483647) % 10000000)::numeric / 100,
              timestamp '2024-01-01' + make_interval(secs => i % 31536000 + (hashint8(i) & 1048575) / 1000000.0),
              timestamp '2024-06-01' + make_interval(secs => i % 31536000),
              case when i % 50 = 0 then null
              else 'note ' || left(md5(i::text) || md5((i + 1)::text), 30 + (i % 11)::int) end
            from generate_series(1, {self.base}) i;
            """
            for table in self.tables
        )

    def mark(self, id: int) -> str:
        """The last change, by which the end is known."""
        return f"insert into {self.tables[0]} values ({id}, 1, 'END', 0, now(), now(), 'END')"


def workloads(scale: float) -> dict[str, Workload]:
    base, changes = int(2_000_000 * scale), int(1_000_000 * scale)
    made = (
        Workload("mixed", MIXED, base, changes),
        Workload("inserts", INSERTS, base // 20, changes),
        Workload("hot", HOT, base // 20, changes),
        Workload("huge", HUGE, base // 20, changes // 2),
        Workload("live", NOTHING, 100_000, 0),
    )
    return {workload.name: workload for workload in made}
