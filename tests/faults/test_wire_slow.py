"""Slow networks: lag grows and shrinks again, but nobody is taken for dead and nothing is tried twice."""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from faults.keeping import Kept, kept
from faults.lanes import long
from faults.wired import TABLES, Wired, Workload, becomes_exact, newest
from tidegate.connect.config import parse_config
from tidegate.errors import Retry, SourceLogBroken
from tidegate.sources.postgres import PostgresSource
from tidegate.testing.servers import PostgresServer, available
from tidegate.testing.wire import Way

pytestmark = long

SEED = 9_118
# A server so impatient that a reader who answers only between two statements loses it.
SENDER_TIMEOUT_S = 3


@pytest.fixture
def wired(postgres: PostgresServer, database: Callable[..., str]) -> Iterator[Wired]:
    name = database()
    with postgres.connect() as connection:
        connection.execute(f"alter database {name} set wal_sender_timeout = '{SENDER_TIMEOUT_S}s'")
    pair = Wired(postgres, name, database(), seed=SEED)
    yield pair
    pair.close()


def slow(way: Way, how: str) -> None:
    match how:
        case "latency":
            way.latency_s, way.jitter_s = 0.3, 0.1
        case "rate":
            way.rate_bytes_s = 8_000
        case "one byte":
            way.piece_bytes = 1


def goes_through(pair: Wired, keeper: Kept, work: Workload, write: str) -> None:
    """Work that is more than the network takes at once arrives, late, without one attempt failing."""
    transactions = 40
    work.write(transactions)
    behind = work.written - newest(pair)
    keeper.reaches(lambda: newest(pair) == work.written, "everything", deadline_s=90)
    pair.heal()
    becomes_exact(pair, write, keeper.reaches)
    assert keeper.reasons() == []
    assert keeper.attempts == 1
    assert behind > 0


@pytest.mark.parametrize("how", ["latency", "rate", "one byte"])
def test_a_slow_source_is_followed_without_losing_its_connection(wired: Wired, how: str) -> None:
    work = Workload(wired, SEED, ledger_rows=50)
    with kept(wired.rig(TABLES, write="append")) as keeper:
        keeper.copied()
        slow(wired.to_source.up, how if how != "rate" else "")
        slow(wired.to_source.down, how)
        goes_through(wired, keeper, work, "append")


@pytest.mark.parametrize("how", ["latency", "rate", "one byte"])
def test_a_slow_target_does_not_cost_the_source_its_reader(wired: Wired, how: str) -> None:
    work = Workload(wired, SEED, ledger_rows=50)
    with kept(wired.rig(TABLES, write="upsert")) as keeper:
        keeper.copied()
        slow(wired.to_target.up, how)
        slow(wired.to_target.down, how if how != "rate" else "")
        goes_through(wired, keeper, work, "upsert")


# --- under TLS ---


@pytest.fixture(scope="module")
def tls_server() -> Iterator[PostgresServer]:
    speaking = [found for found in available().values() if b"libssl" in (found / "postgres").read_bytes()]
    if not speaking:
        pytest.skip("no PostgreSQL of this machine speaks TLS")
    with PostgresServer(speaking[0]) as server:
        assert server.directory is not None
        for path in certificate(server.directory):
            path.chmod(0o600)
            if server.user is not None:
                os.chown(path, server.user.pw_uid, server.user.pw_gid)
        server.restart(
            ssl=True,
            ssl_cert_file=str(server.directory / "server.crt"),
            ssl_key_file=str(server.directory / "server.key"),
        )
        yield server


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / "server.crt", folder / "server.key"
    files[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@pytest.mark.parametrize("write", ["append", "upsert"])
def test_under_tls_no_garbled_byte_is_ever_applied(
    tls_server: PostgresServer, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.connect.pgwatch.SILENCE_S", 0.5)
    monkeypatch.setattr("tidegate.connect.pgreplication.SILENCE_MAX_S", 2.0)
    names = [f"tls_{side}_{write}" for side in ("source", "target")]
    for name in names:
        tls_server.create_database(name)
    pair = Wired(tls_server, *names, seed=SEED)
    encrypted = tls_server.config(names[0]) | {"port": pair.to_source.port, "sslmode": "require"}
    pair.source_config = parse_config(PostgresSource.Config, encrypted, of="src")
    r = random.Random(SEED)
    print("seed", SEED)
    work = Workload(pair, SEED, ledger_rows=200)
    with kept(pair.rig(TABLES, write=write)) as keeper:
        keeper.copied()
        work.start()
        for _ in range(8):
            noticed, before = len(keeper.passing), newest(pair)
            keeper.reaches(lambda before=before: newest(pair) > before + 5, "it gets on")  # type: ignore[misc]
            pair.to_source.down.garbled_share = 10 ** r.uniform(-4, -2)
            keeper.reaches(lambda noticed=noticed: len(keeper.passing) > noticed, "it is noticed")  # type: ignore[misc]
            pair.to_source.heal()
        work.end()
        becomes_exact(pair, write, keeper.reaches)
        assert all(error.retry is Retry.LATER and not isinstance(error, SourceLogBroken) for error in keeper.passing)
    pair.close()
