"""One store, two servers: one drives its tasks, the other is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from faults.whole import HarmedSite, whole
from tidegate.testing.servers import PostgresServer, free_port


def test_one_sqlite_store_is_driven_by_one_server_whatever_their_data_directories(
    tmp_path: Path, postgres: PostgresServer, database: Callable[..., str]
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "store")
    url = {"TIDEGATE_STORE_URL": f"sqlite:///{tmp_path}/store/tidegate.db"}
    with whole(tmp_path / "site", postgres, database, environment=url) as held:
        held.task("app", "ledger", write="append")
        worker = held.worker("app")
        (tmp_path / "second").mkdir()
        key = (held.site.folder / "secret.key").read_bytes()
        (tmp_path / "second" / "secret.key").write_bytes(key)
        (tmp_path / "second" / "secret.key").chmod(0o600)
        second = HarmedSite(tmp_path / "second", {"TIDEGATE_STORE_URL": f"sqlite:///{tmp_path}/alias/tidegate.db"})
        came = second.cli("server", "--port", str(free_port()))
        assert came.returncode != 0
        assert "another server drives the tasks of this store" in came.stdout + came.stderr
        held.shop.start()
        held.progresses("app")
        assert held.worker("app") == worker

        held.site.kill()
        (second.folder / "admin.token").write_text((held.site.folder / "admin.token").read_text())
        second.start()
        try:
            assert second.status("app") == "Running"
        finally:
            assert second.process is not None
            second.process.kill()
            second.process.wait(10)
            second.close()
