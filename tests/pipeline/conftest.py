"""Sources and targets for pipelines, on the newest server or on the oldest and the newest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.pairs import DuckPair, Pair
from tidegate.connect import pgedges
from tidegate.testing.servers import PostgresServer


@pytest.fixture
def pair(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(postgres, database(), database())
    yield pair
    pair.close()


@pytest.fixture
def old_pair(postgres_oldest: PostgresServer, database: Callable[..., str]) -> Iterator[Pair]:
    pair = Pair(postgres_oldest, database(postgres_oldest), database(postgres_oldest))
    yield pair
    pair.close()


@pytest.fixture(params=["oldest", "newest"])
def each_pair(request: pytest.FixtureRequest) -> Pair:
    """The test runs on both."""
    found: Pair = request.getfixturevalue("pair" if request.param == "newest" else "old_pair")
    return found


@pytest.fixture
def duck_pair(postgres: PostgresServer, database: Callable[..., str], tmp_path: Path) -> Iterator[DuckPair]:
    pair = DuckPair(postgres, database(), tmp_path / "lake.duckdb")
    yield pair
    pair.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any table of more than a few rows is copied in many chunks."""
    monkeypatch.setattr(pgedges, "CHUNK_BYTES", 1_000)
    monkeypatch.setattr(pgedges, "CHUNK_ROWS_MIN", 10)
