"""A whole installation on this machine: the real server process on a folder of its own, and its workers."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tidegate.faultpoint import VARIABLE
from tidegate.model.certificate import pinned
from tidegate.model.process import started
from tidegate.testing.servers import free_port

DEADLINE_S = 60.0
# Trusts nobody, so it need not read all of the machine's certificates each time a site is made.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def eventually(holds: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait until `holds` gives something true, and return it; fails with `what` when it does not in time."""
    until = time.monotonic() + deadline_s
    while not (found := holds()):
        assert time.monotonic() < until, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.01)
    return found


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    pid: int
    run: str
    """The run's key, which ends in `_t<task>r<run>`."""
    epoch: int
    since: str
    """When it started (see `model.process.started`)."""


class Refused(Exception):
    """The server's problem answer."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(json.dumps(problem))
        self.problem = problem
        self.code: str = problem["code"]


class Site:
    """`tidegate server` on a folder of its own; killed and started again at will."""

    def __init__(self, folder: Path, *, faults: Path | None = None, **settings: str) -> None:
        """`settings` are flags of `tidegate server`; with a folder of `faults` server and workers are armed. With a
        certificate among them the site is asked by TLS, and that certificate is believed."""
        self.folder = folder
        self.faults = faults
        self.port = free_port()
        own = Path(settings["tls-certificate"]).read_text() if "tls-certificate" in settings else None
        self.url = f"{'https' if own else 'http'}://127.0.0.1:{self.port}"
        self.trusts = pinned(own) if own else NO_TLS
        self.settings = {"heartbeat-s": "0.1", "reconcile-interval-s": "0.1", "default-group-units": "20"} | settings
        self.process: subprocess.Popen[bytes] | None = None
        self.client: httpx.Client | None = None
        self._probe = httpx.Client(base_url=self.url, timeout=5, trust_env=False, verify=self.trusts)
        self._others: set[int] = set()
        """Processes that are none of this site's workers: they are not looked at again."""

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        armed = {VARIABLE: str(self.faults)} if self.faults is not None else {}
        return kept | armed | {"TIDEGATE_DATA_DIR": str(self.folder), "TIDEGATE_URL": self.url}

    def start(self) -> Site:
        flags = [part for name, value in self.settings.items() for part in (f"--{name}", value)]
        with open(self.folder / "server.out", "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", "server", "--port", str(self.port), *flags],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.environment,
            )
        eventually(self._answers, "the server answers")
        if self.client is None:
            # One for all servers to come: closing it would leave those hanging who wait for an answer.
            token = (self.folder / "admin.token").read_text().strip()
            self.client = httpx.Client(
                base_url=f"{self.url}/api/v1",
                headers={"Authorization": f"Bearer {token}"},
                timeout=60,
                trust_env=False,
                verify=self.trusts,
            )
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.out").read_text()
        with suppress(httpx.HTTPError):
            return self._probe.get("/api/v1/health").status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def close(self) -> None:
        if self.process is None:
            return
        if self.client is not None:
            self.client.close()
        for pid in self.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._probe.close()
        with suppress(Exception):
            self.process.terminate()
            self.process.wait(10)
        self.process.kill()

    def workers(self) -> list[int]:
        """The processes that work for this site, whoever their parent is now."""
        return [worker.pid for worker in self.processes()]

    def processes(self) -> list[WorkerProcess]:
        """The workers, told by the log each writes to."""
        found: list[WorkerProcess] = []
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        self._others &= there
        for pid in there - self._others:
            with suppress(OSError):
                output = Path(os.readlink(f"/proc/{pid}/fd/2"))
                run, _, epoch = output.stem.rpartition("-")
                if output.parent == self.folder / "logs" and epoch.isdigit():
                    if (since := started(pid)) is not None:
                        found.append(WorkerProcess(pid, run, int(epoch), since))
                elif self.folder not in output.parents:
                    self._others.add(pid)  # what begins to be a worker still has this site's files
        return found

    # --- the API ---

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        assert self.client is not None
        answer = self.client.request(method, path, json=body, params=query)
        said = answer.json() if answer.content else None
        if answer.status_code >= 400:
            raise Refused(dict(said or {}))
        return said

    def task(self, name: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/tasks/{name}"))

    def status(self, name: str) -> str:
        return str(self.ask("GET", f"/tasks/{name}")["task"]["status"])

    def command(self, name: str, command: str, **body: Any) -> Any:
        return self.ask("POST", f"/tasks/{name}/commands/{command}", body or None)

    def becomes(self, name: str, status: str) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.task(name)
            now = found["task"]["status"]
            assert now == status or now != "Failure", found
            return found if now == status else None

        return dict(eventually(there, f"{name} is {status}"))

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *words], env=self.environment, capture_output=True, text=True, timeout=90
        )
