"""`tidegate doctor --security`: who can read along, how long the certificate is good, and whose the key is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.test_tls import tidegate
from fixtures.certificates import certificate
from tidegate.model.certificate import FILE


def findings(tmp_path: Path, **environment: str) -> dict[str, tuple[str, str]]:
    home = {"TIDEGATE_DATA_DIR": str(tmp_path / "data"), "TIDEGATE_PORT": "1"}
    listed = json.loads(tidegate("doctor", "--security", "--json", **home, **environment).stdout)["findings"]
    return {one["name"]: (one["level"], one["found"]) for one in listed}


def test_the_doctor_tells_who_listens_beyond_this_machine_without_tls(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    assert findings(tmp_path)["listening"][0] == "good"
    everywhere = "0.0.0.0"  # noqa: S104 - nothing listens
    level, said = findings(tmp_path, TIDEGATE_HOST=everywhere)["listening"]
    assert (level, "without TLS" in said) == ("wrong", True)
    assert findings(tmp_path, TIDEGATE_HOST=everywhere, **made.environment)["listening"][0] == "good"
    plain = json.loads(tidegate("doctor", "--json", TIDEGATE_DATA_DIR=str(tmp_path / "data")).stdout)
    assert "listening" not in {one["name"] for one in plain["findings"]}


@pytest.mark.parametrize(("days", "level"), [(31, "good"), (29, "could be better"), (-0.5, "wrong")])
def test_the_doctor_tells_when_a_certificate_ends(tmp_path: Path, days: float, level: str) -> None:
    made = certificate(tmp_path, days=days)
    assert findings(tmp_path, **made.environment)["certificate"][0] == level
    # A server that was given it by flags leaves it in the data directory.
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).write_text(made.pem)
    assert findings(tmp_path)["certificate"][0] == level


def test_the_doctor_tells_that_others_can_read_the_key(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    for mode, level in ((0o600, "good"), (0o640, "good"), (0o644, "wrong"), (0o660, "wrong")):
        made.key.chmod(mode)
        assert findings(tmp_path, **made.environment)["key file"][0] == level
    assert "key file" not in findings(tmp_path)
