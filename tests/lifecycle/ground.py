"""Stores for the state machine: taken back to their first start in milliseconds, read past the server, watched by
triggers that note every change of a state, and made to fail before or after a transaction takes effect."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg

from lifecycle.world import Installation
from tidegate.errors import StoreUnavailable
from tidegate.store.opening import Store, open_store
from tidegate.store.tables import metadata

# (task, from, to) of every row that came or changed its state, whoever wrote it.
_WATCH_SQLITE = """
create table state_log (id integer primary key autoincrement, task_id integer, state_from text, state_to text);
create trigger state_made after insert on task begin
  insert into state_log (task_id, state_from, state_to) values (new.id, null, new.state); end;
create trigger state_changed after update of state on task when old.state <> new.state begin
  insert into state_log (task_id, state_from, state_to) values (new.id, old.state, new.state); end;
"""
_WATCH_POSTGRES = """
create table state_log (id bigserial primary key, task_id bigint, state_from text, state_to text);
create table commits (n bigint);
insert into commits values (0);
create function note_state() returns trigger language plpgsql as $$ begin
  if tg_op = 'INSERT' then insert into state_log (task_id, state_to) values (new.id, new.state);
  elsif old.state <> new.state then
    insert into state_log (task_id, state_from, state_to) values (new.id, old.state, new.state);
  end if;
  return null; end $$;
create trigger state_noted after insert or update on task for each row execute function note_state();
create function note_change() returns trigger language plpgsql as $$ begin
  update commits set n = n + 1; return null; end $$;
"""


class Ground(Protocol):
    """`home` is the server's data directory."""

    home: Path
    store: Store
    failing: Failing

    def reset(self) -> None:
        """As at the first start."""

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read past the server; `?` stands for a value."""

    def commits(self) -> int:
        """Another number whenever anything was changed."""

    def close(self) -> None: ...


class Failing:
    """Makes one commit of a store fail: before it takes effect, or after, when whoever waits for it is told that it
    failed although it happened."""

    def __init__(self, store: Store, error: Exception) -> None:
        dialect = store.database._engine.dialect
        self._error = error
        self._armed: tuple[str, int] | None = None
        self.struck = ""
        commit = dialect.do_commit

        def failing_commit(connection: Any) -> None:
            when = self._due()
            if when == "before":
                raise self._error
            commit(connection)
            if when == "after":
                raise self._error

        dialect.do_commit = failing_commit  # type: ignore[method-assign]  # of this one engine

    def _due(self) -> str:
        if self._armed is None:
            return ""
        when, left = self._armed
        self._armed = (when, left - 1) if left else None
        if not left:
            self.struck = when
        return "" if left else when

    @contextlib.contextmanager
    def once(self, when: str, after: int = 0) -> Iterator[None]:
        """Within, the commit after `after` others fails; `struck` says whether it came to that. What the store raises
        is swallowed here, as by somebody who tries again later."""
        self._armed, self.struck = (when, after), ""
        try:
            with contextlib.suppress(StoreUnavailable):
                yield
        finally:
            self._armed = None


class SqliteGround(Installation):
    def __init__(self, home: Path, units: int) -> None:
        super().__init__(home, units)
        self.failing = Failing(self.store, sqlite3.OperationalError("disk I/O error"))
        self._raw = self.connect()
        self._raw.executescript(_WATCH_SQLITE)
        self._raw.backup(self._pristine)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._raw.execute(query, values).fetchall()

    def commits(self) -> int:
        found: int = self._raw.execute("pragma data_version").fetchone()[0]
        return found

    def close(self) -> None:
        self._raw.close()
        super().close()


class PostgresGround:
    """`url` is an empty database's."""

    def __init__(self, home: Path, url: str, units: int) -> None:
        self.home = home
        self.store = open_store(home, url=url, environment={}, default_units=units)
        self.failing = Failing(self.store, psycopg.OperationalError("the connection was lost"))
        self._raw = psycopg.connect(url, autocommit=True)
        self._raw.execute(_WATCH_POSTGRES)
        tables = [table.name for table in metadata.sorted_tables]
        for table in tables:
            self._raw.execute(
                f"create trigger change_noted after insert or update or delete on {table} "
                "for each statement execute function note_change()"
            )
        # Written with the first start, and never changed by the machine.
        kept = ("setting", "project")
        self._again = f"truncate {', '.join(t for t in [*tables, 'state_log'] if t not in kept)} restart identity"
        self._group = self._raw.execute(
            "select name, engine, units, description, version from resource_group"
        ).fetchone()

    def reset(self) -> None:
        with self._raw.transaction():
            self._raw.execute(self._again)
            self._raw.execute(
                "insert into resource_group (name, engine, units, description, version) values (%s, %s, %s, %s, %s)",
                self._group,
            )

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._raw.execute(query.replace("?", "%s"), values).fetchall()  # type: ignore[arg-type]

    def commits(self) -> int:
        found: int = self.rows("select n from commits")[0][0]
        return found

    def close(self) -> None:
        self._raw.close()
        self.store.close()
