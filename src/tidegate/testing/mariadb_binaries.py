"""Where MariaDB's programs are on this machine: Debian's packages as installed, or the same packages unpacked into the
user's cache once (`python -m tidegate.testing.mariadb_binaries`). Nothing here starts a server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tidegate.errors import EnvironmentLacking

FETCH_DEADLINE_S = 300
VERSION_DEADLINE_S = 120
"""On a machine that has much else to do; a program that does not run says so at once."""

# The server with its installer, and the clients that speak for it in tests and measurements.
PACKAGES = ("mariadb-server-core", "mariadb-client-core", "mariadb-client")


@dataclass(frozen=True, slots=True)
class Programs:
    """A root folder below which MariaDB's programs are: `/`, or one that packages were unpacked into."""

    root: Path

    @property
    def base(self) -> Path:
        """What MariaDB calls its basedir."""
        return self.root / "usr"

    def program(self, name: str) -> Path:
        return next((path for path in (self.base / "sbin" / name, self.base / "bin" / name) if path.exists()), Path())

    @property
    def environment(self) -> dict[str, str]:
        """For any of the programs: unpacked ones find their libraries by it."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}
        if self.root != Path("/"):
            folders = [path for top in ("usr/lib", "lib") for path in (self.root / top).glob("*-linux-gnu*")]
            environment["LD_LIBRARY_PATH"] = ":".join(map(str, folders))
        return environment

    @property
    def options(self) -> list[str]:
        """What tells the server where its own files are, should they not be where they were built for."""
        if self.root == Path("/"):
            return []
        return [
            f"--basedir={self.base}",
            f"--lc-messages-dir={self.base / 'share' / 'mysql'}",
            f"--plugin-dir={self.base / 'lib' / 'mysql' / 'plugin'}",
            f"--character-sets-dir={self.base / 'share' / 'mysql' / 'charsets'}",
        ]


def fetched_home() -> Path:
    """The folder that unpacked versions are kept in: TIDEGATE_MARIADB_HOME, else the user's cache folder."""
    named = os.environ.get("TIDEGATE_MARIADB_HOME")
    if named:
        return Path(named)
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache_home) / "tidegate" / "mariadb"


@cache
def version(programs: Programs) -> tuple[int, int, int]:
    """(major, minor, patch) as `mariadbd --version` says. Raises `EnvironmentLacking` if it does not run here."""
    program = programs.program("mariadbd")
    try:
        said = subprocess.run(
            [program, "--no-defaults", "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_DEADLINE_S,
            check=True,
            env=programs.environment,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacking(f"{program} does not run on this machine") from error
    found = re.search(r"Ver (\d+)\.(\d+)\.(\d+)-MariaDB", said)
    if found is None:
        raise EnvironmentLacking(f"{program} --version names no version of MariaDB")
    return int(found[1]), int(found[2]), int(found[3])


def available() -> dict[str, Programs]:
    """Every MariaDB of this machine that can be started: a label such as `10.11.19-debian` → its programs, oldest
    version first."""
    places = [("debian", Programs(Path("/")))]
    places += [("fetched", Programs(path)) for path in fetched_home().glob("[0-9]*")]
    runnable = [(origin, programs) for origin, programs in places if _runs(programs)]
    runnable.sort(key=lambda place: (version(place[1]), place[0]))
    return {f"{'.'.join(map(str, version(programs)))}-{origin}": programs for origin, programs in runnable}


def newest() -> Programs:
    """The newest MariaDB there is. Raises `EnvironmentLacking`."""
    found = list(available().values())
    if not found:
        raise EnvironmentLacking(
            "no MariaDB server programs on this machine: install Debian's package mariadb-server, "
            "or run python -m tidegate.testing.mariadb_binaries where there is apt"
        )
    return found[-1]


def _runs(programs: Programs) -> bool:
    if not all(programs.program(name).name for name in ("mariadbd", "mariadb-install-db")):
        return False
    try:
        version(programs)
    except EnvironmentLacking:
        return False
    return True


# --- fetching ---------------------------------------------------------------------------------------------------


def fetch() -> Programs:
    """Unpack Debian's packages of MariaDB, with the libraries this machine lacks, into the cache unless some MariaDB is
    here already. Nothing is installed and no service is made. Raises `EnvironmentLacking`."""
    if present := available():
        return list(present.values())[-1]
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise EnvironmentLacking(f"{tool} is needed to fetch Debian's MariaDB; install MariaDB by other means")
    home = fetched_home()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as work:
        unpacked = Path(work) / "root"
        unpacked.mkdir()
        for package in _download(Path(work)):
            _run(["dpkg", "-x", str(package), str(unpacked)])
        programs = Programs(unpacked)
        done = home / ".".join(map(str, version(programs)))
        try:
            unpacked.rename(done)
        except OSError:
            if not done.is_dir():  # else another process finished the same first
                raise
    return Programs(done)


def _download(folder: Path) -> list[Path]:
    """The packages that apt would have to install, as files."""
    try:
        names = _lacking()
        _run(["apt-get", "download", *names], folder)
    except EnvironmentLacking:
        if os.geteuid() != 0:
            raise
        _run(["apt-get", "update", "-qq"])  # lists that are old name packages that are no more
        _run(["apt-get", "download", *_lacking()], folder)
    return sorted(folder.glob("*.deb"))


def _lacking() -> list[str]:
    """`name=version` of every package apt would install for MariaDB, without those it would only renew."""
    said = _run(["apt-get", "install", "--simulate", "--no-install-recommends", *PACKAGES])
    found = re.findall(r"^Inst (\S+) \((\S+) ", said, re.MULTILINE)
    if not found:
        raise EnvironmentLacking("apt knows nothing to fetch for MariaDB")
    return [f"{name}={version}" for name, version in found]


def _run(command: list[str], folder: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_DEADLINE_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacking(f"{' '.join(command[:2])} failed: {_last_line(error)}") from error
    return done.stdout


def _last_line(error: Exception) -> str:
    said = getattr(error, "stderr", None)
    lines = said.strip().splitlines() if isinstance(said, str) else []
    return lines[-1] if lines else type(error).__name__


def main() -> int:
    """Fetch MariaDB and say where it is. 3 if it cannot be had here."""
    try:
        programs = fetch()
    except EnvironmentLacking as error:
        sys.stdout.write(f"MariaDB: not available: {error.detail}\n")
        return 3
    sys.stdout.write(f"MariaDB {'.'.join(map(str, version(programs)))}: {programs.base}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
