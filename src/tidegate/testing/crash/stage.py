"""What a campaign plays on: the servers of its pairs behind proxies that tear, a site with armed processes, and a busy
database per source and round."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tidegate.testing.crash.ends import ENDS, End, Role
from tidegate.testing.crash.pairs import PAIRS, Pair
from tidegate.testing.faults import Faults
from tidegate.testing.ledger import Load, Workload
from tidegate.testing.site import Refused, Site

LEASE_S = 2.0
PATIENCE_S = 60.0
# The server's own settings: quick looks, so that what is waited for is the product and not its pace.
SETTINGS = {
    "lease-s": str(LEASE_S),
    "reconcile-interval-s": "0.2",
    "restart-backoff-s": "0.05",
    "restart-backoff-max-s": "0.2",
    "default-group-units": "100",
}


class Stage:
    """Use it as a context manager."""

    def __init__(self, folder: Path, seed: int, pairs: Sequence[Pair] = PAIRS) -> None:
        """Raises `EnvironmentLacking` where a server that the pairs need is not on this machine."""
        self.folder = folder
        self.seed = seed
        self.faults = Faults(folder / "faults")
        self.sources = _servers("src", (pair.source for pair in pairs))
        self.targets = _servers("dst", (pair.target for pair in pairs))
        self.server_lock = threading.RLock()
        """Held by whoever ends the server, or needs it to stay."""
        self.database_lock = threading.RLock()
        """The same for the databases."""
        self.troubles = 0
        """How often something began or ended that keeps every task from going on: what is timed meanwhile says little
        of the product."""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for place, end in enumerate(self.ends):
                end.enter(stack, self.seed + place)
            home = self.folder / "site"
            home.mkdir()
            self.site = Site(home, faults=self.faults.folder, **SETTINGS)
            stack.callback(self.site.close)
            self.site.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, value, trace)

    @property
    def ends(self) -> tuple[End, ...]:
        """All database servers."""
        return (*self.sources.values(), *self.targets.values())

    # --- asking the server, whatever happens to it ---

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """As `Site.ask`, again and again while the server is away. Raises `Refused`."""
        return patiently(lambda: self.site.ask(method, path, body, **query), f"{method} {path}")

    def restart_server(self) -> None:
        """Start the server if it is dead."""
        with self.server_lock:
            process = self.site.process
            if process is None or process.poll() is not None:
                self.site.start()
                self.troubles += 1

    # --- databases ---

    def data_sources(self, number: int, chunk_rows: int) -> None:
        """A fresh database at each server, known to Tidegate by the name it has there."""
        for end in self.ends:
            end.create(number)
            config = end.config_through_wire(number) | ({"chunk_rows": chunk_rows} if end.role == "src" else {})
            body = {"name": end.name(number), "kind": end.kind, "config": config}
            self.ask("POST", "/data-sources", body)

    def drop_databases(self, number: int) -> None:
        for end in self.ends:
            end.drop(number)

    def workload(self, source: str, number: int, seed: int, load: Load) -> Workload:
        """The writers of one of the source databases."""
        end = self.sources[source]
        return Workload(lambda: end.connect(number, autocommit=False), seed, load, end.tongue)

    def streamed(self) -> int:
        """Transactions that the sources sent while they were open, by what they remember of it."""
        return sum(end.streamed() for end in self.sources.values())

    def crash(self, which: End) -> None:
        """The database server dies, all its processes with it, and starts again."""
        with self.database_lock:
            self.troubles += 1
            which.crash()
            self.troubles += 1


def _servers(role: Role, kinds: Iterable[str]) -> dict[str, End]:
    """One of each kind; a file needs none."""
    return {kind: ENDS[kind](role) for kind in dict.fromkeys(kinds) if kind in ENDS}


def patiently(do: Callable[[], Any], what: str, deadline_s: float = PATIENCE_S) -> Any:
    """The first answer of a server that may be away, starting or failing for the moment."""
    until = time.monotonic() + deadline_s
    while True:
        try:
            return do()
        except httpx.TransportError as error:
            if time.monotonic() > until:
                raise AssertionError(f"not within {deadline_s:.0f} s: {what} ({type(error).__name__})") from error
        except Refused as error:
            if error.problem.get("status") != 503 or time.monotonic() > until:
                raise
        time.sleep(0.05)
