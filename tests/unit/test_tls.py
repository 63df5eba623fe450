"""The server's certificate: what is refused at the start, who believes it, and what becomes of one that is renewed."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ExtendedKeyUsageOID

from fixtures.certificates import Made, certificate, private
from tidegate.client.address import address
from tidegate.errors import SettingInvalid
from tidegate.model.certificate import FILE, keep, kept, own, pinned
from tidegate.server.tls import Tls, publish, renew, tls_of
from tidegate.settings import load


def shaken(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = None) -> tuple[bytes, str]:
    """The certificate that a client of it sees, and the protocol; raises what either says."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(down, up, server_hostname=name), server.wrap_bio(up, down, server_side=True)]
    for _ in range(8):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return sides[0].getpeercert(binary_form=True) or b"", sides[0].version() or ""


def sees(server: ssl.SSLContext, made: Made) -> bool:
    """Whether the server shows exactly this certificate to who trusts it alone."""
    try:
        return shaken(server, pinned(made.pem))[0] == ssl.PEM_cert_to_DER_cert(made.pem)
    except ssl.SSLCertVerificationError:
        return False


def test_a_certificate_and_its_key_make_tls_of_version_1_2_or_newer(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    tls = tls_of(load(made.environment))
    assert tls is not None
    assert sees(tls.context, made)
    old = pinned(made.pem)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shaken(tls.context, old)[1] == "TLSv1.2"
    for side in (old, tls.context):
        side.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that nothing but the version stands against it
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        shaken(tls.context, old)
    assert tls_of(load({})) is None


def missing(made: Made) -> None:
    made.certificate.unlink()


def unreadable(made: Made) -> None:
    made.key.unlink()
    made.key.mkdir()


def no_certificate(made: Made) -> None:
    made.certificate.write_text("nothing")


def no_key(made: Made) -> None:
    made.key.write_text("nothing")


def another_key(made: Made) -> None:
    certificate(made.key.parent, "other").key.rename(made.key)


def with_passphrase(made: Made) -> None:
    made.key.write_bytes(private(made.secret, b"canary"))


def expired(made: Made) -> None:
    certificate(made.key.parent, days=-0.5)


def not_yet(made: Made) -> None:
    certificate(made.key.parent, since_days=-1)


def for_clients(made: Made) -> None:
    certificate(made.key.parent, use=ExtendedKeyUsageOID.CLIENT_AUTH)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing, "tls_certificate: .*server.crt cannot be read: No such file"),
        (unreadable, "tls_key: .*server.key cannot be read: Is a directory"),
        (no_certificate, "tls_certificate: .*holds no certificate in PEM"),
        (no_key, "tls_key: .*holds no private key in PEM"),
        (another_key, "tls_key: .*is not the key of the certificate in"),
        (with_passphrase, "tls_key: .*is encrypted with a passphrase"),
        (expired, "tls_certificate: .*expired at"),
        (not_yet, "tls_certificate: .*is not valid before"),
        (for_clients, "tls_certificate: .*cannot be used for TLS .*certificate purpose"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, spoil: Callable[[Made], None], said: str) -> None:
    made = certificate(tmp_path)
    spoil(made)
    with pytest.raises(SettingInvalid, match=said) as refused:
        tls_of(load(made.environment))
    assert "PRIVATE" not in refused.value.detail


@pytest.mark.parametrize(("lone", "lacks"), [("TLS_CERTIFICATE", "tls_key is not"), ("TLS_KEY", "tls_certificate is")])
def test_one_of_the_two_alone_is_refused(tmp_path: Path, lone: str, lacks: str) -> None:
    given = certificate(tmp_path).environment
    with pytest.raises(SettingInvalid, match=lacks):
        tls_of(load({f"TIDEGATE_{lone}": given[f"TIDEGATE_{lone}"]}))


def test_who_trusts_the_servers_certificate_trusts_no_other_of_the_same_authority(tmp_path: Path) -> None:
    authority = certificate(tmp_path, "authority", authority=True)
    ours = certificate(tmp_path, "ours", by=authority)
    twin = certificate(tmp_path, "twin", by=authority)
    whole = ours.certificate.read_text()
    assert own(whole).strip() == ours.pem.strip()
    assert whole.count("BEGIN") == 2
    assert shaken(Tls(ours.certificate, ours.key).context, pinned(whole))
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(Tls(twin.certificate, twin.key).context, pinned(whole))


def test_a_certificate_that_runs_out_while_the_server_runs_stops_no_worker(tmp_path: Path) -> None:
    made = certificate(tmp_path, days=-0.5)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    assert sees(context, made)
    stranger = ssl.create_default_context(cafile=made.certificate)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shaken(context, stranger, "127.0.0.1")


def test_files_that_were_exchanged_are_used_from_the_next_handshake_on(tmp_path: Path) -> None:
    before = certificate(tmp_path)
    tls = Tls(before.certificate, before.key)
    publish(tls, tmp_path)
    after = certificate(tmp_path)
    assert (sees(tls.context, before), sees(tls.context, after)) == (True, False)
    renew(tls, tmp_path)
    assert (sees(tls.context, before), sees(tls.context, after)) == (False, True)
    assert kept(tmp_path) == after.pem


def test_files_that_cannot_be_used_leave_everything_as_it_was(tmp_path: Path) -> None:
    before = certificate(tmp_path)
    tls = Tls(before.certificate, before.key)
    publish(tls, tmp_path)
    another_key(before)
    renew(tls, tmp_path)
    assert sees(tls.context, before)
    assert kept(tmp_path) == before.pem


def test_the_certificate_is_put_for_the_servers_user_alone_and_taken_away_again(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    assert kept(data_dir) is None
    keep(data_dir, made.certificate.read_text())
    assert [path.name for path in data_dir.iterdir()] == [FILE]
    assert stat.S_IMODE(os.stat(data_dir / FILE).st_mode) == 0o600
    publish(None, data_dir)
    assert kept(data_dir) is None
    publish(None, data_dir)


def test_a_certificate_that_ends_within_thirty_days_is_told_of(tmp_path: Path) -> None:
    for days, soon in ((29, True), (31, False)):
        made = certificate(tmp_path, days=days)
        tls = Tls(made.certificate, made.key)
        assert tls.expires_soon is soon
        assert abs(tls.ends_at - made.held.not_valid_after_utc) < timedelta(seconds=1)


def test_the_servers_own_certificate_is_for_its_own_machine_only(tmp_path: Path) -> None:
    environment = {"TIDEGATE_DATA_DIR": str(tmp_path), "TIDEGATE_TOKEN": "t"}
    assert address(environment).url == "http://127.0.0.1:8470"
    keep(tmp_path, certificate(tmp_path).pem)
    environment["TIDEGATE_CA"] = "/ours.pem"
    here = address(environment)
    assert (here.url, here.own, here.ca) == ("https://127.0.0.1:8470", kept(tmp_path), None)
    there = address(environment, "https://tidegate.example:8470")
    assert (there.own, there.ca) == (None, Path("/ours.pem"))
    asked = address(environment, ca="/theirs.pem")
    assert (asked.own, asked.ca) == (None, Path("/theirs.pem"))
