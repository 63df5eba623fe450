"""What groups of a provider are here, and the settings of single sign-on: a wrong one is refused at the start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tidegate.errors import SettingInvalid
from tidegate.model.federation import Granted, granted, parse_rules
from tidegate.model.permission import Role
from tidegate.server.signon import free_name
from tidegate.server.signonconfig import config_of
from tidegate.settings import Settings

GOOD: dict[str, Any] = {
    "sso_issuer": "https://login.example/realms/corp",
    "sso_client_id": "tidegate",
    "public_url": "https://tidegate.example/",
}


def test_a_groups_name_may_hold_anything_but_a_semicolon() -> None:
    rules = parse_rules("cn=ops,ou=data=shop:ops_engineer; /a b/c=administrator;")
    assert granted(rules, {"cn=ops,ou=data"}).roles == {"shop": (Role.OPS_ENGINEER, "cn=ops,ou=data")}
    assert granted(rules, {"/a b/c"}) == Granted("/a b/c")
    assert not granted(rules, {"/a b", "cn=ops"}).any


def test_of_two_groups_the_one_that_allows_more_counts_whatever_their_order() -> None:
    for text in ("a=shop:member; b=shop:data_engineer", "b=shop:data_engineer; a=shop:member"):
        assert granted(parse_rules(text), ["a", "b"]).roles == {"shop": (Role.DATA_ENGINEER, "b")}


@pytest.mark.parametrize(
    "text",
    [
        "ops",
        "=administrator",
        "ops=",
        "ops=shop",
        "ops=shop:king",
        "ops=shop:custom",
        "ops=a shop:member",
        "ops=:member",
    ],
)
def test_a_line_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingInvalid, match="sso_roles"):
        config_of(Settings(**GOOD, sso_roles=text))


def test_without_an_issuer_there_is_no_single_sign_on() -> None:
    assert config_of(Settings()) is None


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"sso_client_id": None}, "sso_client_id"),
        ({"public_url": None}, "public_url"),
        ({"sso_issuer": "http://login.example"}, "must be https"),
        ({"sso_issuer": "login.example"}, "sso_issuer"),
        ({"sso_issuer": "https://u:p@login.example"}, "sso_issuer"),
        ({"sso_issuer": "https://login.example?x=y"}, "sso_issuer"),
        ({"public_url": "https://tidegate.example/sub"}, "public_url"),
        ({"public_url": "ftp://tidegate.example"}, "public_url"),
        ({"sso_scopes": "profile email"}, "openid"),
        ({"sso_client_secret": "x", "sso_client_secret_file": Path("/y")}, "not both"),
        ({"sso_client_secret_file": Path("/nowhere/at/all")}, "cannot be read"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingInvalid, match=named):
        config_of(Settings(**GOOD | wrong))


def test_the_secret_comes_from_a_file_and_is_not_shown(tmp_path: Path) -> None:
    held = tmp_path / "secret"
    held.write_text("canary-77\n")
    config = config_of(Settings(**GOOD, sso_client_secret_file=held))
    assert config is not None
    assert config.client_secret == "canary-77"
    assert "canary-77" not in repr(config)
    assert config.redirect_uri == "https://tidegate.example/api/v1/session/sso/callback"
    assert config.secure


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("ann@corp.example", "ann_2"),
        ("Ann", "Ann_2"),
        ("bob.smith-jones", "bob_smith_jones"),
        ("admin", "admin_2"),
        ("王芳", "王芳"),
        ("123", "person_123"),
        ("@", "person"),
        ("x" * 300, "x" * 94),
    ],
)
def test_an_account_is_called_as_the_person_is_and_like_no_other(wanted: str, name: str) -> None:
    assert free_name(wanted, {"ann"}) == name
