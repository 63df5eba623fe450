"""Records binary logs from a real MariaDB server, with the rows as the server itself reads them: the oracle of
`test_recorded.py`. Run by hand when a scenario changes: `PYTHONPATH=src:tests python -m decode_binlog.record`.

Needs `mariadbd`, `mariadb` and `mariadb-install-db` on PATH (Debian: mariadb-server). The server runs on a folder of
its own and a Unix socket, as whoever calls this.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decode_binlog.scenarios import SCENARIOS, Scenario, Table

HOME = Path(__file__).parent / "recorded"
START_DEADLINE_S = 60
SINGLE_BYTE = {"ascii", "cp1250", "cp1251", "cp1256", "cp1257", "cp850", "cp852", "cp866", "greek", "hebrew", "koi8r"}
SINGLE_BYTE |= {"koi8u", "latin1", "latin2", "latin5", "latin7", "macce", "macroman", "tis620"}


class Server:
    """A running server; `sql` runs statements over its socket and gives the answer's lines."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def sql(self, text: str) -> list[list[str]]:
        command = ["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch"]
        command += ["--skip-column-names", "--default-character-set=utf8mb4"]
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
        if done.returncode:
            sys.exit(f"{done.stderr.decode()}\n{text[:500]}")
        return [line.split("\t") for line in done.stdout.decode().splitlines()]


@contextmanager
def serving(folder: Path, options: tuple[str, ...]) -> Iterator[Server]:
    user, data, socket = getpass.getuser(), folder / "data", folder / "s"
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={user}", "--skip-test-db"]
    subprocess.run([*install, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
    command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--user={user}", f"--socket={socket}"]
    command += ["--skip-networking", "--server-id=7", "--innodb-buffer-pool-size=16M", "--sql-mode=", *options]
    command += ["--character-set-server=utf8mb4", f"--pid-file={folder / 'pid'}", "--innodb-log-file-size=8M"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START_DEADLINE_S
        while not socket.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((folder / "log").read_text())
            time.sleep(0.05)
        yield Server(socket)
    finally:
        process.terminate()
        process.wait(START_DEADLINE_S)


def rows_of(server: Server, table: Table) -> list[list[str | None]]:
    """The table as the server reads it, each value in Tidegate's grammar (floats: as doubles), ordered by key."""
    # In hexadecimal, so that no client and no separator can touch a value; NULL is the only thing that is not.
    chosen = ", ".join(f"hex(convert({column.read} using utf8mb4))" for column in table.columns)
    answer = server.sql(f"set time_zone = '+00:00'; select {chosen} from t.{table.name} order by 1")
    return [[None if cell == "NULL" else bytes.fromhex(cell).decode() for cell in row] for row in answer]


def record(scenario: Scenario) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in scenario.files.items():
            (folder / file).write_text(text)
        options = tuple(option.replace("FOLDER", name) for option in scenario.options)
        with serving(folder, (f"--log-bin={folder / 'data' / 'log'}", "--binlog-format=ROW", *options)) as server:
            server.sql("create database t; set global time_zone = '+00:00'; flush binary logs")
            for statement in scenario.statements():
                server.sql(f"set time_zone = '+00:00'; use t; {statement}")
            expected = {table.name: rows_of(server, table) for table in scenario.tables}
            ((_, position),) = server.sql("select binlog_gtid_pos('log.000002', 4), @@gtid_binlog_pos")
            server.sql("flush binary logs")
        log = (folder / "data" / "log.000002").read_bytes()
    (HOME / f"{scenario.name}.bin").write_bytes(log)
    held = {"tables": expected, "gtid_position": position}
    (HOME / f"{scenario.name}.json").write_text(json.dumps(held, ensure_ascii=False, indent=1) + "\n")
    print(f"{scenario.name}: {len(log)} bytes, {sum(map(len, expected.values()))} rows")


def record_charsets() -> None:
    """What the server makes of each byte of each set of single bytes (U+FFFD: nothing), and its collations' numbers."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name), ()) as server:
        answer = server.sql(
            "select id, character_set_name from information_schema.collation_character_set_applicability order by id"
        )
        collations = {row[0]: row[1] for row in answer}
        tables = {}
        for charset in sorted(set(collations.values()) & SINGLE_BYTE):
            shown = server.sql(
                f"use mysql; select hex(convert(convert(char(seq) using {charset}) using utf8mb4)) from seq_0_to_255"
            )
            texts = [bytes.fromhex(cell).decode() for (cell,) in shown]
            tables[charset] = "".join("\ufffd" if t == "?" and n != ord("?") else t for n, t in enumerate(texts))
    for file, held in (("collations", collations), ("charsets", tables)):
        (HOME / f"{file}.json").write_text(json.dumps(held, indent=0) + "\n")


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    if sys.argv[1:] in ([], ["charsets"]):
        record_charsets()
    for each in SCENARIOS:
        if len(sys.argv) == 1 or each.name in sys.argv[1:]:
            record(each)
