"""A server that speaks TLS: whom it answers, how long it waits, who believes it, and what it says of itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner
from websockets.sync.client import connect

from api.rig import Api, opened
from api.test_server_process import END_DEADLINE_S, command, refused, server
from api.test_wire import ASKED, answered
from fixtures.certificates import Made, certificate
from tidegate.cli.main import app
from tidegate.client import AsyncClient, Client
from tidegate.errors import EnvironmentLacking, Fenced, ServerNotTrusted, ServerUnreachable
from tidegate.model.certificate import FILE, keep, kept, pinned
from tidegate.server import protocol
from tidegate.server.protocol import HEAD_MAX_BYTES
from tidegate.server.session import COOKIE
from tidegate.server.tls import Tls
from tidegate.testing.servers import free_port
from tidegate.testing.site import eventually
from tidegate.worker.link import Link


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return certificate(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, made: Made) -> Iterator[Api]:
    """One server for all tests that change nothing; handshakes have a deadline that can be waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "HEAD_DEADLINE_S", 1.0)
        patch.setattr(protocol, "GOODBYE_DEADLINE_S", 0.3)
        with opened(tmp_path_factory.mktemp("secure") / "data", tls=Tls(made.certificate, made.key)) as api:
            yield api


@contextmanager
def plain_line(api: Api) -> Iterator[socket.socket]:
    place = urlsplit(api.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as line:
        yield line


@contextmanager
def tls_line(api: Api, made: Made) -> Iterator[ssl.SSLSocket]:
    with plain_line(api) as line, pinned(made.pem).wrap_socket(line) as secured:
        yield secured


def ended(line: socket.socket) -> bytes:
    """What comes until the connection ends; fails if it does not."""
    came = b""
    try:
        while piece := line.recv(4096):
            came += piece
    except (ConnectionError, ssl.SSLError):
        pass  # ended without a word
    return came


def test_every_answer_asks_browsers_to_come_by_tls_only(secure: Api, api: Api) -> None:
    for path, status in (("/api/v1/health", 200), ("/api/v1/nothing", 404), ("/console/", 200), ("/worker/v1/x", 401)):
        answer = secure.http.get(path)
        assert answer.status_code in (status, 404, 503), path
        assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "Strict-Transport-Security" not in api.http.get("/api/v1/health").headers


def test_the_cookie_of_a_log_in_goes_by_tls_only(secure: Api, made: Made, api: Api) -> None:
    for asked, is_secure in ((secure, True), (api, False)):
        answer = asked.http.post("/api/v1/session", json={"token": asked.token}, headers={"Origin": asked.url})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(COOKIE)
        assert ("secure" in cookie.lower().split("; ")) is is_secure


def test_the_consoles_web_socket_opens_under_tls(secure: Api, made: Made) -> None:
    answer = secure.http.post("/api/v1/session", json={"token": secure.token}, headers={"Origin": secure.url})
    cookie = f"{COOKIE}={answer.cookies[COOKIE]}"
    asked: dict[str, Any] = {"origin": secure.url, "additional_headers": {"Cookie": cookie}, "proxy": None}
    with connect(secure.url.replace("https:", "wss:") + "/api/live", ssl=pinned(made.pem), **asked) as page:
        assert page.recv(timeout=20)


# --- bounds ---


def test_plain_http_is_not_answered_and_does_not_hang(secure: Api) -> None:
    with plain_line(secure) as line:
        began = time.monotonic()
        line.sendall(ASKED + b"\r\n")
        assert not ended(line).startswith(b"HTTP")
        assert time.monotonic() - began < 0.9, "it is ended at once, not after a deadline"


def test_who_begins_no_handshake_or_none_that_ends_is_let_go(secure: Api) -> None:
    for said in (b"", b"\x16\x03\x01\x02\x00\x01"):
        with plain_line(secure) as line:
            line.sendall(said)
            began = time.monotonic()
            ended(line)
            assert time.monotonic() - began < 5


@pytest.mark.parametrize("said", [b"", b"GET /api", ASKED], ids=["nothing", "half a line", "half a head"])
def test_a_head_that_is_slow_is_cut_under_tls_as_well(secure: Api, made: Made, said: bytes) -> None:
    with tls_line(secure, made) as line:
        line.sendall(said)
        began = time.monotonic()
        assert ended(line) == b""
        assert time.monotonic() - began < 5


def test_who_does_not_say_goodbye_is_not_waited_for(secure: Api, made: Made) -> None:
    with plain_line(secure) as line:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        held = pinned(made.pem).wrap_bio(down, up)
        while True:
            try:
                held.do_handshake()
                break
            except ssl.SSLWantReadError:
                line.sendall(up.read())
                down.write(line.recv(65536))
        line.sendall(up.read())
        began = time.monotonic()
        ended(line)  # records are taken and never answered
        assert time.monotonic() - began < 5


def test_a_head_that_is_too_large_is_refused_under_tls_as_well(secure: Api, made: Made) -> None:
    with tls_line(secure, made) as line:
        line.sendall(b"GET /" + b"y" * HEAD_MAX_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answered(line) == b"HTTP/1.1 400 Bad Request"


def test_more_connections_than_allowed_are_refused_under_tls_as_well(
    tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = protocol.configured
    monkeypatch.setattr("api.rig.configured", lambda *given, **named: real(*given, connections_max=3, **named))
    with opened(tmp_path / "data", tls=Tls(made.certificate, made.key)) as api, ExitStack() as stack:
        answers = []
        for _ in range(3):
            line = stack.enter_context(tls_line(api, made))
            line.sendall(ASKED + b"\r\n")
            answers.append(answered(line).split()[1])
        assert answers == [b"200", b"200", b"503"]


# --- who believes it ---


def test_a_client_elsewhere_believes_a_certificate_of_its_authorities_and_no_other(
    secure: Api, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "elsewhere"))
    stranger = certificate(tmp_path, "stranger")
    with Client(secure.url, secure.token, ca=made.certificate) as client:
        assert client.list_ops()["total"] == 0
    for ca in (None, stranger.certificate):
        with Client(secure.url, secure.token, ca=ca) as client, pytest.raises(ServerNotTrusted, match="self-signed"):
            client.list_ops()
    monkeypatch.setenv("TIDEGATE_CA", str(made.certificate))
    with Client(secure.url, secure.token) as client:
        assert client.list_ops()["total"] == 0
    monkeypatch.setenv("TIDEGATE_CA", str(tmp_path / "none"))
    with pytest.raises(EnvironmentLacking, match="none cannot be read"):
        Client(secure.url, secure.token)


def test_a_client_that_is_awaited_verifies_likewise(
    secure: Api, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "elsewhere"))

    async def ask(ca: Path | None) -> int:
        async with AsyncClient(secure.url, secure.token, ca=ca) as client:
            return int((await client.list_ops())["total"])

    assert asyncio.run(ask(made.certificate)) == 0
    with pytest.raises(ServerNotTrusted, match="self-signed"):
        asyncio.run(ask(None))


def test_a_certificate_for_another_name_is_refused_by_who_goes_by_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate(tmp_path, "authority", authority=True)
    other = certificate(tmp_path, "other", by=authority, hosts=("other.example",))
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "elsewhere"))
    with (
        opened(tmp_path / "data", tls=Tls(other.certificate, other.key)) as api,
        Client(api.url, api.token, ca=authority.certificate) as client,
        pytest.raises(ServerNotTrusted, match=r"not valid for '127\.0\.0\.1'"),
    ):
        client.health()


def test_who_comes_by_the_wrong_scheme_is_told(secure: Api, made: Made, api: Api) -> None:
    http, https = secure.url.replace("https:", "http:"), api.url.replace("http:", "https:")
    with Client(http, "x") as client, pytest.raises(ServerUnreachable, match="begins with https://"):
        client.health()
    with (
        Client(https, "x", ca=made.certificate) as client,
        pytest.raises(ServerUnreachable, match="begins with http://"),
    ):
        client.health()


def test_a_worker_believes_the_certificate_that_is_its_servers_now_and_no_other(tmp_path: Path) -> None:
    first, second = (certificate(tmp_path, name) for name in ("first", "second"))
    trusted, port = tmp_path / "trusted", free_port()
    trusted.mkdir()
    with opened(tmp_path / "one", tls=Tls(first.certificate, first.key), port=port) as api:
        keep(trusted, first.pem)
        link = Link(api.url, "of no run", trusted)
        with pytest.raises(Fenced, match="401"):  # it was asked
            link.post("register", {})
    with opened(tmp_path / "two", tls=Tls(second.certificate, second.key), port=port):
        for _ in range(2):
            with pytest.raises(ServerUnreachable, match="ConnectError"):
                link.post("register", {})
        keep(trusted, second.pem)
        with pytest.raises(ServerUnreachable, match="ConnectError"):  # it looks, for the next time
            link.post("register", {})
        with pytest.raises(Fenced, match="401"):
            link.post("register", {})
        link.close()


# --- the process ---


PASSWORDS = "a long password of ann\n" * 2


def tidegate(*given: str, words: str = "", **environment: str) -> Any:
    clean = {"TIDEGATE_URL": None, "TIDEGATE_TOKEN": None, "TIDEGATE_CA": None}
    return CliRunner().invoke(app, list(given), input=words, env=clean | environment)


def test_it_tells_https_everywhere_and_commands_of_its_machine_believe_it(tmp_path: Path) -> None:
    made = certificate(tmp_path, hosts=("tidegate.example",))
    folder = tmp_path / "data"
    with server(folder, **made.environment) as (process, said):
        assert said["url"].startswith("https://127.0.0.1:")
        assert kept(folder) == made.pem
        code, told = refused(command(folder, 0))
        assert (code, f"at {said['url']}" in told) == (3, True)
        here = {"TIDEGATE_DATA_DIR": str(folder), "TIDEGATE_PORT": said["url"].rpartition(":")[2]}
        assert tidegate("ops", "--json", **here).exit_code == 0
        made_by = ("user", "set-up", "ann", "--code", said["set_up_code"])
        assert tidegate(*made_by, words=PASSWORDS, **here).exit_code == 0
        elsewhere = {"TIDEGATE_URL": said["url"], "TIDEGATE_TOKEN": said["token"], "TIDEGATE_DATA_DIR": str(tmp_path)}
        found = tidegate("ops", **elsewhere)
        assert (found.exit_code, "server.not_trusted" in found.stderr) == (3, True)
        process.terminate()
        began = time.monotonic()
        process.communicate(timeout=30)
        assert time.monotonic() - began < END_DEADLINE_S
    with server(folder) as (_, said):
        assert said["url"].startswith("http://127.0.0.1:")
        assert not (folder / FILE).exists()


def test_a_certificate_that_cannot_be_used_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    code, said = refused(command(tmp_path / "data", free_port(), "--tls-certificate", str(made.certificate)))
    assert (code, "environment.setting_invalid" in said, "tls_key is not" in said) == (3, True, True)
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()


def test_a_hangup_exchanges_the_certificate_and_ends_no_connection(tmp_path: Path) -> None:
    before = certificate(tmp_path)
    folder = tmp_path / "data"
    with server(folder, **before.environment) as (process, said):

        def asks(made: Made) -> bool:
            try:
                return httpx.get(f"{said['url']}/api/v1/health", verify=pinned(made.pem), trust_env=False).is_success
            except httpx.ConnectError:
                return False

        with httpx.Client(base_url=said["url"], verify=pinned(before.pem), trust_env=False) as standing:
            assert standing.get("/api/v1/health").is_success
            after = certificate(tmp_path)
            os.kill(process.pid, signal.SIGHUP)
            eventually(lambda: kept(folder) == after.pem, "the certificate is exchanged", 20)
            assert (asks(before), asks(after)) == (False, True)
            assert standing.get("/api/v1/health").is_success
            after.key.write_text("nothing")
            os.kill(process.pid, signal.SIGHUP)
            assert standing.get("/api/v1/health").is_success
            assert asks(after)
        process.terminate()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "server.certificate_renewed" in err
        assert "server.certificate_not_renewed" in err
        assert "holds no private key" in err
