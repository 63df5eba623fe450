"""The example files do what they say, with nothing changed but addresses."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tidegate.demo import warden
from tidegate.server.wedata.actions import ACTIONS
from tidegate.testing.servers import PostgresServer, free_port, until

EXAMPLES = Path(__file__).parents[2] / "examples"
PASSWORD = "not in the file"


class Site:
    """A server process, and the command line against it."""

    def __init__(self, folder: Path) -> None:
        self.mark = secrets.token_hex(8)
        self.environment = {
            warden.ENVIRONMENT: self.mark,
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TIDEGATE_DATA_DIR": str(folder / "data"),
            "TIDEGATE_PORT": str(free_port()),
            "SHOP_PASSWORD": PASSWORD,
            "WAREHOUSE_PASSWORD": PASSWORD,
        }
        with (folder / "server.log").open("wb") as log:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(lambda: self.run("ops").returncode == 0, "the server to answer", 60, every_s=0.2)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidegate", *words]
        return subprocess.run(
            command,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def does(self, *words: str) -> str:
        ended = self.run(*words)
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        return ended.stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.server.terminate()
    site.server.wait(30)
    warden.clear(site.mark, tmp_path / "data")  # Workers outlive their server.


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A server that asks for passwords, with the databases and users the examples name."""
    with PostgresServer(password="of the superuser") as server:
        server.create_user("tidegate", PASSWORD, attributes="login replication")
        server.create_user("loader", PASSWORD)
        server.create_database("shop", owner="tidegate")
        server.create_database("warehouse", owner="loader")
        with server.connect("shop", "tidegate", password=PASSWORD) as connection:
            connection.execute("create schema shop")
            connection.execute("create table shop.orders (id int primary key, total numeric(10, 2))")
            connection.execute("insert into shop.orders values (1, 9.50), (2, 0.10)")
        yield server


def written(example: str, postgres: PostgresServer, folder: Path) -> Path:
    """The example with the addresses of this test."""
    text = (EXAMPLES / example).read_text()
    text = text.replace("localhost", postgres.host).replace("5432", str(postgres.port))
    copy = folder / example
    copy.write_text(text.replace("/var/lib/tidegate", str(folder)))
    return copy


def commands(example: str) -> list[list[str]]:
    """The commands its comments tell a person to type, but those that go on for ever."""
    typed = re.findall(r"^#   tidegate (.*)$", (EXAMPLES / example).read_text(), re.MULTILINE)
    return [line.split() for line in typed if "--watch" not in line]


def follow(example: str, site: Site, file: Path) -> None:
    for words in commands(example):
        site.does(*(str(file) if word == f"examples/{example}" else word for word in words))


def test_the_shop_is_kept_in_a_duckdb_file(site: Site, postgres: PostgresServer, tmp_path: Path) -> None:
    follow("shop.yaml", site, written("shop.yaml", postgres, tmp_path))
    postgres.execute("update shop.orders set total = 10 where id = 1", "shop")

    def arrived() -> bool:
        try:
            with duckdb.connect(str(tmp_path / "lake.duckdb"), read_only=True) as lake:
                rows = lake.execute("select id, total::varchar from shop.orders order by id").fetchall()
        except duckdb.Error:
            return False
        return rows == [(1, "10.00"), (2, "0.10")]

    until(arrived, "the rows to arrive", 60)
    site.does("stop", "shop_to_lake")


def test_the_history_of_the_orders_is_written_down(site: Site, postgres: PostgresServer, tmp_path: Path) -> None:
    follow("history.yaml", site, written("history.yaml", postgres, tmp_path))
    postgres.execute("insert into shop.orders values (3, 1)", "shop")
    postgres.execute("delete from shop.orders where id = 3", "shop")
    query = "select op, id from history.orders order by position"

    def arrived() -> bool:
        return len(postgres.execute(query, "warehouse")) == 4

    until(arrived, "the changes to arrive", 60)
    rows = postgres.execute(query, "warehouse")
    assert sorted(rows[:2]) == [("read", 1), ("read", 2)]
    assert rows[2:] == [("insert", 3), ("delete", 3)]
    site.does("stop", "orders_history")


def test_tencents_command_line_is_given_actions_that_there_are() -> None:
    """What it does with them is tried where it is installed (tests/e2e/test_wedata.py)."""
    subprocess.run(["sh", "-n", EXAMPLES / "tccli.sh"], check=True)
    asked = set(re.findall(r"\bask (\w+)", (EXAMPLES / "tccli.sh").read_text()))
    assert len(asked) > 3
    assert asked <= {action.name for action in ACTIONS if action.handler is not None}


def test_every_example_is_tried() -> None:
    programs = ["airflow_dag.py", "operate.py"]  # tests/api/test_client_examples.py
    assert sorted(path.name for path in EXAMPLES.iterdir()) == [
        *programs[:1],
        "history.yaml",
        *programs[1:],
        "shop.yaml",
        "tccli.sh",
    ]
