"""A store that an earlier version wrote is brought up to date, with everything that is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from lifecycle.test_commands import at_paused
from lifecycle.world import World
from tidegate.errors import EnvironmentLacking
from tidegate.store.opening import open_store
from tidegate.store.tables import metadata


def scripts() -> Config:
    config = Config()
    config.set_main_option("script_location", "tidegate.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


EARLIER = [script.revision for script in ScriptDirectory.from_config(scripts()).walk_revisions()][:0:-1]
"""Every version but the newest, the first first."""


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))


def written_by(version: str, url: str, world: World) -> None:
    """Make a store of that version with what is in the world's, as far as the version knew it."""
    engine, config = engine_of(url), scripts()
    with engine.begin() as tx, world.store.database.read() as told:
        config.attributes["connection"] = tx
        command.upgrade(config, version)
        old = sa.MetaData()
        old.reflect(tx)
        for table in old.sorted_tables:
            if table.name not in metadata.tables:
                continue
            rows = [dict(row) for row in told.execute(sa.select(metadata.tables[table.name])).mappings()]
            if version < "0003":
                rows = [row for row in rows if row.get("name") != "alert_rules"]
            for row in rows:
                known = {name: value for name, value in row.items() if name in table.c}
                tx.execute(table.insert().values(known | ({"tables": {}} if "tables" in table.c else {})))
            if tx.dialect.name == "postgresql" and "id" in table.c and rows:
                told_to = {"table": f'"{table.name}"', "newest": max(row["id"] for row in rows)}
                tx.execute(sa.text("select setval(pg_get_serial_sequence(:table, 'id'), :newest)"), told_to)
    engine.dispose()


@pytest.mark.parametrize("version", EARLIER)
def test_a_store_of_an_earlier_version_goes_on_where_it_was(
    version: str, world: World, store_url: str, tmp_path: Path
) -> None:
    task = at_paused(world)
    before, events = world.view(task), world.events(task)
    written_by(version, store_url, world)
    store = open_store(world.data_dir, url=store_url, environment={})
    try:
        with store.database.read() as tx:
            assert compare_metadata(MigrationContext.configure(tx), metadata) == []
        later = World(tmp_path, store=store)
        assert (later.view(task).state, later.view(task).run) == (before.state, before.run)
        assert later.events(task) == events
        assert later.control.snapshots(task) == world.control.snapshots(task)
        assert {rule.name for rule in later.control.alert_rules()} >= {"task_down", "log_running_out"}
        later.command(task, "continue")
        later.step()
        assert later.worker().register().snapshot is not None
    finally:
        store.close()


def test_a_store_of_a_version_that_is_not_known_is_refused_and_left_as_it_is(
    world: World, store_url: str, tmp_path: Path
) -> None:
    written_by(EARLIER[-1], store_url, world)
    engine = engine_of(store_url)
    with engine.begin() as tx:
        tx.execute(sa.text("update alembic_version set version_num = '9999'"))
        before = tables(tx)
    with pytest.raises(EnvironmentLacking, match="newer version"):
        open_store(world.data_dir, url=store_url, environment={})
    with engine.begin() as tx:
        assert tables(tx) == before
    engine.dispose()


def tables(tx: sa.Connection) -> dict[str, list[str]]:
    """Each table's columns."""
    seen = sa.inspect(tx)
    return {name: [column["name"] for column in seen.get_columns(name)] for name in seen.get_table_names()}
