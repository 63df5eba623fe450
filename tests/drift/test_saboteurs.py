"""Every saboteur still finds the one place it breaks."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).parents[2]
SABOTEURS: list[Any] = list(runpy.run_path(str(HOME / "tools" / "saboteurs.py"))["SABOTEURS"])


@pytest.mark.parametrize("saboteur", SABOTEURS, ids=lambda saboteur: saboteur.name)
def test_a_saboteur_breaks_one_place_that_is_there_and_names_tests_that_are(saboteur: Any) -> None:
    assert (HOME / "src" / "tidegate" / saboteur.file).read_text().count(saboteur.old) == 1
    for test in saboteur.tests:
        file, _, name = test.partition("::")
        assert f"def {name}(" in (HOME / file).read_text() if name else (HOME / file).exists(), test
