"""Ready-made keywords are words that lines really hold."""

from __future__ import annotations

import re
from pathlib import Path

import tidegate
from tidegate.errors import every_error
from tidegate.model.diagnosis import DIAGNOSES
from tidegate.model.keyevent import KEY_EVENTS

HOME = Path(tidegate.__file__).parent


def sayable() -> set[str]:
    """Codes of errors, names of key events, and the names of lines in the program."""
    code = "\n".join(path.read_text() for path in HOME.rglob("*.py") if path.name != "diagnosis.py")
    lines = set(re.findall(r'log\.(?:info|warning|error|debug|exception)\(\s*"([a-z_.]+)"', code))
    return lines | {"log.lost"} | {error.code for error in every_error()} | {event.name for event in KEY_EVENTS}


def test_every_ready_made_keyword_can_still_be_met() -> None:
    said = sayable()
    keywords = {word for one in DIAGNOSES for word in one.search.split(" OR ")}
    assert {word for word in keywords if not any(word in one for one in said)} == set()


def test_names_of_quick_diagnoses_are_told_apart() -> None:
    names = [one.name for one in DIAGNOSES]
    assert len(set(names)) == len(names)
