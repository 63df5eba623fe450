"""Where MySQL's server is on this machine: installed, or Debian's package, which only the development release has,
unpacked with all its libraries into the user's cache once (`python -m tidegate.testing.mysql_binaries`). Nothing here
starts a server."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tidegate.errors import EnvironmentLacking
from tidegate.testing.unpacked import from_packages, home, ran, runnable, told

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


@cache
def version(programs: MysqlPrograms) -> tuple[int, int, int]:
    """(major, minor, patch) as `mysqld --version` says. Raises `EnvironmentLacking` if it does not run here, or is none
    of MySQL's."""
    if not Path(programs.command[-1]).exists():
        raise EnvironmentLacking(f"there is no mysqld below {programs.root}")
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
    places += [("fetched", MysqlPrograms(path)) for path in home("mysql").glob("[0-9]*")]
    found = runnable(places, version)
    return {f"{'.'.join(map(str, version(programs)))}-{origin}": programs for origin, programs in found}


def newest() -> MysqlPrograms:
    """The newest MySQL there is. Raises `EnvironmentLacking`."""
    found = list(available().values())
    if not found:
        raise EnvironmentLacking(
            "no MySQL server on this machine: run python -m tidegate.testing.mysql_binaries where there is Debian's apt"
        )
    return found[-1]


# --- fetching ---------------------------------------------------------------------------------------------------


def fetch() -> MysqlPrograms:
    """Unpack Debian's package of MySQL, with every library down to the C library, into the cache unless some MySQL is
    here already. Nothing is installed, and what apt knows of this machine stays as it is. Raises
    `EnvironmentLacking`."""
    if present := available():
        return list(present.values())[-1]
    root = from_packages("MySQL", home("mysql"), _download, lambda root: version(MysqlPrograms(root)))
    return MysqlPrograms(root)


def _download(folder: Path) -> list[Path]:
    apart = _apart(folder / "apt")
    ran(["apt-get", *apart, "update", "-qq"])
    ran(["apt-get", *apart, "download", *_needed(apart)], folder)
    return sorted(folder.glob("*.deb"))


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
    told = ran(["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"])
    found = [line.split("|")[0] for line in told.splitlines() if line.endswith("|Debian|Debian")]
    if not found:
        raise EnvironmentLacking("apt knows no mirror of Debian here: run apt-get update, or install MySQL otherwise")
    return found[0]


def _needed(apart: list[str]) -> list[str]:
    """`name=version` of the package and all that it runs with."""
    said = ran(["apt-get", *apart, "install", "--simulate", "--no-install-recommends", PACKAGE])
    found = re.findall(r"^Inst (\S+) \((\S+) ", said, re.MULTILINE)
    if not found:
        raise EnvironmentLacking("apt knows nothing to fetch for MySQL")
    return [f"{name}={version}" for name, version in found if not _NEEDLESS.match(name)]


if __name__ == "__main__":
    raise SystemExit(told("MySQL", lambda: fetch().root))
