"""What is said when the metadata store cannot do its work."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from fixtures.postgres import NewDatabase
from tidegate.errors import Retry, StoreFull, StoreUnavailable
from tidegate.store import catalog
from tidegate.store.database import Database
from tidegate.testing.servers import PostgresServer, free_port

BULK = "canary" * 100_000


def test_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    store = Database(f"sqlite:///{tmp_path}/store.db")
    with store.write() as tx:
        pages = tx.exec_driver_sql("pragma page_count").scalar_one()
        tx.exec_driver_sql(f"pragma max_page_count = {pages}")
    with pytest.raises(StoreFull, match="database or disk is full") as caught, store.write() as tx:
        catalog.add_setting(tx, "bulk", BULK)
    assert "Free disk space" in caught.value.advice
    assert caught.value.retry is Retry.LATER
    assert "canary" not in str(caught.value)
    store.close()


def test_a_full_disk_of_a_postgresql_server_is_said_to_be_one(postgres: PostgresServer, database: NewDatabase) -> None:
    store = Database(f"postgresql://postgres@{postgres.host}:{postgres.port}/{database(prefix='full')}")
    raising = "do $$ begin raise 'could not extend file' using errcode = 'disk_full'; end $$"
    with pytest.raises(StoreFull, match="the server's disk is full"), store.write() as tx:
        tx.execute(sa.text(raising))
    store.close()


def test_a_store_that_somebody_holds_is_said_to_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.store.database.BUSY_S", 0.1)
    store = Database(f"sqlite:///{tmp_path}/store.db")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(StoreUnavailable, match="database is locked") as caught, store.write():
        pass
    assert caught.value.code == "store.unavailable"
    other.close()
    store.close()


def test_a_server_that_is_not_there_is_named() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable, match=f"port {port} failed"):
        Database(f"postgresql://postgres:canary@127.0.0.1:{port}/none")
