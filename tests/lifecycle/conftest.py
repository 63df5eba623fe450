"""Stores on both kinds of database, and worlds around them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from lifecycle.world import Installation, World
from tidegate.store.opening import Store, open_store
from tidegate.testing.servers import PostgresServer

BACKENDS = ["sqlite", "postgresql"]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture(params=BACKENDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made: a file, or a database of its own."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    database: Callable[..., str] = request.getfixturevalue("database")
    return f"postgresql://postgres@{server.host}:{server.port}/{database(server)}"


@pytest.fixture
def store(store_url: str, tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path, url=store_url, environment={}, default_units=8)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One store for all tests, for opening one is slow."""
    made = Installation(tmp_path_factory.mktemp("installation"), units=8)
    yield made
    made.close()


@pytest.fixture
def world(installation: Installation) -> World:
    """On SQLite, as at the first start, with the two data sources that `definition` names."""
    installation.reset()
    made = World(installation.home, store=installation.store)
    made.add_data_sources()
    return made


@pytest.fixture
def any_world(store: Store, tmp_path: Path) -> World:
    """The same on either kind of database."""
    made = World(tmp_path, store=store)
    made.add_data_sources()
    return made
