"""The generated pages of docs/reference are what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tidegate import docs
from tidegate.errors import every_error

REPOSITORY = Path(__file__).parents[2]
REFERENCE = REPOSITORY / "docs" / "reference"


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_generated_page_is_fresh(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert (REFERENCE / name).read_text() == docs.PAGES[name](), "run `make docs` and commit the result"


def test_every_error_code_is_documented_once_with_something_to_do() -> None:
    page = docs.PAGES["errors.md"]()
    for error in every_error():
        assert page.count(f"| `{error.code}` |") == 1
        assert error.advice.endswith("."), error.code


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(REPOSITORY)}: {target}"
        for page in [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("decisions/*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
