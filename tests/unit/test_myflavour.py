"""Which server speaks, and how each is asked."""

from __future__ import annotations

import pytest

from tidegate.connect.mycheck import wrong_server
from tidegate.connect.myflavour import MARIADB, MYSQL, Flavour, of_family


@pytest.mark.parametrize(
    ("said", "shown", "kind"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", "MariaDB 10.11.19", "mariadb"),
        ("5.5.5-10.6.12-MariaDB", "MariaDB 10.6.12", "mariadb"),
        ("11.4.2-mariadb", "MariaDB 11.4.2", "mariadb"),
        ("8.0.36", "MySQL 8.0.36", "mysql"),
        ("8.0.36-28", "MySQL 8.0.36", "mysql"),
        ("8.4.3-commercial", "MySQL 8.4.3", "mysql"),
        ("9.1.0", "MySQL 9.1.0", "mysql"),
        ("5.7.44-log", "MySQL 5.7.44", "mysql"),
    ],
)
def test_a_server_is_known_by_how_it_says_its_version(said: str, shown: str, kind: str) -> None:
    flavour = Flavour.named(said)
    assert (str(flavour), flavour.kind) == (shown, kind)


@pytest.mark.parametrize(
    ("version", "status", "replicas", "replication", "logs"),
    [
        ("8.0.21", "show master status", "show slave hosts", "show slave status", "log_slave_updates"),
        ("8.0.22", "show master status", "show replicas", "show replica status", "log_slave_updates"),
        ("8.0.36", "show master status", "show replicas", "show replica status", "log_replica_updates"),
        ("8.4.0", "show binary log status", "show replicas", "show replica status", "log_replica_updates"),
        ("9.1.0", "show binary log status", "show replicas", "show replica status", "log_replica_updates"),
        ("10.11.8-MariaDB", "show master status", "show slave hosts", "show all slaves status", "log_slave_updates"),
    ],
)
def test_each_version_is_asked_with_the_words_that_it_has(
    version: str, status: str, replicas: str, replication: str, logs: str
) -> None:
    flavour = Flavour.named(version)
    asked = (flavour.log_status, flavour.replicas, flavour.replication, flavour.logs_applied)
    assert asked == (status, replicas, replication, logs)


def test_a_replica_says_what_it_takes_in_the_words_of_either_and_of_old_and_new_ones() -> None:
    assert "@mariadb_slave_capability = 4" in MARIADB.introduction(1)
    said = MYSQL.introduction(2)
    for who in ("source", "master"):
        assert f"@{who}_binlog_checksum = @@global.binlog_checksum" in said
        assert f"@{who}_heartbeat_period = 2000000000" in said
    assert "mariadb" not in said
    assert "heartbeat" not in MYSQL.introduction(None) + MARIADB.introduction(None)


def test_a_comparisons_statements_end_in_time_by_each_ones_own_setting() -> None:
    assert MARIADB.statement_limit(30) == "max_statement_time = 30"
    assert MYSQL.statement_limit(30) == "max_execution_time = 30000"
    assert MYSQL.statement_limit(0.1) == "max_execution_time = 1000"


def test_what_an_old_server_does_not_know_is_not_set() -> None:
    assert "information_schema_stats_expiry" in MYSQL.session
    assert "information_schema_stats_expiry" not in Flavour.named("5.7.44").session


@pytest.mark.parametrize(
    ("said", "kind", "why"),
    [
        ("10.5.0-MariaDB", "mariadb", ""),
        ("8.0.1", "mysql", ""),
        ("9.3.0", "mysql", ""),
        ("8.4.0", "mariadb", "make one of kind mysql"),
        ("10.11.8-MariaDB", "mysql", "make one of kind mariadb"),
        ("10.4.30-MariaDB", "mariadb", "too old"),
        ("5.7.44", "mysql", "neither signs nor character sets"),
        ("8.0.0", "mysql", "too old"),
    ],
)
def test_a_connector_refuses_the_others_servers_and_old_ones_with_what_to_do(said: str, kind: str, why: str) -> None:
    refused = wrong_server(Flavour.named(said), kind)
    assert (refused is None) == (not why)
    assert refused is None or why in refused.detail


def test_a_tables_family_says_whose_types_it_has() -> None:
    assert of_family("mysql").mysql
    assert not of_family("mariadb").mysql
