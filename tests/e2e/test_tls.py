"""A task with a server that speaks TLS: its worker reports by it, and stays when the certificate is exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.conftest import NewDatabase, World, opened
from fixtures.certificates import certificate
from tidegate.model.certificate import kept
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Site, eventually


@pytest.fixture
def secure(tmp_path: Path, postgres: PostgresServer, database: NewDatabase) -> Iterator[World]:
    """A world whose server's certificate is of an authority that nobody here knows."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    authority = certificate(tmp_path, "authority", authority=True)
    made = certificate(tmp_path, by=authority, hosts=("tidegate.example",))
    with opened(Site(folder, **made.flags).start(), postgres, database) as world:
        yield world


def test_a_task_runs_under_tls_and_keeps_its_worker_when_the_certificate_is_another_one(
    secure: World, tmp_path: Path
) -> None:
    site = secure.site
    secure.source.execute("create table a (id int primary key, name text)")
    secure.source.execute("insert into a select i, 'n' || i from generate_series(1, 500) i")
    task = secure.task("shop", ["public.a"])
    eventually(lambda: secure.equal("a"), "the existing rows arrive")
    assert site.url.startswith("https:")
    said = site.cli("status", task)
    assert (said.returncode, "Running" in said.stdout) == (0, True), said.stderr

    worker = site.workers()
    assert len(worker) == 1
    site.kill()
    after = certificate(tmp_path)  # a key of its own, and nobody behind it
    site.trusts.load_verify_locations(cadata=after.pem)
    site.start()
    assert kept(site.folder) == after.pem
    secure.source.execute("update a set name = 'changed' where id < 50")
    eventually(lambda: secure.equal("a"), "changes arrive")
    eventually(
        lambda: (site.task(task)["task"]["counters"] or {}).get("changes_written", 0) >= 49,
        "the worker reports to the server that came back with another certificate",
    )
    assert site.workers() == worker
    site.command(task, "pause")
    assert site.becomes(task, "Paused")["snapshot"]["kind"] == "pause"


def test_a_task_goes_on_with_a_new_worker_when_its_server_comes_back_with_tls(world: World, tmp_path: Path) -> None:
    world.source.execute("create table a (id int primary key)")
    task, before = world.task("shop", ["public.a"]), world.site
    worker = before.workers()
    before.kill()
    made = certificate(tmp_path)
    site = Site(before.folder, **made.flags, **{"lease-s": "1"}).start()
    try:
        world.source.execute("insert into a select generate_series(1, 100)")
        eventually(lambda: world.equal("a"), "rows arrive")
        eventually(lambda: site.workers() not in ([], worker), "a worker that speaks TLS takes over")
        site.becomes(task, "Running")
        site.command(task, "pause")
        site.becomes(task, "Paused")
    finally:
        site.close()
