"""A source that goes away in the middle of being asked is unreachable, whatever it was asked: the run tries again."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import pytest

from tidegate.connect.config import parse_config
from tidegate.errors import SourceUnreachable
from tidegate.model.schema import TableName
from tidegate.sources import postgres as module
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.proxy import Proxy
from tidegate.testing.servers import PostgresServer


def test_a_log_that_cannot_be_opened_because_the_server_is_gone_is_no_crash_of_the_worker(
    postgres: PostgresServer, database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database()
    postgres.execute("create table a (id int primary key)", name)
    with Proxy((postgres.host, postgres.port)) as wire:
        config = postgres.config(name) | {"host": wire.host, "port": wire.port}
        source = PostgresSource(parse_config(PostgresSource.Config, config, of="src"))
        try:
            position = source.begin("abcdef_t1r1", [TableName("public", "a")])

            def goes_away(*_: object, **__: object) -> NoReturn:
                wire.refuses = True
                wire.reset()
                raise SourceUnreachable("the server ended the log")

            with monkeypatch.context() as patched, pytest.raises(SourceUnreachable):  # noqa: PT012
                patched.setattr(module, "PgLog", goes_away)
                source.log("abcdef_t1r1", position)
            wire.heal()
            source.log("abcdef_t1r1", position).close()
        finally:
            wire.heal()
            source.end("abcdef_t1r1")
            source.close()
