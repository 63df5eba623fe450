"""What every metadata store must do, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from lifecycle.world import World, definition
from tidegate.errors import (
    AlreadyRunning,
    EnvironmentLacking,
    Invalid,
    NameTaken,
    NotFound,
    NoUnits,
    SecretKeyWrong,
    StaleVersion,
    StoreUnavailable,
)
from tidegate.model.lifecycle import IllegalMove, State
from tidegate.model.principal import built_in
from tidegate.store import bounded, catalog, moves, runs, tasks
from tidegate.store.database import Database
from tidegate.store.opening import Store, open_store
from tidegate.store.runs import Report
from tidegate.store.tables import key_event, metadata, run, setting, task
from tidegate.testing.servers import PostgresServer


def test_migrations_make_exactly_the_tables_the_program_expects(store: Store) -> None:
    with store.database.read() as tx:
        found = compare_metadata(MigrationContext.configure(tx), metadata)
    assert found == []


def test_a_store_opened_again_is_the_same_one(store: Store, store_url: str, tmp_path: Path) -> None:
    again = open_store(tmp_path, url=store_url, environment={})
    assert again.server_id == store.server_id
    with again.database.read() as tx:
        assert [group.units for group in catalog.list_groups(tx)] == [8]
    again.close()


def test_servers_that_start_at_once_make_one_store(store_url: str, tmp_path: Path) -> None:
    opened: list[Store] = []
    threads = [
        threading.Thread(target=lambda: opened.append(open_store(tmp_path, url=store_url, environment={})))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len({store.server_id for store in opened}) == 1
    assert len(opened) == 4
    for store in opened:
        store.close()


@pytest.mark.parametrize("made_before", [False, True], ids=["new", "open to all before"])
def test_nobody_else_on_the_machine_reads_the_file_whoever_may_enter_its_folder(
    tmp_path: Path, made_before: bool
) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    if made_before:
        (folder / "tidegate.db").touch(mode=0o644)
    store = open_store(folder, environment={})
    try:
        files = sorted(folder.glob("tidegate.db*"))
        assert len(files) == 3, "with the log and its index"
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    finally:
        store.close()


def test_a_store_of_a_newer_version_is_refused(store: Store, store_url: str, tmp_path: Path) -> None:
    with store.database.write() as tx:
        tx.execute(sa.text("update alembic_version set version_num = '9999'"))
    with pytest.raises(EnvironmentLacking, match="newer version"):
        open_store(tmp_path, url=store_url, environment={})


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_a_url_of_another_kind_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        Database(url)
    assert url not in str(caught.value)


def test_what_was_written_before_an_error_is_undone(store: Store) -> None:
    def fail() -> None:
        with store.database.write() as tx:
            catalog.add_setting(tx, "half", "done")
            catalog.get_project(tx, "nowhere")

    with pytest.raises(NotFound):
        fail()
    with store.database.read() as tx:
        assert catalog.get_setting(tx, "half") is None


def test_one_read_sees_one_state_on_sqlite_and_never_a_half_written_one(store: Store) -> None:
    written = threading.Event()

    def write() -> None:
        with store.database.write() as tx:
            tx.execute(setting.insert().values(name="one", value="1"))
            tx.execute(setting.insert().values(name="two", value="2"))
            written.set()

    with store.database.read() as tx:
        assert catalog.get_setting(tx, "one") is None
        thread = threading.Thread(target=write)
        thread.start()
        assert written.wait(10), "a reader keeps a writer waiting"
        thread.join(10)
    with store.database.read() as tx:
        assert (catalog.get_setting(tx, "one"), catalog.get_setting(tx, "two")) == ("1", "2")


# --- moves ----------------------------------------------------------------------------------------------------


def test_a_move_writes_state_version_and_exactly_one_key_event(any_world: World) -> None:
    key = any_world.add_task(submit=False)
    with any_world.store.database.write() as tx:
        before = moves.get(tx, key, lock=True)
        after = moves.move(tx, before, "submit", now=5.0, actor="ann", facts={"version": 1})
    assert (after.task.state, after.task.version, after.task.state_since) == (State.INITIALIZE, 2, 5.0)
    newest = any_world.control.events(key)[0]
    assert (newest.name, newest.state_from, newest.state_to, newest.actor) == ("submit", "draft", "initialize", "ann")


def test_an_illegal_move_changes_nothing(any_world: World) -> None:
    key = any_world.add_task()
    with any_world.store.database.write() as tx, pytest.raises(IllegalMove):
        moves.move(tx, moves.get(tx, key, lock=True), "drained", now=5.0)
    assert any_world.state(key) == "initialize"
    assert any_world.events(key) == ["created", "submit"]


def test_a_move_of_a_task_that_changed_meanwhile_changes_nothing(any_world: World) -> None:
    key = any_world.add_task()
    with any_world.store.database.read() as tx:
        seen = moves.get(tx, key)
    any_world.control.edit_task(key, definition(units=2), actor="bob")
    with pytest.raises(StaleVersion), any_world.store.database.write() as tx:
        moves.move(tx, seen, "remove", now=5.0)
    assert any_world.state(key) == "initialize"


def test_of_many_writers_that_saw_one_version_one_wins(any_world: World) -> None:
    key = any_world.add_task()
    with any_world.store.database.read() as tx:
        seen = moves.get(tx, key)
    ready, outcomes = threading.Barrier(8), list[str]()

    def write() -> None:
        ready.wait(30)
        try:
            with any_world.store.database.write() as tx:
                moves.move(tx, seen, "remove", now=5.0)
        except StaleVersion:
            outcomes.append("stale")
        else:
            outcomes.append("won")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["stale"] * 7 + ["won"]
    with any_world.store.database.read() as tx:
        removals = sa.select(sa.func.count()).select_from(key_event).where(key_event.c.name == "remove")
        assert tx.execute(removals).scalar_one() == 1


def test_units_are_never_given_twice_however_many_ask_at_once(any_world: World) -> None:
    keys = [any_world.add_task(f"t{i}", units=3) for i in range(6)]
    ready, refused = threading.Barrier(len(keys)), list[int]()

    def start(key: int) -> None:
        ready.wait(30)
        try:
            any_world.command(key, "run")
        except NoUnits:
            refused.append(key)

    threads = [threading.Thread(target=start, args=(key,)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    states = [any_world.state(key) for key in keys]
    assert states.count("starting") == 2  # of 8 units, 3 each
    assert len(refused) == 4
    assert any_world.control.group("default").units_used == 6


# --- who drives -----------------------------------------------------------------------------------------------

on_postgresql = pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)


@on_postgresql
def test_one_server_drives_the_tasks_and_the_next_takes_over_when_it_is_gone(
    store: Store, store_url: str, tmp_path: Path
) -> None:
    other = open_store(tmp_path, url=store_url, environment={})
    assert store.lead.held()
    assert not other.lead.held()
    assert store.lead.held()
    store.close()
    assert other.lead.held()
    other.close()


@on_postgresql
def test_a_broken_session_is_made_again_and_keeps_the_lead(store: Store, postgres: PostgresServer) -> None:
    assert store.lead.held()
    ended = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
    assert postgres.execute(ended) == [(True,)]
    assert store.lead.held()


@pytest.mark.parametrize("store_url", ["postgresql"], indirect=True)
def test_a_session_that_falls_silent_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process at the server stands still: the network says that all is well, and no answer comes."""
    monkeypatch.setattr(bounded, "ANSWER_S", 1.0)
    ask = sa.text("select pg_backend_pid()")
    stopped: list[int] = []

    def ask_one_that_stands_still() -> None:
        with store.database.read() as tx:
            stopped.append(tx.execute(ask).scalar_one())
            os.kill(stopped[0], signal.SIGSTOP)
            tx.execute(ask)

    try:
        with pytest.raises(StoreUnavailable, match="no answer"):
            ask_one_that_stands_still()
    finally:
        os.kill(stopped[0], signal.SIGCONT)
    with store.database.read() as tx:
        assert tx.execute(ask).scalar_one() != stopped[0]


@on_postgresql
def test_a_reconciler_does_not_start_beside_another(any_world: World, store_url: str, tmp_path: Path) -> None:
    any_world.step()
    other = World(tmp_path, store=open_store(tmp_path, url=store_url, environment={}))
    with pytest.raises(AlreadyRunning):
        other.reconciler.start()
    task = other.add_task()
    other.command(task, "run")
    other.step()
    assert other.engine.processes == []
    other.close()


# --- tasks ----------------------------------------------------------------------------------------------------


def test_a_removed_tasks_name_is_free_and_its_key_events_stay(any_world: World) -> None:
    first = any_world.add_task()
    any_world.command(first, "remove")
    any_world.step()
    second = any_world.add_task()
    assert second != first
    assert any_world.control.task_id("shop") == second
    assert any_world.events(first)[-1] == "removed"


def test_two_tasks_of_one_name_are_refused(any_world: World) -> None:
    any_world.add_task()
    with pytest.raises(NameTaken):
        any_world.add_task()


@pytest.mark.parametrize("ref", ["nobody", 4711, "4711", "99999999999999999999999999"])
def test_a_task_that_is_not_there_is_not_found(any_world: World, ref: int | str) -> None:
    with pytest.raises(NotFound):
        any_world.control.task_id(ref)


def test_lists_filter_sort_and_page(any_world: World) -> None:
    for i, write in enumerate(["upsert", "append", "upsert"]):
        any_world.add_task(f"任务_{i}", target={"data_source": "lake", "write": write})
    any_world.add_task("draft_only", submit=False)
    any_world.command(any_world.control.task_id("任务_1"), "run")
    names = [view.name for view in any_world.control.ops(sort="-name").items]
    assert names == ["任务_2", "任务_1", "任务_0"]
    assert [view.name for view in any_world.control.ops(status=["Operating"]).items] == ["任务_1"]
    assert [view.name for view in any_world.control.ops(name="务_2").items] == ["任务_2"]
    second = any_world.control.ops(page=2, page_size=2)
    assert ([view.name for view in second.items], second.total) == (["任务_2"], 3)
    assert any_world.control.ops(target_kind="duckdb", source_kind="postgres", owner="ann").total == 3
    assert any_world.control.ops(resource_group="other").items == []
    for sort in ("status", "lag_s", "-lag_bytes", "created_at", "state_since", "owner", "source", "target"):
        assert any_world.control.ops(sort=sort).total == 3


def test_a_part_of_a_name_is_taken_literally(any_world: World) -> None:
    any_world.add_task("a_b")
    any_world.add_task("axb")
    assert [view.name for view in any_world.control.ops(name="a_b").items] == ["a_b"]


# --- runs -----------------------------------------------------------------------------------------------------


def report(run_id: int, epoch: int, **said: object) -> Report:
    values = {
        "run_id": run_id,
        "epoch": epoch,
        "heard_at": 7.0,
        "phase": "full",
        "health": "steady",
        "position": "0/1",
        "lag_s": 1.5,
        "lag_bytes": 2**40,
        "counters": {"rows": 3},
        "error": None,
    }
    return Report(**(values | said))  # type: ignore[arg-type]


def test_reports_are_written_together_and_those_of_past_epochs_change_nothing(any_world: World) -> None:
    first, _ = any_world.running("a")
    second, _ = any_world.running("b")
    with any_world.store.database.write() as tx:
        held = [moves.get(tx, key).run for key in (first, second)]
        assert held[0] is not None
        assert held[1] is not None
        runs.write_reports(tx, [report(held[0].id, held[0].epoch), report(held[1].id, held[1].epoch - 1)])
    assert (any_world.view(first).position, any_world.view(first).lag_bytes) == ("0/1", 2**40)
    assert any_world.view(second).position is None


def test_a_report_without_a_position_keeps_the_last_one(any_world: World) -> None:
    key, _ = any_world.running()
    with any_world.store.database.write() as tx:
        held = moves.get(tx, key).run
        assert held is not None
        runs.write_reports(tx, [report(held.id, held.epoch)])
        runs.write_reports(tx, [report(held.id, held.epoch, position=None, error={"code": "x"})])
    assert any_world.view(key).position == "0/1"
    assert any_world.view(key).error == {"code": "x"}


def test_only_the_newest_snapshots_are_kept(any_world: World) -> None:
    key, worker = any_world.running(snapshots={"every": "60s", "keep": 3})
    stored = [worker.snapshot() for _ in range(6)]
    assert [view.id for view in any_world.control.snapshots(key)] == stored[:2:-1]


def test_ids_of_snapshots_are_never_given_again(any_world: World) -> None:
    _, worker = any_world.running(snapshots={"every": "60s", "keep": 1})
    stored = [worker.snapshot() for _ in range(4)]
    assert stored == sorted(set(stored))


# --- secrets --------------------------------------------------------------------------------------------------


def test_secrets_are_nowhere_in_the_store(any_world: World) -> None:
    any_world.running()
    with any_world.store.database.read() as tx:
        for table in metadata.sorted_tables:
            for row in tx.execute(sa.select(table)):
                assert "s3cret-canary" not in repr(tuple(row))
    for path in any_world.data_dir.rglob("*"):
        if path.is_file():
            assert b"s3cret-canary" not in path.read_bytes(), path


def test_the_wrong_key_is_refused_before_anything_else(store: Store, store_url: str, tmp_path: Path) -> None:
    other = {"TIDEGATE_SECRET_KEY": "A" * 43 + "="}
    with pytest.raises(SecretKeyWrong):
        open_store(tmp_path, url=store_url, environment=other)


def test_a_lost_key_file_is_not_replaced(store: Store, store_url: str, tmp_path: Path) -> None:
    (tmp_path / "secret.key").unlink()
    with pytest.raises(SecretKeyWrong):
        open_store(tmp_path, url=store_url, environment={})
    assert not (tmp_path / "secret.key").exists()


def test_a_secret_copied_into_another_data_source_does_not_open(any_world: World) -> None:
    any_world.control.create_data_source(
        "spy_db", "postgres", {"host": "evil", "database": "d", "user": "u", "password": "x"}, who=built_in("eve")
    )
    with any_world.store.database.write() as tx:
        source = catalog.get_data_source(tx, 1, "shop_db")
        spy = catalog.get_data_source(tx, 1, "spy_db")
        catalog.change_data_source(tx, spy, now=1.0, secrets=source.secrets)
    with pytest.raises(SecretKeyWrong):
        any_world.control.data_source_side("spy_db")


# --- the database ---------------------------------------------------------------------------------------------


def test_a_run_of_no_task_is_refused(store: Store) -> None:
    with pytest.raises(sa.exc.IntegrityError), store.database.write() as tx:
        tx.execute(
            run.insert().values(
                task_id=4711, number=1, key="k", version=1, start={}, group_name="g", units=1, restarts_max=1,
                snapshots_keep=1, started_at=1.0, epoch=0, restarts=0, restarts_spent=0, restarts_quick=0,
                phase="p", health="h", counters={}, cleanup="kept", cleanup_tries=0,
            )
        )  # fmt: skip


def test_a_definition_comes_back_equal(any_world: World) -> None:
    key = any_world.add_task(description="für 数据 🌊", submit=False)
    with any_world.store.database.read() as tx:
        held = tx.execute(sa.select(task.c.definition).where(task.c.id == key)).scalar_one()
        assert held["description"] == "für 数据 🌊"
        assert tasks.find_task(tx, "shop", "default") == key
