"""The vault, and where its key comes from."""

from __future__ import annotations

import base64
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import EnvironmentLacking, SecretKeyWrong
from tidegate.store.secrets import KEY_ENV, KEY_FILE, Vault, find_key

KEY, OTHER = b"k" * 32, b"o" * 32
VALUES = {"password": "s3cret-canary", "token": "ключ 🔑"}


def test_what_was_sealed_opens_to_the_same() -> None:
    assert Vault(KEY).open(Vault(KEY).seal(VALUES, "shop"), "shop") == VALUES


def test_a_sealed_text_says_nothing_and_never_the_same_twice() -> None:
    vault = Vault(KEY)
    one, two = vault.seal(VALUES, "shop"), vault.seal(VALUES, "shop")
    assert one != two
    assert b"canary" not in one


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(SecretKeyWrong, match="encrypted with key"):
        Vault(OTHER).open(Vault(KEY).seal(VALUES, "shop"), "shop")


def test_it_does_not_open_as_something_else() -> None:
    with pytest.raises(SecretKeyWrong):
        Vault(KEY).open(Vault(KEY).seal(VALUES, "shop"), "lake")


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(Vault(KEY).seal(VALUES, "shop"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SecretKeyWrong):
        Vault(KEY).open(bytes(sealed), "shop")


@pytest.mark.parametrize("sealed", [b"", b"abc", Vault(KEY).key_id, Vault(KEY).key_id + b"short"])
def test_bytes_that_were_never_sealed_are_refused(sealed: bytes) -> None:
    with pytest.raises(SecretKeyWrong):
        Vault(KEY).open(sealed, "shop")


def test_neither_vault_nor_errors_show_key_or_secret() -> None:
    sealed = Vault(KEY).seal(VALUES, "shop")
    with pytest.raises(SecretKeyWrong) as caught:
        Vault(OTHER).open(sealed, "shop")
    shown = repr(Vault(KEY)) + repr(caught.value) + repr(vars(caught.value))
    assert "canary" not in shown
    assert "kkk" not in shown
    assert "ooo" not in shown


def test_the_first_start_makes_a_key_only_its_owner_can_read(tmp_path: Path) -> None:
    key = find_key(tmp_path, {}, may_create=True)
    assert len(key) == 32
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert find_key(tmp_path, {}, may_create=False) == key
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_starts_at_the_same_moment_make_one_key(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(find_key(tmp_path, {}, may_create=True))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 8
    assert len(set(found)) == 1


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    find_key(tmp_path, {}, may_create=True)
    given_key = {KEY_ENV: base64.b64encode(KEY).decode()}
    assert find_key(tmp_path, given_key, may_create=False) == KEY


def test_a_lost_key_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(SecretKeyWrong, match="gone"):
        find_key(tmp_path, {}, may_create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["short", "k" * 32, base64.b64encode(b"k" * 31).decode(), "!!!"])
def test_a_key_of_another_size_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(EnvironmentLacking) as caught:
        find_key(tmp_path, {KEY_ENV: text}, may_create=True)
    assert text not in str(caught.value)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    find_key(tmp_path, {}, may_create=True)
    os.chmod(tmp_path / KEY_FILE, 0o644)
    with pytest.raises(EnvironmentLacking, match="chmod 600"):
        find_key(tmp_path, {}, may_create=False)
