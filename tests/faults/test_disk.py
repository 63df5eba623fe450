"""Disks fill up: under the store, the logs, and a worker's spool. What stands still says why, and goes on."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.lanes import long
from faults.whole import eventually, whole
from tidegate.testing.servers import PostgresServer
from tidegate.testing.site import Refused

pytestmark = long


class SmallDisk:
    """A file system of its own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._ballast = place / "ballast"

    def fill(self, spare_bytes: int = 0) -> None:
        """To the last bytes."""
        with open(self._ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 65_536)
        with open(self._ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\0" * 512)
        os.truncate(self._ballast, self._ballast.stat().st_size - spare_bytes)

    def clear(self) -> None:
        self._ballast.unlink()


@contextlib.contextmanager
def small_disk(place: Path, size: str) -> Iterator[SmallDisk]:
    """Only who administers the machine can make one."""
    place.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tidegate-test", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("a small file system can be mounted here by nobody but root")
    try:
        yield SmallDisk(place)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_full_disk_under_the_store_stops_no_worker_and_harms_nothing(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    with (
        small_disk(tmp_path / "disk", "16m") as disk,
        whole(disk.place / "site", postgres, database) as held,
    ):
        held.shop.start()
        held.task("app", "ledger", write="append")
        worker, epoch = held.worker("app"), held.site.epoch("app")
        disk.fill()

        def refused() -> str:
            try:
                held.site.ask("PUT", "/projects/default", {"description": "x" * 400})
            except Refused as error:
                return str(error.problem["detail"])
            return ""

        assert "full" in eventually(refused, "a change is refused")
        with pytest.raises(Refused) as told:
            held.site.command("app", "pause")
        assert "full" in told.value.problem["detail"]
        held.progresses("app")
        held.progresses("app")
        assert held.site.status("app") == "Running", "what can be read is answered"
        disk.clear()
        eventually(lambda: not refused(), "changes are taken again")
        assert (held.worker("app"), held.site.epoch("app")) == (worker, epoch)
        with contextlib.closing(sqlite3.connect(held.site.folder / "tidegate.db")) as store:
            assert store.execute("pragma integrity_check").fetchall() == [("ok",)]
        held.site.command("app", "pause")
        held.site.becomes("app", "Paused")
        held.shop.stop()
        held.site.command("app", "continue")
        held.is_whole("app")


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_server_does_not_start_on_a_full_disk_and_says_so(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    with (
        small_disk(tmp_path / "disk", "16m") as disk,
        whole(disk.place / "site", postgres, database) as held,
    ):
        held.site.kill()
        for path in held.site.folder.glob("tidegate.db*"):
            path.unlink()
        disk.fill()
        came = held.site.cli("server", "--port", str(held.site.port))
        assert came.returncode != 0
        assert "full" in (came.stdout + came.stderr).replace("No space left", "full")
        assert "Traceback" not in came.stderr
        disk.clear()
        assert held.site.client is not None
        held.site.client.close()
        held.site.client = None  # of the store that is gone, and its token
        held.site.start()
        assert held.site.ask("GET", "/tasks") == []


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_full_disk_under_the_spool_holds_the_copy_up_and_says_why(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    with (
        small_disk(tmp_path / "disk", "96m") as disk,
        whole(tmp_path / "site", postgres, database, environment={"TMPDIR": str(disk.place)}) as held,
    ):
        held.source.execute("create table wide (id int primary key, filler text)")
        held.source.execute(
            "insert into wide select i, repeat(md5(i::text), 400) from generate_series(1, 4000) i"
        )  # small where it lies compressed, and more than a worker keeps in memory
        disk.fill(spare_bytes=200_000)  # enough for Python to take the folder for a usable one
        held.site.ask(
            "POST",
            "/tasks",
            {
                "task": "wide",
                "kind": "whole_database",
                "source": {"data_source": "src", "tables": ["public.wide"]},
                "target": {"data_source": "dst", "write": "upsert", "schema": "wide"},
                "restarts": {"max": -1},
            },
        )
        held.site.ask("POST", "/tasks/wide/submit", {})
        held.site.command("wide", "run")

        def says_why() -> bool:
            error = held.site.task("wide")["task"]["error"]
            return error is not None and error["code"] == "worker.disk_full" and "No space left" in error["detail"]

        eventually(says_why, "the task says that the disk is full")
        assert held.site.status("wide") in ("Running", "Operating", "Failure")
        disk.clear()
        if held.site.status("wide") == "Failure":
            assert held.site.task("wide")["task"]["error"]["advice"]
            offered = held.site.task("wide")["task"]["commands"]
            held.site.command("wide", "continue" if "continue" in offered else "run")

        def copied() -> bool:
            query = "select count(*) from wide.wide"
            try:
                return held.target.execute(query).fetchone() == (4000,)
            except Exception:  # noqa: BLE001  its table is not there yet
                return False

        eventually(copied, "the copy is finished")
        assert os.listdir(disk.place) == [], "something was left in the spool's folder"
