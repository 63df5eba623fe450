"""The environments in which other programs take part: made once from pinned requirements (`bench/peers/*.txt`), and
kept in the user's cache folder. Where one cannot be made, its programs are left out, and a sentence says why."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
INSTALL_DEADLINE_S = 900.0
RUN_DEADLINE_S = 900.0


class PeerAbsent(Exception):
    """Why a peer does not take part, as a sentence."""


def home() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "tidegate" / "peers"


def python_of(peer: str) -> Path:
    """The Python that has the peer's packages, installed by the first call. Raises `PeerAbsent`."""
    requirements = PEERS / f"{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    place = home() / f"{peer}-{digest}"
    python, stamp = place / "bin" / "python", place / "ready"
    if stamp.exists():
        return python
    for old in home().glob(f"{peer}-*"):
        shutil.rmtree(old)
    sys.stderr.write(f"{peer}: installing what is pinned in bench/peers/{peer}.txt into {place}\n")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]
    for command in ([sys.executable, "-m", "venv", place], [*install, "--require-hashes", "-r", requirements]):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or ""
            why = said.strip().splitlines()[-1] if said.strip() else f"{type(error).__name__}"
            raise PeerAbsent(f"{peer} could not be installed: {why}") from error
    stamp.touch()
    return python


def versions(peer: str) -> dict[str, str]:
    """What the peer's environment is asked for by name: package → version."""
    wanted = re.findall(r"^([\w.-]+)", (PEERS / f"{peer}.in").read_text(), re.MULTILINE)
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (PEERS / f"{peer}.txt").read_text(), re.MULTILINE))
    return {name: pinned[name] for name in wanted}


def told_by(peer: str, script: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Run one of `bench/peers` in the peer's environment and in a folder of its own: it gets `given` and the place for
    its answer, both as JSON. Raises `PeerAbsent` if it gives none."""
    python = python_of(peer)
    with tempfile.TemporaryDirectory(prefix="tidegate-peer-") as folder:
        answer, log = Path(folder) / "answer", Path(folder) / "log"
        environment = os.environ | {"HOME": folder}
        environment.pop("PYTHONPATH", None)
        with log.open("wb") as out:
            command = [python, script, json.dumps(given), answer]
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True
            )
            try:
                process.wait(RUN_DEADLINE_S)
            except subprocess.TimeoutExpired:
                raise PeerAbsent(f"{peer} was not done after {RUN_DEADLINE_S:.0f} s") from None
            finally:
                with suppress(ProcessLookupError):  # nothing it started is left either
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if not answer.exists():
            said = log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise PeerAbsent(f"{peer} ended with code {process.returncode}: {said[-1]}")
        found: dict[str, Any] = json.loads(answer.read_text())
        return found
