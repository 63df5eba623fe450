"""A physical standby of a test server: a copy of its files that follows its log, until it is promoted."""

from __future__ import annotations

import shutil

from tidegate.testing.servers import PostgresServer, Setting, until

DEADLINE_S = 60.0


class Standby(PostgresServer):
    """Use it like any server; `start` makes the copy. `settings` go over the primary's."""

    def __init__(self, primary: PostgresServer, *, name: str = "standby", **settings: Setting) -> None:
        own: dict[str, Setting] = {"hot_standby_feedback": True}
        if primary.version[0] >= 17:
            own["sync_replication_slots"] = True
        super().__init__(primary.binaries, settings=primary.settings | own | settings)
        self.primary, self.name = primary, name

    def _create(self) -> None:
        super()._create()
        assert self.directory is not None
        assert self.primary.directory is not None
        data = self.directory / "data"
        shutil.rmtree(data)
        slot = f"for_{self.name}"
        renamed = self.version[0] >= 15
        with self.primary.connect() as connection:
            connection.execute("select pg_create_physical_replication_slot(%s, true)", (slot,))
            begun = "pg_backup_start('standby', true)" if renamed else "pg_start_backup('standby', true, false)"
            connection.execute(f"select {begun}")
            leave = shutil.ignore_patterns("postmaster.pid", "postmaster.opts", "pgsql_tmp*")
            shutil.copytree(self.primary.directory / "data", data, ignore=leave)
            ended = "pg_backup_stop()" if renamed else "pg_stop_backup(false, false)"
            label = connection.execute(f"select labelfile from {ended}").fetchone()
        assert label is not None
        (data / "backup_label").write_text(label[0])
        (data / "standby.signal").touch()
        shutil.rmtree(data / "pg_replslot")
        (data / "pg_replslot").mkdir()
        data.chmod(0o700)
        if self.user is not None:
            for path in (data, *data.rglob("*")):
                shutil.chown(path, self.user.pw_uid, self.user.pw_gid)
        self.settings["primary_conninfo"] = (
            f"host={self.primary.host} port={self.primary.port} user=postgres dbname=postgres"
            f" application_name={self.name}"
        )
        self.settings["primary_slot_name"] = slot

    def caught_up(self) -> None:
        """Wait until it has replayed everything the primary has now."""
        end = self.primary.execute("select pg_current_wal_flush_lsn()::text")[0][0]
        until(
            lambda: self.execute(f"select pg_last_wal_replay_lsn() >= '{end}'")[0][0] is True, "the standby", DEADLINE_S
        )

    def promote(self) -> None:
        self.execute("select pg_promote(true, 60)")
        until(lambda: self.execute("select not pg_is_in_recovery()")[0][0], "promotion", DEADLINE_S)

    def keep_slots(self) -> None:
        """Wait until the primary's failover slots are here too (version 17 and later), which takes that they moved on
        since the standby was made: whoever follows them has to be at work. Then wait for what is replayed."""

        def kept() -> bool:
            self.primary.execute("select pg_log_standby_snapshot(), pg_current_xact_id()")
            found = self.execute("select count(*) from pg_replication_slots where synced and not temporary")
            return bool(found[0][0])

        until(kept, "the slots at the standby", DEADLINE_S, every_s=0.2)
        self.caught_up()
