"""How the built console is handed out: what is kept, what is not, and that nothing but its files is reachable."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tidegate.console.pages import NONCE_MARK, Console, open_to_all
from tidegate.errors import NotFound

SCRIPT = "console.log('tide');" * 200


@pytest.fixture
def built(tmp_path: Path) -> Console:
    (tmp_path / "static" / "assets").mkdir(parents=True)
    (tmp_path / "static" / "index.html").write_text(f'<meta name="csp-nonce" content="{NONCE_MARK}">')
    (tmp_path / "static" / "tide.svg").write_text("<svg/>")
    (tmp_path / "static" / "assets" / "main-1a2b.js").write_text(SCRIPT)
    (tmp_path / "secret.key").write_text("secret")
    return Console(tmp_path / "static")


def test_the_page_is_never_kept_and_lets_nothing_foreign_in(built: Console) -> None:
    answer = built.page()
    policy = answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy


def test_each_page_has_a_nonce_of_its_own_in_policy_and_page(built: Console) -> None:
    nonces = set()
    for _ in range(2):
        answer = built.page()
        nonce = bytes(answer.body).decode().split('content="')[1].split('"')[0]
        assert f"'nonce-{nonce}'" in answer.headers["content-security-policy"]
        nonces.add(nonce)
    assert len(nonces) == 2
    assert NONCE_MARK not in nonces


def test_a_file_whose_name_has_its_content_is_kept_for_ever(built: Console) -> None:
    answer = built.file("assets/main-1a2b.js", gzipped=False)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.media_type == "text/javascript"
    assert bytes(answer.body) == SCRIPT.encode()


def test_another_file_is_not(built: Console) -> None:
    answer = built.file("tide.svg", gzipped=True)
    assert answer.headers["cache-control"] == "no-cache"
    assert "content-encoding" not in answer.headers  # too small to gain


def test_who_takes_gzip_gets_it(built: Console) -> None:
    answer = built.file("assets/main-1a2b.js", gzipped=True)
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(answer.body)) == SCRIPT.encode()


@pytest.mark.parametrize(
    "name", ["assets/gone.js", "../secret.key", "assets/../../secret.key", "/etc/passwd", "index.html"]
)
def test_nothing_but_the_files_is_reachable(built: Console, name: str) -> None:
    with pytest.raises(NotFound):
        built.file(name, gzipped=False)


def test_without_a_build_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    console = Console(tmp_path / "nothing")
    answer = console.page()
    assert answer.status_code == 503
    assert b"make console" in bytes(answer.body)
    assert console.build == ""


def test_another_build_has_another_name(built: Console, tmp_path: Path) -> None:
    (tmp_path / "static" / "index.html").write_text("other")
    assert Console(tmp_path / "static").build != built.build


@pytest.mark.parametrize(
    ("path", "is_open"),
    [("/", True), ("/console", True), ("/console/ops", True), ("/consoles", False), ("/api/v1/ops", False)],
)
def test_only_the_consoles_own_addresses_are_open(path: str, is_open: bool) -> None:
    assert open_to_all(path) is is_open
