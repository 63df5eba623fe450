"""How long MariaDB's settings leave its log to those who need it."""

from __future__ import annotations

from typing import Any

from tidegate.connect.myflavour import MARIADB, MYSQL
from tidegate.connect.myposition import Place
from tidegate.connect.myretention import retentions
from tidegate.connect.source import Retention

NOW_S = 1_700_000_000
SIZES = {"log.000007": 1000, "log.000008": 2000, "log.000009": 300}
BEGUN = {"log.000008": NOW_S - 500, "log.000009": NOW_S - 20}


def kept(place: str, **settings: object) -> Retention:
    """For who reads on there, at a server with these settings."""

    def query(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if statement == "show binary logs":
            return list(SIZES.items())
        if statement.startswith("show global variables"):
            name = str(values[0]).replace("\\", "")
            return [(name, str(settings[name]))] if name in settings else []
        return [(12345, NOW_S)]

    found = retentions(query, MARIADB, {"r": Place.parse(place)}, BEGUN.__getitem__)
    assert found.written_bytes == 12345
    return found.runs["r"]


def test_a_server_that_drops_nothing_keeps_it_for_good() -> None:
    assert kept("log.000007:400") == Retention(2900, None)
    assert kept("log.000007:400", binlog_expire_logs_seconds=0, max_binlog_total_size=0) == Retention(2900, None)


def test_a_file_goes_when_it_was_last_written_so_long_ago() -> None:
    assert kept("log.000007:400", binlog_expire_logs_seconds=600).expires_in_s == 100
    assert kept("log.000008:400", binlog_expire_logs_seconds=600).expires_in_s == 580
    assert kept("log.000009:300", binlog_expire_logs_seconds=600).expires_in_s == 600, "the newest is written still"
    assert kept("log.000007:4", binlog_expire_logs_seconds=60).expires_in_s == 0
    assert kept("log.000007:4", expire_logs_days=0.5).expires_in_s == 43_200 - 500


def test_the_oldest_files_go_while_all_are_larger_than_allowed() -> None:
    assert kept("log.000008:400", max_binlog_total_size=4000) == Retention(1900, 1700)
    assert kept("log.000007:400", max_binlog_total_size=3300) == Retention(2900, 0)


def test_a_file_that_is_not_there_is_told() -> None:
    assert kept("log.000006:400").lost
    assert kept("other.000007:400").lost


def test_mysql_counts_no_log_so_what_it_keeps_is_what_grows() -> None:
    def query(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if statement == "show binary logs":
            return [(name, size, "No") for name, size in SIZES.items()]
        if statement.startswith("show global variables"):
            name = str(values[0]).replace("\\", "")
            return [(name, value) for known, value in settings.items() if known == name]
        assert "information_schema" not in statement
        return [(NOW_S,)]

    places = {"r": Place.parse("log.000007:400")}
    settings = {"binlog_expire_logs_seconds": "600", "expire_logs_days": "9"}
    found = retentions(query, MYSQL, places, BEGUN.__getitem__)
    assert (found.written_bytes, found.runs["r"].expires_in_s) == (3300, 100)
    settings = {"binlog_expire_logs_seconds": "0", "expire_logs_days": "1"}
    assert retentions(query, MYSQL, places, BEGUN.__getitem__).runs["r"].expires_in_s == 86_400 - 500
    settings = {"binlog_expire_logs_seconds": "600", "binlog_expire_logs_auto_purge": "OFF"}
    assert retentions(query, MYSQL, places, BEGUN.__getitem__).runs["r"].expires_in_s is None
