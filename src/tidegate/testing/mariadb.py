"""Real MariaDB servers on temporary directories: started in seconds, stopped or killed on demand, and gone with their
files when the process that started them is gone, however it ended."""

from __future__ import annotations

import getpass
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

import pymysql
import pymysql.cursors

from tidegate.errors import EnvironmentLacking
from tidegate.testing.mariadb_binaries import available, newest, version
from tidegate.testing.servers import free_port

__all__ = ["MariadbServer", "available", "newest"]

Setting = str | int | bool | None

USER = "tidegate"

# What a server for tests and demonstrations has unless asked otherwise: able to be followed, and small.
SETTINGS: dict[str, Setting] = {
    "server_id": 1,
    "log_bin": "log",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "character_set_server": "utf8mb4",
    "default_time_zone": "+00:00",
    "innodb_buffer_pool_size": "64M",
    "innodb_log_file_size": "64M",
    "max_connections": 60,
    "skip_name_resolve": True,
}

INSTALL_DEADLINE_S = 600
"""It takes a second of a processor, which a machine with much else to do may take minutes to give."""
START_PATIENCE = 10
"""A server that gets on may take so many times its deadline."""

# Waits for the end of its standard input, which comes when the process that holds the other end is gone for any reason.
_WATCHDOG = r"""
read -r _
pid=$(cat "$1/server.pid" 2>/dev/null)
[ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
tries=0
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$1"
"""


class MariadbServer:
    """One server with its own data directory, port of 127.0.0.1 and socket.

    Use it as a context manager, or call `start()` and `close()`. `settings` go over `SETTINGS`; None means
    `--skip-NAME` (`{"log_bin": None}`: without a binary log). `fsync` is off unless asked for: what is committed then
    survives the death of the server, but not of the machine. `start_deadline_s` is for how long a starting server may
    do nothing: one that a busy machine starves gets on slowly, and is waited for. `root` has no password and comes in
    by the socket alone; the user `tidegate` has `password`, every privilege, and comes in over TCP.
    """

    title: ClassVar[str] = "MariaDB"
    defaults: ClassVar[Mapping[str, Setting]] = SETTINGS
    programs: Any

    def __init__(
        self,
        programs: Any = None,
        *,
        settings: Mapping[str, Setting] | None = None,
        fsync: bool = False,
        password: str = "of the tests",  # noqa: S107  of a server that lives for a test
        start_deadline_s: float = 60,
        stop_deadline_s: float = 60,
    ) -> None:
        self.programs, self.version = self._found(programs)
        self.user = USER
        self.password = password
        self.host = "127.0.0.1"
        self.port = 0
        self.start_deadline_s = start_deadline_s
        self.stop_deadline_s = stop_deadline_s
        self.settings = dict(self.defaults) | {
            "innodb_flush_log_at_trx_commit": 1 if fsync else 2,
            "sync_binlog": int(fsync),
        }
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
        fresh = self.directory is None
        if fresh:
            self._create()
        for last in (False, False, False, False, True):
            if self.port == 0:
                self.port = free_port()
            if self._launch():
                if fresh:
                    self._let_in()
                return self
            if last or "Address already in use" not in self.log():
                break
            self.port = 0  # Somebody else took the port in between.
        raise EnvironmentLacking(f"{self.title} {self.version[0]}.{self.version[1]} did not start: {self._log_end()}")

    def stop(self) -> None:
        """Shut down in an orderly way; sessions are ended."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.stop_deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        self._process = None

    def kill(self) -> None:
        """The server at once and without any clean-up, as when it crashes; waits until it is gone."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait(self.stop_deadline_s)
        self._process = None

    def restart(self, **settings: Setting) -> Self:
        """Stop and start again, with `settings` changed for good."""
        self.stop()
        self.settings |= settings
        return self.start()

    def close(self) -> None:
        """End the server and remove everything it had. Calling it again does nothing."""
        self.kill()
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
        """The process id of the server. Raises `EnvironmentLacking` when it does not run."""
        if self._process is None:
            raise EnvironmentLacking(f"the {self.title} server is not running")
        return self._process.pid

    @property
    def socket(self) -> Path:
        return self._place() / "socket"

    @property
    def data(self) -> Path:
        """The data directory; the binary log's files are in it, named `log.000001` and so on."""
        return self._place() / "data"

    def log(self) -> str:
        """What the server has written to its error log since it was started last."""
        if self.directory is None or not (path := self.directory / "log").exists():
            return ""
        return path.read_text(errors="replace")

    # --- using it -------------------------------------------------------------------------------------------------

    def config(self, database: str = "", user: str = USER, password: str | None = None) -> dict[str, Any]:
        """Settings of a data source, as `MariadbConfig` takes them; `database` only where one is named."""
        config: dict[str, Any] = {"host": self.host, "port": self.port, "user": user, "sslmode": "disable"}
        config["password"] = self.password if password is None else password
        return config | ({"database": database} if database else {})

    def connect(
        self, database: str = "", user: str = USER, *, password: str | None = None, **more: Any
    ) -> pymysql.Connection[pymysql.cursors.Cursor]:
        """A connection over TCP, autocommit unless asked otherwise, with the server's own session defaults."""
        arguments: dict[str, Any] = {"host": self.host, "port": self.port, "user": user, "autocommit": True}
        arguments["password"] = self.password if password is None else password
        arguments |= {"database": database or None, "ssl_disabled": True, "connect_timeout": 10, "read_timeout": 60}
        return pymysql.connect(**(arguments | more))

    def execute(self, statement: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run one statement as root, over the socket; its rows, if it gives any."""
        with (
            self.connect(database, "root", password="", unix_socket=str(self.socket)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def create_database(self, name: str) -> None:
        self.execute(f"CREATE DATABASE {_quote(name)}")

    def drop_database(self, name: str) -> None:
        """With everything in it; waits for who is using its tables."""
        self.execute(f"DROP DATABASE IF EXISTS {_quote(name)}")

    def create_user(self, name: str, password: str = "", *, grants: str = "") -> None:
        """A user that comes in over TCP; `grants` as between GRANT and TO: `SELECT, INSERT ON shop.*`."""
        account = f"'{name}'@'127.0.0.1'"
        self.execute(f"CREATE USER {account} IDENTIFIED BY '{password}'")
        if grants:
            self.execute(f"GRANT {grants} TO {account}")

    # --- inside -----------------------------------------------------------------------------------------------------

    def _found(self, programs: Any) -> tuple[Any, tuple[int, int, int]]:
        """The programs, and their version."""
        chosen = programs if programs is not None else newest()
        return chosen, version(chosen)

    def _create(self) -> None:
        named = tempfile.gettempdir()
        short = named if len(named) < 60 else "/tmp"  # noqa: S108  a socket's name has at most 107 bytes
        self.directory = directory = Path(tempfile.mkdtemp(prefix="tidegate-mariadb-", dir=short))
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "sh", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        made = subprocess.run(
            self._installer(),
            capture_output=True,
            timeout=INSTALL_DEADLINE_S,
            check=False,
            env=self.programs.environment,
        )
        if made.returncode != 0:
            said = (made.stderr + made.stdout).decode(errors="replace").strip()
            raise EnvironmentLacking(f"{self.title}'s data directory was not made: {said[-600:]}")

    def _installer(self) -> list[str]:
        """The command that makes the data directory."""
        return [
            "/bin/sh",
            str(self.programs.program("mariadb-install-db")),
            "--no-defaults",
            f"--basedir={self.programs.base}",
            f"--datadir={self.data}",
            f"--user={getpass.getuser()}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=8M",
        ]

    def _command(self) -> list[str]:
        return [str(self.programs.program("mariadbd"))]

    def _launch(self) -> bool:
        directory = self._place()
        options = [_option(name, value) for name, value in self.settings.items()]
        with (directory / "log").open("wb") as log:
            self._process = process = subprocess.Popen(
                [
                    *self._command(),
                    "--no-defaults",
                    *self.programs.options,
                    f"--user={getpass.getuser()}",
                    f"--datadir={self.data}",
                    f"--socket={self.socket}",
                    f"--tmpdir={directory}",
                    f"--pid-file={directory / 'said.pid'}",
                    f"--bind-address={self.host}",
                    f"--port={self.port}",
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.programs.environment,
            )
        (directory / "server.pid").write_text(str(process.pid))
        if self._becomes_ready(process):
            return True
        self._process = None
        return False

    def _becomes_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it does, or ends. Raises `EnvironmentLacking` when it does neither and nothing else either."""
        began = lived_at = time.monotonic()
        life: tuple[int, str] | None = None
        while process.poll() is None:
            said = self.log()
            if "ready for connections" in said:
                return True
            now, shown = time.monotonic(), (len(said), processor_time(process.pid))
            if shown != life:
                life, lived_at = shown, now
            if now - lived_at > self.start_deadline_s or now - began > START_PATIENCE * self.start_deadline_s:
                self.kill()
                raise EnvironmentLacking(f"{self.title} did not start in {now - began:.0f} s: {self._log_end()}")
            time.sleep(0.02)
        return False

    def _let_in(self) -> None:
        """What the installer made but root goes: an anonymous user would be taken for everybody unknown."""
        account = f"'{self.user}'@'127.0.0.1'"
        with (
            self.connect("", "root", password="", unix_socket=str(self.socket)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute("DELETE FROM mysql.global_priv WHERE user = '' OR (user = 'root' AND host <> 'localhost')")
            cursor.execute("FLUSH PRIVILEGES")
            cursor.execute(f"CREATE USER {account} IDENTIFIED BY %s", (self.password,))
            cursor.execute(f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION")

    def _place(self) -> Path:
        if self.directory is None:
            raise EnvironmentLacking("the server has no directory")
        return self.directory

    def _log_end(self) -> str:
        told = [line for line in self.log().splitlines() if "[ERROR]" in line or "unknown" in line]
        return " / ".join(told[-5:]) or " / ".join(self.log().strip().splitlines()[-5:]) or "it logged nothing"


def processor_time(pid: int) -> str:
    """What a process used so far, as its system tells it: two numbers that grow. Empty: it is gone."""
    try:
        return " ".join(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])
    except OSError:
        return ""


def _option(name: str, value: Setting) -> str:
    if value is None:
        return f"--skip-{name}"
    return f"--{name}={('ON' if value else 'OFF') if isinstance(value, bool) else value}"


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
