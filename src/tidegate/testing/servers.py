"""Real PostgreSQL servers on temporary directories: started in about a second, stopped or killed on demand, and gone
with their files when the process that started them is gone, however it ended."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
from psycopg import sql

from tidegate.errors import EnvironmentLacking
from tidegate.testing.binaries import available, newest, oldest, runnable_by_others, version

__all__ = ["PostgresServer", "StopMode", "available", "free_port", "newest", "oldest", "until"]

StopMode = Literal["smart", "fast", "immediate"]
Setting = str | int | float | bool

_SIGNALS: dict[StopMode, signal.Signals] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}

# What a server for tests and demonstrations has unless asked otherwise: able to be followed, and small.
SETTINGS: dict[str, Setting] = {
    "wal_level": "logical",
    "max_replication_slots": 20,
    "max_wal_senders": 20,
    "max_connections": 60,
    "max_prepared_transactions": 20,
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_checkpoints": False,
    "autovacuum_naptime": "5s",
}

# Waits for the end of its standard input, which comes when the process that holds the other end is gone for any reason.
_WATCHDOG = r"""
read -r _
pid=$(sed -n 1p "$1/data/postmaster.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -QUIT "$pid" 2>/dev/null
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$pid" 2>/dev/null
fi
rm -rf -- "$1"
"""


class PostgresServer:
    """One server with its own data directory, port and socket folder.

    Use it as a context manager, or call `start()` and `close()`. `settings` go over `SETTINGS`, for instance
    `{"wal_level": "replica"}`. `fsync` is off unless asked for: what is committed then survives the death of
    the server, but not of the machine.
    With a `password` every connection over TCP needs scram authentication; without one everybody is let in. `icu` is
    an ICU locale for the whole server (version 15 and later, where the build has ICU); else collation is C.
    """

    def __init__(
        self,
        binaries: Path | None = None,
        *,
        settings: Mapping[str, Setting] | None = None,
        fsync: bool = False,
        password: str | None = None,
        icu: str | None = None,
        start_deadline_s: float = 60,
        stop_deadline_s: float = 60,
    ) -> None:
        self.user = _unprivileged_user()
        found = binaries if binaries is not None else newest()
        self.binaries = runnable_by_others(found) if self.user is not None else found
        self.version = version(self.binaries)
        self.password = password
        self.icu = icu
        self.host = "127.0.0.1"
        self.port = 0
        self.start_deadline_s = start_deadline_s
        self.stop_deadline_s = stop_deadline_s
        self.settings = SETTINGS | {"fsync": fsync}
        self.settings |= dict(settings or {})
        self.directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    # --- its life -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Make the data directory at the first call, start, and return once connections are accepted. The port stays
        the same over restarts. Raises `EnvironmentLacking` with the end of the server's log if it does not start."""
        if self.running:
            return self
        if self.directory is None:
            self._create()
        for last in (False, False, False, False, True):
            if self.port == 0:
                self.port = free_port()
            if self._launch():
                return self
            if last or ("could not bind" not in self.log() and "Address already in use" not in self.log()):
                break
            self.port = 0  # Somebody else took the port in between.
        raise EnvironmentLacking(f"PostgreSQL {self.version[0]} did not start: {self._log_end()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Shut down: `smart` waits for sessions, `fast` ends them, `immediate` leaves recovery to the next start."""
        self._end(_SIGNALS[mode])

    def kill(self) -> None:
        """The server at once and without any clean-up, as when its machine loses power; waits until every one of its
        processes is gone."""
        process = self._process
        if process is None:
            return
        # Stopped first, so that it can start no other process between listing and killing.
        process.send_signal(signal.SIGSTOP)
        family = [process.pid, *children(process.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(self.stop_deadline_s)
        self._process = None
        until(lambda: not any(_alive(pid) for pid in family), "the server's processes to be gone", self.stop_deadline_s)

    def restart(self, mode: StopMode = "fast", **settings: Setting) -> Self:
        """Stop and start again, with `settings` changed for good."""
        self.stop(mode)
        self.settings |= settings
        return self.start()

    def close(self) -> None:
        """End the server and remove everything it had. Calling it again does nothing."""
        if self._process is not None:
            self._end(signal.SIGQUIT)
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()  # It removes the directory.
            self._watchdog.wait(self.stop_deadline_s)
            self._watchdog = None
        self.directory = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the postmaster. Raises `EnvironmentLacking` when it does not run."""
        if self._process is None:
            raise EnvironmentLacking("the PostgreSQL server is not running")
        return self._process.pid

    def log(self) -> str:
        """What the server has logged so far."""
        if self.directory is None or not (path := self.directory / "log").exists():
            return ""
        return path.read_text(errors="replace")

    # --- using it -------------------------------------------------------------------------------------------------

    def config(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> dict[str, Any]:
        """Settings of a data source for `database`, as `PostgresConfig` takes them."""
        config: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "database": database,
            "user": user,
            "sslmode": "disable",
        }
        secret = password if password is not None else self.password
        return config | ({"password": secret} if secret is not None else {})

    def connect(
        self, database: str = "postgres", user: str = "postgres", *, password: str | None = None, **more: Any
    ) -> psycopg.Connection[Any]:
        """A connection, autocommit unless asked otherwise, with PostgreSQL's own session defaults."""
        arguments: dict[str, Any] = {"autocommit": True, "connect_timeout": 10}
        arguments |= self.config(database, user, password)
        arguments["dbname"] = arguments.pop("database")
        return psycopg.connect(**(arguments | more))

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as superuser; its rows, if it gives any."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str, *, owner: str | None = None) -> None:
        owned = sql.SQL(" owner {}").format(sql.Identifier(owner)) if owner else sql.SQL("")
        with self.connect() as connection:
            connection.execute(sql.SQL("create database {}{}").format(sql.Identifier(name), owned))

    def drop_database(self, name: str) -> None:
        """With its replication slots, and whoever is connected to it."""
        with self.connect() as connection:
            self.drop_slots(name)
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def drop_slots(self, database: str) -> None:
        """Drop every replication slot of `database`, ending the sessions that hold one."""
        with self.connect() as connection:

            def gone() -> bool:
                slots = connection.execute(
                    "select slot_name, active_pid from pg_replication_slots where database = %s", [database]
                ).fetchall()
                for slot, holder in slots:
                    if holder is not None:
                        connection.execute("select pg_terminate_backend(%s)", [holder])
                        continue
                    with contextlib.suppress(psycopg.errors.ObjectInUse, psycopg.errors.UndefinedObject):
                        connection.execute("select pg_drop_replication_slot(%s)", [slot])
                return not slots

            until(gone, f"the replication slots of {database} to be dropped", self.stop_deadline_s)

    def create_user(self, name: str, password: str | None = None, *, attributes: str = "login") -> None:
        """`attributes` as in CREATE ROLE, for instance `login replication`."""
        secret = sql.SQL(" password {}").format(sql.Literal(password)) if password is not None else sql.SQL("")
        statement = sql.SQL("create role {} " + attributes + "{}").format(sql.Identifier(name), secret)
        with self.connect() as connection:
            connection.execute(statement)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _create(self) -> None:
        self.directory = directory = Path(tempfile.mkdtemp(prefix="tidegate-pg-", dir=self._temporary()))
        if self.user is not None:
            os.chown(directory, self.user.pw_uid, self.user.pw_gid)
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "sh", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        arguments = ["-D", str(directory / "data"), "-U", "postgres", "-E", "UTF8", "--no-sync", "--locale=C"]
        if self.icu is not None:
            arguments += ["--locale-provider=icu", f"--icu-locale={self.icu}"]
        if self.password is None:
            arguments += ["--auth=trust"]
        else:
            secret = directory / "password"
            secret.write_text(self.password)
            secret.chmod(0o600)
            if self.user is not None:
                os.chown(secret, self.user.pw_uid, self.user.pw_gid)
            arguments += ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        made: subprocess.CompletedProcess[bytes] = subprocess.run(
            [self.binaries / "initdb", *arguments], capture_output=True, timeout=120, check=False, **self._as_user()
        )
        if made.returncode != 0:
            raise EnvironmentLacking(f"initdb failed: {made.stderr.decode(errors='replace').strip()[-600:]}")

    def _launch(self) -> bool:
        directory = self.directory
        if directory is None:
            raise EnvironmentLacking("the server has no directory")
        options = self.settings | {"port": self.port, "listen_addresses": self.host}
        options["unix_socket_directories"] = str(directory)
        flags = [f"--{name}={_text(value)}" for name, value in options.items()]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self.binaries / "postgres", "-D", directory / "data", *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._as_user(),
            )
        process = self._process
        until(
            lambda: process.poll() is not None or self._ready(process.pid),
            "PostgreSQL to accept connections",
            self.start_deadline_s,
        )
        if process.poll() is None:
            return True
        self._process = None
        return False

    def _ready(self, pid: int) -> bool:
        """The eighth line of postmaster.pid says so, as pg_ctl reads it."""
        if self.directory is None:
            return False
        try:
            lines = (self.directory / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(self.stop_deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process = None

    def _as_user(self) -> dict[str, Any]:
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        if self.user is None:
            return {"env": environment, "cwd": "/"}
        return {
            "env": environment,
            "cwd": "/",
            "user": self.user.pw_uid,
            "group": self.user.pw_gid,
            "extra_groups": [],
        }

    def _temporary(self) -> str:
        """A folder the server's user can reach and whose name is short enough for a Unix socket (107 bytes)."""
        named = Path(tempfile.gettempdir())
        reachable = self.user is None or all(p.stat().st_mode & 0o001 for p in (named, *named.parents))
        return str(named) if reachable and len(str(named)) < 60 else "/tmp"  # noqa: S108

    def _log_end(self) -> str:
        return " / ".join(self.log().strip().splitlines()[-5:]) or "it logged nothing"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(done: Callable[[], bool], what: str, deadline_s: float, every_s: float = 0.02) -> None:
    """Ask again and again until it is so. Raises `TimeoutError` naming `what` was waited for."""
    end = time.monotonic() + deadline_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {deadline_s:g} s for {what}")
        time.sleep(every_s)


def children(pid: int) -> Iterator[int]:
    """The process ids whose parent is `pid`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    yield int(entry.name)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses to run as root. None when this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise EnvironmentLacking("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")


def _text(value: Setting) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
