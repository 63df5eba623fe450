"""Server programs that are unpacked into the user's cache instead of installed: where they are kept, how they come
there, and which of them run. What PostgreSQL, MariaDB and MySQL have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tidegate.errors import EnvironmentLacking

FETCH_DEADLINE_S = 300

P = TypeVar("P")
Version = tuple[int, ...]


def home(name: str) -> Path:
    """The folder that versions of a server are kept in: TIDEGATE_<NAME>_HOME, else one in the user's cache."""
    named = os.environ.get(f"TIDEGATE_{name.upper()}_HOME")
    if named:
        return Path(named)
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache_home) / "tidegate" / name


def runnable(places: Iterable[tuple[str, P]], version: Callable[[P], Version]) -> list[tuple[str, P]]:
    """Those (each with where it is from) whose `version` does not raise `EnvironmentLacking`, oldest first."""
    found: list[tuple[Version, str, P]] = []
    for origin, place in places:
        try:
            found.append((version(place), origin, place))
        except EnvironmentLacking:
            continue
    return [(origin, place) for _, origin, place in sorted(found, key=lambda one: one[:2])]


def kept(unpacked: Path, done: Path) -> Path:
    """Give what was unpacked its place. Another process may have finished the same first: then that one stands."""
    try:
        unpacked.rename(done)
    except OSError:
        if not done.is_dir():
            raise
    return done


def from_packages(
    title: str, kept_in: Path, download: Callable[[Path], list[Path]], version: Callable[[Path], Version]
) -> Path:
    """Unpack the packages that `download` leaves in a folder, below `kept_in` by their `version`. Nothing is installed
    and no service is made. Raises `EnvironmentLacking`."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise EnvironmentLacking(f"{tool} is needed to fetch Debian's {title}; install {title} by other means")
    kept_in.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=kept_in) as work:
        unpacked = Path(work) / "root"
        unpacked.mkdir()
        for package in download(Path(work)):
            ran(["dpkg", "-x", str(package), str(unpacked)])
        return kept(unpacked, kept_in / ".".join(map(str, version(unpacked))))


def ran(command: list[str], folder: Path | None = None) -> str:
    """What the command says. Raises `EnvironmentLacking` with the last line of its complaint."""
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_DEADLINE_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacking(f"{' '.join(command[:2])} failed: {_last_line(error)}") from error
    return done.stdout


def told(title: str, fetch: Callable[[], Path]) -> int:
    """Fetch and say where it is. 3 if it cannot be had here."""
    try:
        sys.stdout.write(f"{title}: {fetch()}\n")
    except EnvironmentLacking as error:
        sys.stdout.write(f"{title}: not available: {error.detail}\n")
        return 3
    return 0


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    lines = said.strip().splitlines() if isinstance(said, str) else []
    return lines[-1] if lines else type(error).__name__
