"""Where MariaDB's programs are on this machine: Debian's packages as installed, or the same packages unpacked into the
user's cache once (`python -m tidegate.testing.mariadb_binaries`). Nothing here starts a server."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tidegate.errors import EnvironmentLacking
from tidegate.testing.unpacked import from_packages, home, ran, runnable, told

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


@cache
def version(programs: Programs) -> tuple[int, int, int]:
    """(major, minor, patch) as `mariadbd --version` says. Raises `EnvironmentLacking` if it does not run here."""
    program = programs.program("mariadbd")
    if not (program.name and programs.program("mariadb-install-db").name):
        raise EnvironmentLacking(f"there is no mariadbd, or no installer of it, below {programs.root}")
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
    places += [("fetched", Programs(path)) for path in home("mariadb").glob("[0-9]*")]
    found = runnable(places, version)
    return {f"{'.'.join(map(str, version(programs)))}-{origin}": programs for origin, programs in found}


def newest() -> Programs:
    """The newest MariaDB there is. Raises `EnvironmentLacking`."""
    found = list(available().values())
    if not found:
        raise EnvironmentLacking(
            "no MariaDB server programs on this machine: install Debian's package mariadb-server, "
            "or run python -m tidegate.testing.mariadb_binaries where there is apt"
        )
    return found[-1]


# --- fetching ---------------------------------------------------------------------------------------------------


def fetch() -> Programs:
    """Unpack Debian's packages of MariaDB, with the libraries this machine lacks, into the cache unless some MariaDB is
    here already. Nothing is installed and no service is made. Raises `EnvironmentLacking`."""
    if present := available():
        return list(present.values())[-1]
    return Programs(from_packages("MariaDB", home("mariadb"), _download, lambda root: version(Programs(root))))


def _download(folder: Path) -> list[Path]:
    """The packages that apt would have to install, as files."""
    try:
        names = _lacking()
        ran(["apt-get", "download", *names], folder)
    except EnvironmentLacking:
        if os.geteuid() != 0:
            raise
        ran(["apt-get", "update", "-qq"])  # lists that are old name packages that are no more
        ran(["apt-get", "download", *_lacking()], folder)
    return sorted(folder.glob("*.deb"))


def _lacking() -> list[str]:
    """`name=version` of every package apt would install for MariaDB, without those it would only renew."""
    said = ran(["apt-get", "install", "--simulate", "--no-install-recommends", *PACKAGES])
    found = re.findall(r"^Inst (\S+) \((\S+) ", said, re.MULTILINE)
    if not found:
        raise EnvironmentLacking("apt knows nothing to fetch for MariaDB")
    return [f"{name}={version}" for name, version in found]


if __name__ == "__main__":
    raise SystemExit(told("MariaDB", lambda: fetch().base))
