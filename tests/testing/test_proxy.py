"""The proxy that breaks connections: each fault does what it says, while connections are open, and nothing is left."""

from __future__ import annotations

import errno
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tidegate.testing.proxy import COMMIT, Proxy, Then, behind, behind_bytes
from tidegate.testing.servers import PostgresServer, until

SEED = 20_261_122
DEADLINE_S = 30.0


class Echo:
    """Sends back what it gets; `got` is everything it was sent."""

    def __init__(self, path: Path | None = None) -> None:
        self.got = b""
        self.ends: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen(16)
        self.address: tuple[str, int] | Path = path or self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                while data := client.recv(65536):
                    self.got += data
                    client.sendall(data)
                self.ends.append("closed")
            except OSError as error:
                self.ends.append(errno.errorcode[error.errno or 0])

    def close(self) -> None:
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    print("seed", SEED)
    with Proxy(echo.address, seed=SEED) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client:
        soon(lambda: proxy.open == 1, "the connection is through")
        yield client


def read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := client.recv(size - len(data))):
        data += piece
    return data


def nothing_comes(client: socket.socket, for_s: float = 0.3) -> bool:
    client.settimeout(for_s)
    try:
        return not client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(DEADLINE_S)


def soon(done: Callable[[], bool], what: str) -> None:
    until(done, what, DEADLINE_S)


def test_bytes_pass_unchanged_both_ways_and_are_counted(proxy: Proxy, client: socket.socket) -> None:
    data = random.Random(SEED).randbytes(2_000_000)
    threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
    assert read(client, len(data)) == data
    assert (proxy.up.bytes, proxy.down.bytes) == (len(data), len(data))
    assert (proxy.counts.connections, proxy.counts.cuts, proxy.open) == (1, 0, 1)


def test_a_unix_socket_may_be_behind(tmp_path: Path) -> None:
    server = Echo(tmp_path / "echo")
    with Proxy(server.address) as proxy, socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client:
        client.sendall(b"hello")
        assert read(client, 5) == b"hello"
    server.close()


def test_latency_delays_without_slowing_down(proxy: Proxy, client: socket.socket) -> None:
    proxy.up.latency_s = proxy.down.latency_s = 0.2
    proxy.up.jitter_s = 0.1
    began = time.monotonic()
    for _ in range(20):
        client.sendall(b"x" * 1000)
        time.sleep(0.01)
    assert read(client, 20_000) == b"x" * 20_000
    assert 0.4 <= time.monotonic() - began < 0.4 * 20  # and not once per piece


def test_delayed_bytes_keep_their_order(proxy: Proxy, client: socket.socket) -> None:
    proxy.up.jitter_s = 0.05
    for number in range(100):
        client.sendall(bytes([number]))
    assert read(client, 100) == bytes(range(100))


def test_a_rate_is_kept(proxy: Proxy, client: socket.socket) -> None:
    proxy.down.rate_bytes_s = 20_000
    began = time.monotonic()
    client.sendall(b"x" * 10_000)
    assert read(client, 10_000) == b"x" * 10_000
    assert time.monotonic() - began >= 0.4


def test_one_byte_pieces_arrive_whole(proxy: Proxy, client: socket.socket) -> None:
    proxy.down.piece_bytes = 1
    client.sendall(b"0123456789" * 50)
    assert read(client, 500) == b"0123456789" * 50
    assert proxy.down.pieces == 500


def test_a_stalled_way_pushes_back_and_goes_on_when_healed(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    proxy.up.stalls = True
    sent = threading.Event()
    data = b"x" * (8 << 20)
    threading.Thread(target=lambda: (client.sendall(data), sent.set()), daemon=True).start()
    assert nothing_comes(client)
    assert not sent.is_set()
    assert not echo.got
    proxy.heal()
    assert read(client, len(data)) == data


def test_a_black_hole_takes_everything_and_answers_nothing(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    proxy.black_hole()
    client.sendall(b"x" * (1 << 20))
    assert nothing_comes(client)
    assert not echo.got
    with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as late:
        late.sendall(b"x")
        assert nothing_comes(late)
        assert proxy.counts.connections == 1  # the server never heard of it


def test_a_reset_is_seen_as_one_at_both_ends(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    client.sendall(b"x")
    read(client, 1)
    assert proxy.reset() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    soon(lambda: echo.ends == ["ECONNRESET"], "the server sees a reset")
    assert (proxy.counts.cuts, proxy.open) == (1, 0)


def test_a_half_close_leaves_the_other_way_open(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    client.sendall(b"x")
    assert read(client, 1) == b"x"
    proxy.half_close(proxy.down)
    assert client.recv(1) == b""
    client.sendall(b"yz")
    soon(lambda: echo.got == b"xyz", "the server still hears")


def test_what_closes_one_end_closes_the_other(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    client.close()
    soon(lambda: echo.ends == ["closed"], "the server sees the end")
    soon(lambda: proxy.open == 0, "nothing is left")


def test_refused_connections_are_refused_by_the_machine(proxy: Proxy, client: socket.socket) -> None:
    client.sendall(b"x")
    assert read(client, 1) == b"x"
    proxy.refuses = True
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((proxy.host, proxy.port), DEADLINE_S)
    client.sendall(b"y")
    assert read(client, 1) == b"y"  # what is open stays open
    proxy.refuses = False
    with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as late:
        late.sendall(b"z")
        assert read(late, 1) == b"z"


def test_a_server_that_is_away_resets_the_connection(proxy: Proxy, echo: Echo) -> None:
    echo.close()
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client,
    ):
        client.recv(1)
    assert proxy.counts.turned_away == 1


@pytest.mark.parametrize("at", [0, 1, 4_999, 5_000, 5_001])
def test_a_cut_is_exact_to_the_byte(proxy: Proxy, client: socket.socket, at: int) -> None:
    rule = proxy.when(proxy.down, behind_bytes(at), Then.RESET)
    got = b""
    with pytest.raises(ConnectionResetError):  # noqa: PT012  it comes behind the last byte
        for _ in range(20):
            client.sendall(b"x" * 1_000)
            while True:
                client.settimeout(0.2)
                try:
                    piece = client.recv(1_000)
                except TimeoutError:
                    break
                assert piece
                got += piece
                if len(got) % 1_000 == 0:
                    break
    assert len(got) == at
    assert rule.fired == 1


def test_a_byte_is_garbled_at_a_chosen_place(proxy: Proxy, client: socket.socket) -> None:
    proxy.when(proxy.down, behind_bytes(7), Then.GARBLE)
    client.sendall(b"0123456789")
    got = read(client, 10)
    assert [at for at in range(10) if got[at] != b"0123456789"[at]] == [7]


def test_bytes_are_garbled_at_random_as_the_seed_says(echo: Echo) -> None:
    def run() -> bytes:
        with Proxy(echo.address, seed=SEED) as proxy:
            proxy.up.garbled_share = 0.01
            with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as client:
                client.sendall(b"\0" * 5_000)
                return read(client, 5_000)

    first = run()
    assert 10 < sum(byte != 0 for byte in first) < 200
    assert run() == first


def test_a_rule_waits_for_a_pattern_even_if_it_comes_in_pieces(proxy: Proxy, client: socket.socket) -> None:
    rule = proxy.when(proxy.up, behind(rb"END"), Then.SWALLOW, times=1)
    for piece in (b"abcE", b"N", b"Dxyz"):
        client.sendall(piece)
        time.sleep(0.05)
    client.settimeout(DEADLINE_S)
    assert read(client, 6) == b"abcEND"[:6]
    assert nothing_comes(client)
    assert rule.fired == 1


def test_a_rule_can_stall_or_half_close(proxy: Proxy, echo: Echo, client: socket.socket) -> None:
    proxy.when(proxy.up, behind(rb"stop"), Then.STALL)
    client.sendall(b"stop it")
    assert read(client, 4) == b"stop"
    assert nothing_comes(client)
    with socket.create_connection((proxy.host, proxy.port), DEADLINE_S) as second:
        proxy.when(proxy.down, behind(rb"bye"), Then.HALF_CLOSE)
        second.sendall(b"bye now")
        assert read(second, 100) == b"bye"


def test_closing_it_ends_every_connection_and_frees_the_port(echo: Echo) -> None:
    proxy = Proxy(echo.address)
    clients = [socket.create_connection((proxy.host, proxy.port), DEADLINE_S) for _ in range(5)]
    soon(lambda: proxy.open == 5, "five connections")
    threads = threading.active_count()
    proxy.close()
    proxy.close()
    for client in clients:
        assert client.recv(1) == b""
        client.close()
    assert threading.active_count() < threads
    with Proxy(echo.address, port=proxy.port) as again:
        assert again.port == proxy.port


@pytest.mark.parametrize("extended", [False, True])
def test_a_commit_is_done_and_its_answer_never_comes(
    postgres: PostgresServer, database: Callable[[], str], extended: bool
) -> None:
    name = database()
    with postgres.connect(name) as direct, Proxy((postgres.host, postgres.port)) as proxy:
        direct.execute("create table t (id int)")
        rule = proxy.when(proxy.up, COMMIT, Then.RESET_UNANSWERED)
        connection = postgres.connect(name, host=proxy.host, port=proxy.port)
        connection.execute("begin")
        connection.execute("insert into t values (1)")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("COMMIT", binary=extended)
        assert connection.closed
        assert direct.execute("select count(*) from t").fetchall() == [(1,)]
        assert (rule.fired, proxy.counts.cuts) == (1, 1)
