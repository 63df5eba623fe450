"""Replica identities and privileges: what can be followed is, and what cannot is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.pairs import Pair
from tidegate.connect.capability import WriteMode
from tidegate.connect.config import parse_config
from tidegate.connect.target import KeyRange
from tidegate.errors import (
    SourceIdentityMissing,
    SourceKeyDeferrable,
    SourceNoKey,
    SourcePrivilegeMissing,
    TaskInvalid,
    TidegateError,
)
from tidegate.model.schema import TableName
from tidegate.sources.postgres import PostgresSource

KEYED = "create table public.a (id int primary key, n int, t text)"
IDENTITIES = {
    "default": KEYED,
    "full": f"{KEYED}; alter table a replica identity full",
    "index": (
        "create table public.a (id int not null, n int not null, t text);"
        " create unique index by_both on a (n, id); alter table a replica identity using index by_both"
    ),
    "index beside the key": (
        "create table public.a (pk int primary key, id int not null unique, n int, t text);"
        " alter table a replica identity using index a_id_key; alter table a alter pk add generated always as identity"
    ),
    "key with columns in another order and more in its index": (
        "create table public.a (t text, n int, id int, primary key (n, id) include (t))"
    ),
}


@pytest.fixture
def source(pair: Pair) -> Iterator[PostgresSource]:
    source = PostgresSource(pair.source_config)
    yield source
    source.close()


def refused(source: PostgresSource, mode: WriteMode) -> list[Exception]:
    return source.refusals(source.schema(TableName("public", "a")), mode)


@pytest.mark.parametrize("identity", IDENTITIES)
@pytest.mark.parametrize("write", ["upsert", "append"])
def test_updates_and_deletes_are_followed(each_pair: Pair, identity: str, write: str) -> None:
    pair = each_pair
    pair.source.execute(IDENTITIES[identity])
    pair.source.execute("insert into a (id, n, t) select i, i, 't' || i from generate_series(1, 20) i")
    rig = pair.rig(["public.a"], write=write).start().opens().copied()
    pair.source.execute("update a set t = 'changed' where id = 1")
    pair.source.execute("update a set id = 100 where id = 2")
    pair.source.execute("update a set id = 3 - id where id in (1, 100)" if identity == "full" else "update a set n = n")
    pair.source.execute("delete from a where id in (4, 5)")
    pair.source.execute(
        "begin; update a set id = 200 where id = 6; update a set t = 'x', id = 6 where id = 200; commit"
    )
    if write == "upsert":
        rig.reaches(lambda: pair.equal("a"))
        return
    asked = rig.make_source()
    key = ", ".join(asked.schema(TableName("public", "a")).key)
    asked.close()
    rig.reaches(
        lambda: (
            pair.rows(f"select id, n, t from a order by {key}")
            == pair.arrived(
                f"select id, n, t from (select distinct on ({key}) * from a order by {key}, _tidegate_position desc)"
                f" x where _tidegate_op <> 'delete' order by {key}"
            )
        )
    )


def test_the_key_is_that_of_the_identity(pair: Pair, source: PostgresSource) -> None:
    pair.source.execute(IDENTITIES["key with columns in another order and more in its index"])
    assert source.schema(TableName("public", "a")).key == ("n", "id")
    pair.source.execute("drop table a")
    pair.source.execute(IDENTITIES["index beside the key"])
    assert source.schema(TableName("public", "a")).key == ("id",)


@pytest.mark.parametrize(
    ("table", "mode", "wanted", "says"),
    [
        ("create table a (id int)", WriteMode.UPSERT, {SourceNoKey, SourceIdentityMissing}, "no primary key"),
        ("create table a (id int)", WriteMode.APPEND, {SourceIdentityMissing}, "no primary key"),
        (
            "create table a (id int); alter table a replica identity full",
            WriteMode.UPSERT,
            {SourceNoKey},
            "no primary key",
        ),
        ("create table a (id int); alter table a replica identity full", WriteMode.APPEND, set(), ""),
        (
            f"{KEYED}; alter table a replica identity nothing",
            WriteMode.APPEND,
            {SourceIdentityMissing},
            "REPLICA IDENTITY NOTHING",
        ),
        (
            f"{KEYED}; alter table a replica identity nothing",
            WriteMode.UPSERT,
            {SourceIdentityMissing},
            "REPLICA IDENTITY NOTHING",
        ),
        (
            "create table a (id int primary key deferrable)",
            WriteMode.UPSERT,
            {SourceKeyDeferrable},
            "primary key that is deferrable",
        ),
        (
            "create table a (id int primary key deferrable)",
            WriteMode.APPEND,
            {SourceKeyDeferrable},
            "primary key that is deferrable",
        ),
        (
            "create table a (id int primary key deferrable); alter table a replica identity full",
            WriteMode.UPSERT,
            {SourceKeyDeferrable},
            "primary key that is deferrable",
        ),
        (
            "create table a (id int primary key deferrable); alter table a replica identity full",
            WriteMode.APPEND,
            set(),
            "",
        ),
        (
            "create table a (id int primary key deferrable, n int not null unique);"
            " alter table a replica identity using index a_n_key",
            WriteMode.UPSERT,
            set(),
            "",
        ),
        (
            "create table a (id int not null unique); alter table a replica identity using index a_id_key;"
            " alter table a drop constraint a_id_key",
            WriteMode.APPEND,
            {SourceIdentityMissing},
            "index of its replica identity is gone",
        ),
        ("create table a ()", WriteMode.APPEND, {TaskInvalid, SourceIdentityMissing}, "no columns"),
        (
            "create table a (id int, n int) partition by list (id); create table a1 partition of a for values in (1);"
            " alter table a replica identity full",
            WriteMode.APPEND,
            {SourceIdentityMissing},
            "public.a1",
        ),
        (
            "create table a (id int primary key) partition by list (id);"
            " create table a1 partition of a for values in (1); alter table a1 replica identity nothing",
            WriteMode.UPSERT,
            {SourceIdentityMissing},
            "public.a1",
        ),
        (
            "create table a (id int primary key, n int not null) partition by list (id);"
            " create table a1 partition of a for values in (1); create unique index by_n on a1 (n);"
            " alter table a1 replica identity using index by_n",
            WriteMode.UPSERT,
            {SourceIdentityMissing},
            "public.a1 has n as its replica identity, not the key (id)",
        ),
        (
            "create table a (id int, n int) partition by list (id); create table a1 partition of a for values in (1);"
            " alter table a replica identity full; alter table a1 replica identity full",
            WriteMode.APPEND,
            set(),
            "",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(
    pair: Pair, source: PostgresSource, table: str, mode: WriteMode, wanted: set[type], says: str
) -> None:
    pair.source.execute(f"set search_path = public; {table}")
    errors = refused(source, mode)
    assert {type(error) for error in errors} == wanted
    assert not says or any(says in str(error) and "public.a" in str(error) for error in errors)


def test_a_refused_table_is_not_touched(pair: Pair) -> None:
    pair.source.execute("create table public.a (id int); insert into a values (1)")
    rig = pair.rig(["public.a"])
    rig.start()
    assert isinstance(rig.fails(), SourceNoKey)
    assert pair.rows("select count(*) from pg_publication") == [(0,)]
    assert pair.rows(f"select count(*) from pg_replication_slots where slot_name = 'tidegate_{rig.run}'") == [(0,)]
    pair.source.execute("update a set id = 2")


# --- privileges ---


@pytest.fixture
def reader(pair: Pair) -> Iterator[PostgresSource]:
    """A user that is no superuser."""
    pair.server.create_user("reader", attributes="login replication")
    config = parse_config(PostgresSource.Config, pair.server.config(pair.source_name, "reader"), of="src")
    source = PostgresSource(config)
    yield source
    source.close()
    for name in (pair.source_name, pair.target_name):
        pair.server.execute("reassign owned by reader to postgres", name)
        pair.server.execute("drop owned by reader cascade", name)
    pair.server.execute("drop role reader")


def test_an_ordinary_user_with_the_privileges_named_can_run_a_task(pair: Pair, reader: PostgresSource) -> None:
    pair.source.execute(KEYED)
    pair.source.execute("insert into a values (1, 1, 'x')")
    checks = {check.name: check for check in reader.check()}
    assert not checks["privileges"].ok
    assert "GRANT CREATE ON DATABASE" in checks["privileges"].found
    said = [str(error) for error in refused(reader, WriteMode.UPSERT)]
    assert [text.partition(": ")[2].split()[0] for text in said] == ["GRANT", "only"], said
    pair.source.execute(f'grant create on database "{pair.source_name}" to reader')
    pair.source.execute("grant select on a to reader; alter table a owner to reader")
    assert all(check.ok for check in reader.check())
    assert refused(reader, WriteMode.UPSERT) == []
    pair.source_config = reader.config
    rig = pair.rig(["public.a"]).start().opens().copied()
    pair.source.execute("insert into a values (2, 2, 'y')")
    rig.reaches(lambda: pair.equal("a"))
    rig.pause()
    rig.start().opens()
    pair.source.execute("insert into a values (3, 3, 'z')")
    rig.reaches(lambda: pair.equal("a"))


def test_a_user_without_replication_is_told_so(pair: Pair, reader: PostgresSource) -> None:
    pair.source.execute("alter role reader noreplication")
    checks = {check.name: check for check in reader.check()}
    assert 'ALTER ROLE "reader" REPLICATION' in checks["privileges"].found
    assert checks["privileges"].code == SourcePrivilegeMissing.code


def test_a_schema_that_cannot_be_used_is_told(pair: Pair, reader: PostgresSource) -> None:
    pair.source.execute("revoke usage on schema public from public")
    pair.source.execute(KEYED)
    pair.source.execute("alter table a owner to reader")
    assert any("USAGE ON SCHEMA" in str(error) for error in refused(reader, WriteMode.UPSERT))


def test_row_level_security_that_would_hide_rows_is_refused(pair: Pair, reader: PostgresSource) -> None:
    pair.source.execute(KEYED)
    pair.source.execute("insert into a values (1, 1, 'shown'), (2, 2, 'hidden')")
    pair.source.execute("create policy p on a using (t = 'shown'); alter table a enable row level security")
    pair.source.execute(f'grant create on database "{pair.source_name}" to reader; alter table a owner to reader')
    assert refused(reader, WriteMode.UPSERT) == []  # it does not bind the owner
    pair.source_config = reader.config
    rig = pair.rig(["public.a"]).start().opens().copied()
    rig.reaches(lambda: pair.equal("a"))
    pair.source.execute("alter table a force row level security")
    (error,) = refused(reader, WriteMode.UPSERT)
    assert "row level security" in str(error)
    chunk = reader.chunk(reader.schema(TableName("public", "a")), KeyRange(None, None))
    chunk.lock()
    chunk.mark()
    with pytest.raises(SourcePrivilegeMissing):
        list(chunk.rows()[1])
    chunk.close()
    again = pair.rig(["public.a"], target={"schema": "again"})
    again.start()
    failure = again.fails()
    assert isinstance(failure, TidegateError)
    assert failure.code == SourcePrivilegeMissing.code
    assert pair.arrived("select count(*) from again.a") in ([], [(0,)])
