"""What MariaDB and MySQL do differently, in one place: a server's flavour, and how each is asked. All else is written
once, for both.

MySQL by its Reference Manual (8.0, 8.4 and 9: "SHOW BINARY LOG STATUS", "SHOW REPLICAS", "Server System Variables").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Version = tuple[int, int, int]

_SESSION_OF_MARIADB: Mapping[str, str | int] = {
    "max_statement_time": 0,
    "idle_transaction_timeout": 0,
    "idle_readonly_transaction_timeout": 0,
    "idle_write_transaction_timeout": 0,
    "tx_read_only": 0,
}
_SESSION_OF_MYSQL: Mapping[str, str | int] = {"max_execution_time": 0, "transaction_read_only": 0}
_SESSION_SINCE_8: Mapping[str, str | int] = {"information_schema_stats_expiry": 0}
_OLDEST: Mapping[bool, Version] = {False: (10, 5, 0), True: (8, 0, 1)}
"""By whether it is MySQL. Before 8.0.1 its log tells neither signs nor character sets."""


@dataclass(frozen=True, slots=True)
class Flavour:
    """What kind of server a session is with."""

    mysql: bool
    version: Version

    @classmethod
    def of(cls, connection: Any) -> Flavour:
        """From the version in the server's greeting."""
        return cls.named(connection.get_server_info())

    @classmethod
    def named(cls, said: str) -> Flavour:
        """By how the server says its version."""
        mariadb = "mariadb" in said.lower()
        text = said.removeprefix("5.5.5-") if mariadb else said  # how 10.x names itself to old replicas
        numbers = [int(number) for number in re.findall(r"\d+", text)[:3]]
        major, minor, patch = (*numbers, 0, 0, 0)[:3]
        return cls(not mariadb, (major, minor, patch))

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    @property
    def name(self) -> str:
        return "MySQL" if self.mysql else "MariaDB"

    @property
    def kind(self) -> str:
        """The connector that is for it."""
        return self.name.lower()

    @property
    def is_read(self) -> bool:
        """Whether its log can be followed, by its version."""
        return self.version >= _OLDEST[self.mysql]

    def since(self, *version: int) -> bool:
        """Whether it is a MySQL of this version or newer."""
        return self.mysql and self.version >= version

    # --- what sessions are given, and what they ask ---

    @property
    def session(self) -> Mapping[str, str | int]:
        """What every session has beside what both take."""
        if not self.mysql:
            return _SESSION_OF_MARIADB
        return {**_SESSION_OF_MYSQL, **(_SESSION_SINCE_8 if self.since(8) else {})}

    def statement_limit(self, deadline_s: float) -> str:
        """The session's setting by which no statement takes longer."""
        if self.mysql:
            return f"max_execution_time = {max(1.0, deadline_s) * 1000:.0f}"
        return f"max_statement_time = {max(1.0, deadline_s):.0f}"

    @property
    def server(self) -> str:
        """What names the server among those that replicate with each other. MariaDB has no name of its own for that in
        all versions."""
        return "@@server_uuid" if self.mysql else "@@server_id"

    @property
    def log_status(self) -> str:
        """Asks where the log ends."""
        return "show binary log status" if self.since(8, 2) else "show master status"

    @property
    def replicas(self) -> str:
        """Asks which replicas read the log."""
        return "show replicas" if self.since(8, 0, 22) else "show slave hosts"

    @property
    def replication(self) -> str:
        """Asks what the server itself applies of others."""
        if not self.mysql:
            return "show all slaves status"
        return "show replica status" if self.since(8, 0, 22) else "show slave status"

    @property
    def logs_applied(self) -> str:
        """The setting by which what is applied of others is in its own log."""
        return "log_replica_updates" if self.since(8, 0, 26) else "log_slave_updates"

    def introduction(self, heartbeat_s: int | None) -> str:
        """What a replica sets before it asks for the log: that it takes checksums, how new it is, and how often it is
        to hear of a quiet server (None: not at all)."""
        if self.mysql:
            said = ["@source_binlog_checksum = @@global.binlog_checksum"]
            said += ["@master_binlog_checksum = @@global.binlog_checksum"]
            if heartbeat_s is not None:  # of the two names it takes the newer, if it knows it
                said += [f"@{who}_heartbeat_period = {heartbeat_s * 1_000_000_000}" for who in ("source", "master")]
            return f"set {', '.join(said)}"
        said = ["@master_binlog_checksum = @@global.binlog_checksum", "@mariadb_slave_capability = 4"]
        if heartbeat_s is not None:
            said.append(f"@master_heartbeat_period = {heartbeat_s * 1_000_000_000}")
        return f"set {', '.join(said)}"

    # --- what it has ---

    @property
    def tells_snapshots(self) -> bool:
        """Whether it says which place of its log a consistent snapshot belongs to."""
        return not self.mysql

    @property
    def checks_documents(self) -> bool:
        """Whether JSON is a text with a check, instead of a type of its own."""
        return not self.mysql

    @property
    def log_privilege(self) -> str:
        """What may ask where the log ends."""
        return "REPLICATION CLIENT" if self.mysql else "BINLOG MONITOR"


MARIADB = Flavour(False, (10, 11, 0))
MYSQL = Flavour(True, (8, 4, 0))


def of_family(family: str) -> Flavour:
    """Any of the kind of server that a table's shape is from: what a type is there."""
    return MYSQL if family == MYSQL.kind else MARIADB
