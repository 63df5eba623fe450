"""Where MySQL's server is on this machine: installed, or Debian's package, which only the development release has,
unpacked with all its libraries into the user's cache once (`python -m tidegate.testing.mysql_binaries`). Nothing here
starts a server."""

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
PACKAGE = "mysql-server-core"
RELEASE = "sid"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What its packages ask for and the server does not run.
_NEEDLESS = re.compile(r"perl|libperl|libgdbm|libdb5")


@dataclass(frozen=True, slots=True)
class MysqlPrograms:
    """A root folder below which MySQL's server is: `/`, or one that packages were unpacked into, C library included."""

    root: Path

    @property
    def command(self) -> list[str]:
        """What the server is started with. Unpacked, it needs the loader that it was built for."""
        server = self.root / "usr/sbin/mysqld"
        if self.root == Path("/"):
            return [str(server)]
        libraries = next(iter(sorted(self.root.glob("usr/lib/*-linux-gnu"))), self.root)
        loaders = sorted(libraries.glob("ld-linux*.so.*"))
        return [str(loaders[0]) if loaders else "", "--library-path", str(libraries), str(server)]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC"}

    @property
    def options(self) -> list[str]:
        """What tells the server where its own files are."""
        if self.root == Path("/"):
            return []
        shared = self.root / "usr/share/mysql"
        return [
            f"--basedir={self.root / 'usr'}",
            f"--lc-messages-dir={shared}",
            f"--character-sets-dir={shared / 'charsets'}",
            f"--plugin-dir={self.root / 'usr/lib/mysql/plugin'}",
        ]


def fetched_home() -> Path:
    """The folder that unpacked versions are kept in: TIDEGATE_MYSQL_HOME, else the user's cache folder."""
    named = os.environ.get("TIDEGATE_MYSQL_HOME")
    if named:
        return Path(named)
    cache_home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache_home) / "tidegate" / "mysql"


@cache
def version(programs: MysqlPrograms) -> tuple[int, int, int]:
    """(major, minor, patch) as `mysqld --version` says. Raises `EnvironmentLacking` if it does not run here, or is none
    of MySQL's."""
    try:
        said = subprocess.run(
            [*programs.command, "--no-defaults", "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_DEADLINE_S,
            check=True,
            env=programs.environment,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacking(f"mysqld below {programs.root} does not run on this machine") from error
    found = re.search(r"Ver (\d+)\.(\d+)\.(\d+)", said)
    if found is None or "mariadb" in said.lower():
        raise EnvironmentLacking(f"mysqld below {programs.root} names no version of MySQL")
    return int(found[1]), int(found[2]), int(found[3])


def available() -> dict[str, MysqlPrograms]:
    """Every MySQL of this machine that can be started: a label such as `9.7.4-fetched` → its programs, oldest version
    first."""
    places = [("installed", MysqlPrograms(Path("/")))]
    places += [("fetched", MysqlPrograms(path)) for path in fetched_home().glob("[0-9]*")]
    runnable = [(origin, programs) for origin, programs in places if _runs(programs)]
    runnable.sort(key=lambda place: (version(place[1]), place[0]))
    return {f"{'.'.join(map(str, version(programs)))}-{origin}": programs for origin, programs in runnable}


def newest() -> MysqlPrograms:
    """The newest MySQL there is. Raises `EnvironmentLacking`."""
    found = list(available().values())
    if not found:
        raise EnvironmentLacking(
            "no MySQL server on this machine: run python -m tidegate.testing.mysql_binaries where there is Debian's apt"
        )
    return found[-1]


def _runs(programs: MysqlPrograms) -> bool:
    if not Path(programs.command[-1]).exists():
        return False
    try:
        version(programs)
    except EnvironmentLacking:
        return False
    return True


# --- fetching ---------------------------------------------------------------------------------------------------


def fetch() -> MysqlPrograms:
    """Unpack Debian's package of MySQL, with every library down to the C library, into the cache unless some MySQL is
    here already. Nothing is installed, and what apt knows of this machine stays as it is. Raises
    `EnvironmentLacking`."""
    if present := available():
        return list(present.values())[-1]
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise EnvironmentLacking(f"{tool} is needed to fetch Debian's MySQL; install MySQL by other means")
    home = fetched_home()
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as work:
        unpacked, packages = Path(work) / "root", Path(work) / "packages"
        unpacked.mkdir()
        packages.mkdir()
        apart = _apart(Path(work) / "apt")
        _run(["apt-get", *apart, "update", "-qq"])
        _run(["apt-get", *apart, "download", *_needed(apart)], packages)
        for package in sorted(packages.glob("*.deb")):
            _run(["dpkg", "-x", str(package), str(unpacked)])
        programs = MysqlPrograms(unpacked)
        done = home / ".".join(map(str, version(programs)))
        try:
            unpacked.rename(done)
        except OSError:
            if not done.is_dir():  # else another process finished the same first
                raise
    return MysqlPrograms(done)


def _apart(folder: Path) -> list[str]:
    """Options for an apt of its own, with Debian's development release from where this machine has its own packages
    from, and nothing installed."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    (folder / "sources").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {RELEASE} main\n")
    settings = {
        "Dir::Etc::sourcelist": folder / "sources",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    return [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]


def _mirror() -> str:
    told = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"])
    found = [line.split("|")[0] for line in told.splitlines() if line.endswith("|Debian|Debian")]
    if not found:
        raise EnvironmentLacking("apt knows no mirror of Debian here: run apt-get update, or install MySQL otherwise")
    return found[0]


def _needed(apart: list[str]) -> list[str]:
    """`name=version` of the package and all that it runs with."""
    said = _run(["apt-get", *apart, "install", "--simulate", "--no-install-recommends", PACKAGE])
    found = re.findall(r"^Inst (\S+) \((\S+) ", said, re.MULTILINE)
    if not found:
        raise EnvironmentLacking("apt knows nothing to fetch for MySQL")
    return [f"{name}={version}" for name, version in found if not _NEEDLESS.match(name)]


def _run(command: list[str], folder: Path | None = None) -> str:
    environment = os.environ | {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_DEADLINE_S, env=environment
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(getattr(error, "stderr", None) or type(error).__name__).strip().splitlines()[-1:]
        raise EnvironmentLacking(f"{command[0]} failed: {''.join(said)}") from error
    return done.stdout


def main() -> int:
    """Fetch MySQL and say where it is. 3 if it cannot be had here."""
    try:
        programs = fetch()
    except EnvironmentLacking as error:
        sys.stdout.write(f"MySQL: not available: {error.detail}\n")
        return 3
    sys.stdout.write(f"MySQL {'.'.join(map(str, version(programs)))}: {programs.root}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
