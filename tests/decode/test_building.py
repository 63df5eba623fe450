"""Installing builds the compiled decoder where it can, and installs what works where it cannot."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What building needs, with a crate that is of no use."""
    (tmp_path / "rust").mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tmp_path)
    (tmp_path / "src" / "tidegate").mkdir(parents=True)
    return tmp_path


def built(checkout: Path, path: str) -> tuple[list[Path], str]:
    """The libraries, and what is said."""
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "out", "--build-temp", "temp"],
        cwd=checkout,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return list((checkout / "out").rglob("_native.so")), done.stderr


def tool(folder: Path, script: str) -> str:
    """A search path on which `cargo` is this script."""
    folder.mkdir()
    cargo = folder / "cargo"
    cargo.write_text(f"#!/bin/sh\n{script}\n")
    cargo.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_without_cargo_nothing_is_built_and_a_line_says_so(checkout: Path) -> None:
    (checkout / "bin").mkdir()
    libraries, said = built(checkout, str(checkout / "bin"))
    assert libraries == []
    assert "no cargo here: the compiled decoder is not built" in said


@pytest.mark.parametrize("script", ["exit 101", "exit 0"])
def test_a_build_that_fails_is_a_line_and_no_error(checkout: Path, script: str) -> None:
    libraries, said = built(checkout, tool(checkout / "bin", script))
    assert libraries == []
    assert "the compiled decoder is not built, logs are decoded in Python" in said


def test_the_library_is_put_into_the_package(checkout: Path) -> None:
    made = "mkdir -p rust/target/release && echo library > rust/target/release/libtidegate_native.so"
    (library,), _ = built(checkout, tool(checkout / "bin", made))
    assert library.relative_to(checkout) == Path("out/tidegate/decode/_native.so")
    assert library.read_text() == "library\n"
