"""Real MySQL servers on temporary directories, as `mariadb.py` has them of MariaDB."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from typing import Any, ClassVar

from tidegate.testing.mariadb import MariadbServer, Setting
from tidegate.testing.mysql_binaries import newest, version

__all__ = ["MysqlServer"]


class MysqlServer(MariadbServer):
    """As `MariadbServer`. Its data directory takes some seconds to make."""

    title: ClassVar[str] = "MySQL"
    defaults: ClassVar[Mapping[str, Setting]] = {
        "server_id": 1,
        "log_bin": "log",
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "binlog_row_metadata": "FULL",
        "default_time_zone": "+00:00",
        "innodb_buffer_pool_size": "64M",
        "innodb_redo_log_capacity": "64M",
        "max_connections": 60,
        "mysqlx": "OFF",
        "performance_schema": False,
        "secure_file_priv": "NULL",
        "skip_name_resolve": True,
    }

    def _found(self, programs: Any) -> tuple[Any, tuple[int, int, int]]:
        chosen = programs if programs is not None else newest()
        return chosen, version(chosen)

    def _installer(self) -> list[str]:
        return [
            *self._command(),
            "--no-defaults",
            *self.programs.options,
            "--initialize-insecure",
            f"--datadir={self.data}",
            f"--user={getpass.getuser()}",
            "--innodb-redo-log-capacity=32M",
        ]

    def _command(self) -> list[str]:
        return list(self.programs.command)

    def _let_in(self) -> None:
        account = f"'{self.user}'@'127.0.0.1'"
        with (
            self.connect("", "root", password="", unix_socket=str(self.socket)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SET sql_log_bin = 0")
            cursor.execute(f"CREATE USER {account} IDENTIFIED BY %s", (self.password,))
            cursor.execute(f"GRANT ALL ON *.* TO {account} WITH GRANT OPTION")
