"""Settings: where they come from, which wins, and how a wrong one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.errors import SettingInvalid
from tidegate.model.lifecycle import STATES
from tidegate.settings import SETTINGS, Settings, load


def test_without_anything_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = load({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8470, tmp_path / "tidegate")
    assert (settings.heartbeat_s, settings.lease_s) == (1.0, 10.0)


def test_the_data_directory_is_in_the_home_without_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load({}).data_dir == tmp_path / ".local" / "share" / "tidegate"


def test_the_environment_is_read_and_a_flag_goes_over_it() -> None:
    environment = {"TIDEGATE_PORT": "9000", "TIDEGATE_LEASE_S": "30", "TIDEGATE_DATA_DIR": "/srv/tg"}
    settings = load(environment, {"port": "9001", "host": None})
    assert (settings.port, settings.lease_s, settings.data_dir) == (9001, 30.0, Path("/srv/tg"))


def test_an_empty_variable_is_not_given() -> None:
    assert load({"TIDEGATE_PORT": ""}).port == 8470


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("port", "http", "is not a whole number"),
        ("port", "70000", "from 0 to 65535"),
        ("port", "80.5", "is not a whole number"),
        ("heartbeat_s", "0", "from 0.05 to 60"),
        ("lease_s", "nan", "from 0.2 to 600"),
        ("log_level", "loud", "must be one of debug, info, warning, error"),
    ],
)
def test_a_wrong_value_is_refused_naming_the_variable_or_flag(name: str, text: str, said: str) -> None:
    setting = next(one for one in SETTINGS if one.name == name)
    with pytest.raises(SettingInvalid, match=f"{setting.variable} .*{said}"):
        load({setting.variable: text})
    with pytest.raises(SettingInvalid, match=f"{setting.option} .*{said}"):
        load({}, {name: text})


def test_a_lease_that_live_workers_cannot_keep_is_refused() -> None:
    with pytest.raises(SettingInvalid, match="twice heartbeat_s"):
        Settings(heartbeat_s=5, lease_s=8)


def test_what_may_be_secret_is_no_flag() -> None:
    assert {one.name for one in SETTINGS if not one.says.flag} == {
        "store_url",
        "secret_key",
        "sso_client_secret",
    }


def test_every_operating_step_has_its_deadline_which_can_be_shortened_only() -> None:
    named = {one.name: (one.default, one.says.most) for one in SETTINGS if one.name.endswith("_deadline_s")}
    table = {state: facts.deadline_s for state, facts in STATES.items() if facts.deadline_s is not None}
    assert named == {f"{state}_deadline_s": (deadline_s, deadline_s) for state, deadline_s in table.items()}


def test_every_setting_says_what_it_is_and_its_default_reads_back() -> None:
    for setting in SETTINGS:
        assert setting.says.help.endswith(".")
        if setting.default is not None:
            assert setting.parse(str(setting.default), given_as=setting.name) == setting.default
