"""`tidegate server` as a process: how it starts, what it refuses, and how fast it ends."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from fixtures.postgres import NewDatabase
from tidegate.testing.servers import PostgresServer, free_port

START_DEADLINE_S = 60
END_DEADLINE_S = 2.5


def command(data_dir: Path, port: int, *flags: str, **more: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "tidegate", "server", "--port", str(port), *flags],
        env=environment | {"TIDEGATE_DATA_DIR": str(data_dir)} | more,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def server(data_dir: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server that answers, and what it said when it began to."""
    process = command(data_dir, 0, "--json", **more)
    assert process.stdout is not None
    watchdog = threading.Timer(START_DEADLINE_S, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
        watchdog.cancel()
        assert line, process.communicate()[1]
        yield process, json.loads(line)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the kernel has no huge pages")
def test_a_server_has_no_huge_pages_and_nor_do_its_children(tmp_path: Path) -> None:
    with server(tmp_path) as (process, _):
        # The kernel hands it on to whatever the process starts.
        assert "THP_enabled:\t0" in Path(f"/proc/{process.pid}/status").read_text().splitlines()


def refused(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=START_DEADLINE_S)
    return process.returncode, out + err


def test_it_says_where_it_listens_and_shows_the_token_at_the_first_start_only(tmp_path: Path) -> None:
    with server(tmp_path) as (_, first):
        token = (tmp_path / "admin.token").read_text().strip()
        assert first["token"] == token
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{first['url']}/api/v1/ops", headers=headers, trust_env=False).status_code == 200
    with server(tmp_path) as (_, second):
        assert second["token"] is None
        assert httpx.get(f"{second['url']}/api/v1/ops", headers=headers, trust_env=False).status_code == 200


def test_what_it_keeps_is_for_its_user_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with server(data_dir):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in data_dir.iterdir()}
        assert modes["admin.token"] == 0o600
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_it_listens_on_this_machine_only_unless_told_otherwise(tmp_path: Path) -> None:
    with server(tmp_path) as (_, said):
        assert said["url"].startswith("http://127.0.0.1:")


def test_it_says_so_when_its_networks_leave_its_own_machine_out_and_believes_no_proxy_it_was_not_told_of(
    tmp_path: Path,
) -> None:
    with server(tmp_path, TIDEGATE_ALLOW_FROM="10.1.0.0/16", TIDEGATE_TRUSTED_PROXIES="none") as (_, said):
        assert said["local_commands_refused"] is True
        for headers in ({}, {"X-Forwarded-For": "10.1.2.3"}):
            answer = httpx.get(f"{said['url']}/api/v1/health", headers=headers, trust_env=False)
            assert (answer.status_code, answer.json()["code"]) == (403, "request.address_refused")
    with server(tmp_path, TIDEGATE_ALLOW_FROM="10.1.0.0/16") as (_, said):
        near = httpx.get(f"{said['url']}/api/v1/health", headers={"X-Forwarded-For": "10.1.2.3"}, trust_env=False)
        assert near.status_code == 200
    with server(tmp_path, TIDEGATE_ALLOW_FROM="127.0.0.0/8") as (_, said):
        assert said["local_commands_refused"] is False
        assert httpx.get(f"{said['url']}/api/v1/health", trust_env=False).status_code == 200


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TIDEGATE_ALLOW_FROM", "office"),
        ("TIDEGATE_TRUSTED_PROXIES", "*"),
        ("TIDEGATE_SSO_ISSUER", "http://login.example"),
    ],
)
def test_networks_and_providers_that_are_none_are_refused_before_anything_is_served(
    tmp_path: Path, variable: str, value: str
) -> None:
    more = {"TIDEGATE_SSO_CLIENT_ID": "x", "TIDEGATE_PUBLIC_URL": "https://tidegate.example"}
    code, said = refused(command(tmp_path, 0, **more | {variable: value}))
    assert code != 0
    assert variable.removeprefix("TIDEGATE_").lower() in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon_and_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with server(tmp_path) as (process, _):
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=30)
        assert time.monotonic() - began < END_DEADLINE_S
        assert process.returncode == 0


def test_a_request_under_way_does_not_hold_its_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, server(tmp_path) as (process, said):
        # A source that takes the connection and never answers.
        trial = {
            "kind": "postgres",
            "config": {"host": "127.0.0.1", "port": silent.getsockname()[1], "database": "d", "user": "u"},
        }
        headers = {"Authorization": f"Bearer {said['token']}"}

        def ask() -> None:
            with suppress(httpx.HTTPError):  # the server ends first
                httpx.post(f"{said['url']}/api/v1/data-sources/test", json=trial, headers=headers, trust_env=False)

        asking = threading.Thread(target=ask)
        asking.start()
        with silent.accept()[0]:
            began = time.monotonic()
            process.terminate()
            process.communicate(timeout=30)
            assert time.monotonic() - began < END_DEADLINE_S
            assert process.returncode == 0
        asking.join(10)


def test_who_waits_for_lines_of_the_log_is_answered_when_it_ends(tmp_path: Path) -> None:
    with server(tmp_path) as (process, said):
        headers = {"Authorization": f"Bearer {(tmp_path / 'admin.token').read_text().strip()}"}
        ask = {"search": "nothing.like.it", "wait_s": "20"}
        with httpx.Client(base_url=said["url"], headers=headers, timeout=30, trust_env=False) as client:
            ask["cursor"] = client.get("/api/v1/logs", params=ask).json()["follow"]
            answers: list[httpx.Response] = []
            waits = threading.Thread(target=lambda: answers.append(client.get("/api/v1/logs", params=ask)))
            waits.start()
            time.sleep(0.5)  # so that it most likely waits by then; if not, it is answered likewise
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
            waits.join(30)
        assert [answer.status_code for answer in answers] == [200]
        assert process.returncode == 0
        assert "Exception" not in err


def test_a_port_that_is_taken_is_said_and_no_store_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refused(command(tmp_path / "data", port))
    assert code == 3
    assert f"127.0.0.1:{port}: Address already in use" in said
    assert "--port" in said
    assert "Traceback" not in said
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["server.lock"]


@pytest.mark.parametrize("port", ["free", "same"])
def test_a_second_server_on_the_same_data_is_told_of_the_first_whatever_its_port(tmp_path: Path, port: str) -> None:
    with server(tmp_path) as (_, first):
        code, said = refused(command(tmp_path, int(first["url"].rpartition(":")[2]) if port == "same" else 0))
    assert code == 3
    assert "environment.already_running" in said
    assert f"{tmp_path} is in use by another server, at {first['url']}" in said


def test_the_data_of_a_server_that_was_killed_can_be_used_at_once(tmp_path: Path) -> None:
    with server(tmp_path) as (process, _):
        process.kill()
        process.wait(30)
        with server(tmp_path) as (_, second):
            assert second["token"] is None


def test_a_second_server_on_the_same_store_is_refused(
    tmp_path: Path, postgres: PostgresServer, database: NewDatabase
) -> None:
    shared = {
        "TIDEGATE_STORE_URL": f"postgresql+psycopg://postgres@127.0.0.1:{postgres.port}/{database(prefix='store')}",
        "TIDEGATE_SECRET_KEY": base64.b64encode(bytes(range(32))).decode(),
    }
    with server(tmp_path / "one", **shared) as (_, first):
        assert first["token"] is not None
        code, said = refused(command(tmp_path / "two", 0, **shared))
    assert code == 3
    assert "environment.already_running" in said
    with server(tmp_path / "two", **shared) as (_, second):
        assert second["token"] is None


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--lease-s", "soon"], "--lease-s is not a number"),
        (["--lease-s", "1"], "twice heartbeat_s"),
        (["--log-level", "loud"], "must be one of debug"),
        (["--host", "no.such.host.invalid"], "is no address of this machine"),
        (["--host", "192.0.2.1"], "192.0.2.1"),
    ],
)
def test_a_setting_that_is_wrong_is_named(tmp_path: Path, flags: list[str], part: str) -> None:
    code, said = refused(command(tmp_path, free_port(), *flags))
    assert code == 3
    assert part in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("nonsense", "TIDEGATE_STORE_URL"),
        ("mysql://u:canary-9@h/d", "TIDEGATE_STORE_URL"),
        ("postgresql+psycopg://u:canary-9@127.0.0.1:1/d?connect_timeout=2", "store.unavailable"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_without_its_password(tmp_path: Path, url: str, part: str) -> None:
    code, said = refused(command(tmp_path, 0, TIDEGATE_STORE_URL=url))
    assert code == 3
    assert part in said
    assert "canary-9" not in said
    assert "Traceback" not in said


def test_a_data_directory_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = refused(command(tmp_path / "file", 0))
    assert code == 3
    assert "cannot be used" in said


def test_a_key_that_does_not_open_the_store_is_refused(tmp_path: Path) -> None:
    with server(tmp_path):
        pass
    key = next(path for path in tmp_path.iterdir() if "key" in path.name)
    key.write_text("A" * 43 + "=\n")
    code, said = refused(command(tmp_path, 0))
    assert code == 3
    assert "store.key_wrong" in said
    assert "Traceback" not in said
