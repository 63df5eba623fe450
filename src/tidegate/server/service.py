"""A server process from its first step to its last: address, lock, store, reconciler, HTTP, and a quick end.

Ending the server ends no worker: they go on syncing and are adopted by the next start.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

from tidegate import faultpoint
from tidegate.decode.choice import which
from tidegate.engine import preflight
from tidegate.errors import AlreadyRunning, EnvironmentLacking, Invalid, PortTaken, SettingInvalid, StoreUnavailable
from tidegate.flood import Flood
from tidegate.logs import configure, hand_to
from tidegate.model.folders import Folders, listed_folders
from tidegate.model.lifecycle import STATES
from tidegate.model.network import holds
from tidegate.server.app import build
from tidegate.server.auth import keep_token, token_file
from tidegate.server.control import Control
from tidegate.server.limits import Limits
from tidegate.server.local_engine import LocalEngine, Worker
from tidegate.server.protocol import CONNECTIONS_MAX, configured
from tidegate.server.reach import networks_of, proxies_of
from tidegate.server.reconcile import Reconciler
from tidegate.server.signonconfig import config_of
from tidegate.server.tls import Tls, publish, renew, tls_of
from tidegate.settings import Settings
from tidegate.store import runs
from tidegate.store.opening import open_store
from tidegate.store.secrets import KEY_ENV
from tidegate.watch.alerts import Alerts
from tidegate.watch.notify import Deliveries
from tidegate.watch.outbound import Outbound, allowed_networks

log = structlog.get_logger()

# Requests under way are given this long to be answered …
GOODBYE_S = 1
# … and the process is gone after this, whatever a thread still waits for. It may be killed at any instant anyway.
END_DEADLINE_S = 1.8
BACKLOG = 128
LOOPBACK = "127.0.0.1"
FILES_WANTED = 2 * CONNECTIONS_MAX
# Of the server's own log, which is about all tasks.
LINES_BURST, LINES_PER_S = 10_000, 200.0


@dataclass(frozen=True, slots=True)
class Listening:
    """What there is to say once requests are answered. `first_token`, and the code for the first administrator's
    account, are None but at the first start."""

    url: str
    first_token: str | None
    set_up_code: str | None
    token_file: Path
    local_shut_out: bool = False
    """Whether the command line on this machine will be refused, as this machine is in none of the networks allowed."""


def url_of(bound: socket.socket, *, tls: bool = False) -> str:
    """Where a listening socket is reached from this machine."""
    scheme = "https" if tls else "http"
    host, port = bound.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where a wildcard is reached
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `PortTaken`, `EnvironmentLacking` (no such address)."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise EnvironmentLacking(f"{host} is no address of this machine: {error.strerror}") from error
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(place)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise PortTaken(f"{host}:{port}: {error.strerror}", host=host, port=port) from error
    return bound


def connections_max() -> int:
    """How many at once, where the system lets this process have so many files open: it is asked for what it gives
    unasked, and half of that is for the store, the workers and their logs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES_WANTED:
        soft = min(FILES_WANTED, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(CONNECTIONS_MAX, soft // 2)


@contextmanager
def sole(data_dir: Path) -> Iterator[Callable[[str], None]]:
    """Hold the data directory: two servers with one store would both drive its tasks. Gives what to call with the
    server's address, for those that come later. Raises `AlreadyRunning` with the address, `EnvironmentLacking`."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = os.open(data_dir / "server.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise EnvironmentLacking(f"the data directory {data_dir} cannot be used: {error.strerror}") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            url = os.pread(held, 1000, 0).decode("utf-8", "replace").strip()
            where = f", at {url}" if url else ""
            raise AlreadyRunning(
                f"the data directory {data_dir} is in use by another server{where}", url=url or None
            ) from error
        os.ftruncate(held, 0)

        def reached_at(url: str) -> None:
            os.pwrite(held, f"{url}\n".encode(), 0)

        yield reached_at
    finally:
        os.close(held)


class Machinery:
    """The store and what drives it. Raises on construction what `open_store` raises, and `SettingInvalid`."""

    def __init__(self, settings: Settings, url: str, *, tls: bool) -> None:
        folders = Folders(str(settings.data_dir), listed_folders(settings.file_folders))
        outbound = Outbound(allowed_networks(settings.outbound_allow))
        sign_on = config_of(settings)
        try:
            self._store = open_store(
                settings.data_dir,
                url=settings.store_url,
                environment={KEY_ENV: settings.secret_key} if settings.secret_key else {},
                default_units=settings.default_group_units,
            )
        except Invalid as error:
            raise SettingInvalid(f"TIDEGATE_STORE_URL: {error.detail}") from error
        self.control = Control(
            self._store, preflight, limits=limits(settings), outbound=outbound, folders=folders, sign_on=sign_on
        )
        handed_on: dict[str, str] = {"TIDEGATE_DECODE": settings.decode, "TIDEGATE_LOG_LEVEL": settings.log_level}
        if tls and settings.worker_url is None:
            handed_on["TIDEGATE_WORKER_TRUSTS"] = str(settings.data_dir)
        self._engine = LocalEngine(
            settings.worker_url or url,
            settings.data_dir,
            noticed=self._noticed,
            handed_on=handed_on,
            warm=True,
        )
        self._reconciler = Reconciler(self.control, self._engine)
        database, clock = self._store.database, self.control.clock
        self._deliveries = Deliveries(database, self._store.vault, clock, outbound, self._leads)
        self._alerts = Alerts(
            database,
            clock,
            self._leads,
            told=self._deliveries.wake,
            figures=self.control.known,
            every_s=settings.alert_interval_s,
            keep_s=settings.keep_days * 86_400,
        )

    def _noticed(self, worker: Worker) -> None:
        self._reconciler.noticed(worker)

    def _leads(self) -> bool:
        return self._reconciler.leading

    def start(self) -> None:
        self.control.journal.start()
        hand_to(self.control.journal.take)
        self._reconciler.start()
        self._alerts.start()
        self._deliveries.start()

    def working(self) -> int:
        """How many workers run."""
        with self.control.db.read() as tx:
            found = [Worker(*glance.worker) for glance in runs.glances(tx) if glance.worker is not None]
        return sum(1 for worker in found if self._engine.alive(worker))

    def close(self) -> None:
        """Nothing is driven any more; workers go on."""
        self._alerts.stop()
        self._deliveries.stop()
        self._reconciler.stop()
        self._engine.close()
        hand_to(None)
        self.control.journal.close()
        with suppress(StoreUnavailable):
            self.control.audit([], everything=True)
        self._store.close()


def limits(settings: Settings) -> Limits:
    """The settings as the reconciler takes them."""
    deadlines_s = {
        state: float(getattr(settings, f"{state.value}_deadline_s"))
        for state, facts in STATES.items()
        if facts.deadline_s is not None
    }
    return Limits(
        heartbeat_s=settings.heartbeat_s,
        lease_s=settings.lease_s,
        deadlines_s=deadlines_s,
        backoff_first_s=settings.restart_backoff_s,
        backoff_max_s=settings.restart_backoff_max_s,
        detection_s=settings.detection_interval_s,
        detection_back_s=min(Limits().detection_back_s, settings.detection_interval_s),
        log_clock_s=min(Limits().log_clock_s, settings.detection_interval_s),
        keep_s=settings.keep_days * 86_400,
        keep_events=settings.keep_events,
        keep_runs=settings.keep_runs,
        keep_points_s={
            10: settings.metrics_10s_keep_hours * 3600,
            60: settings.metrics_1min_keep_days * 86_400,
            3600: settings.metrics_1h_keep_days * 86_400,
        },
        keep_lines_s=settings.log_keep_days * 86_400,
        keep_lines_bytes=int(settings.log_keep_mb * 1_000_000),
        sweep_s=settings.reconcile_interval_s,
    )


def serve(settings: Settings, announce: Callable[[Listening], None], farewell: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP has the certificate read again. `announce` is called once requests are
    answered, `farewell` at the end with the number of workers that keep running; the process ends within
    `END_DEADLINE_S` of the signal.

    Before anything was started it raises `PortTaken`, `AlreadyRunning`, `EnvironmentLacking`, `SettingInvalid`,
    `SecretKeyWrong`, `StoreUnavailable`.
    """
    configure(settings.log_level, flood=Flood(burst=LINES_BURST, per_s=LINES_PER_S))
    allow_from, proxies = networks_of("allow_from", settings.allow_from), proxies_of(settings.trusted_proxies)
    shut_out = bool(allow_from) and not holds(allow_from, LOOPBACK)
    tls = tls_of(settings)
    faultpoint.arm_from_environment()
    # The folder first: that another server has it says more than that the port is taken, which it then is as well.
    with sole(settings.data_dir) as reached_at, listen(settings.host, settings.port) as bound:
        url = url_of(bound, tls=tls is not None)
        reached_at(url)
        publish(tls, settings.data_dir)
        log.info("server.decodes", how=str(which(settings.decode)))
        machinery = Machinery(settings, url, tls=tls is not None)
        try:
            token = machinery.control.first_token(lambda fresh: keep_token(settings.data_dir, fresh))
            code = machinery.control.first_code() if token is not None else None
            # Workers that are started before requests are answered wait in the socket's queue.
            machinery.control.attendance.deaf = True
            machinery.start()

            def started() -> None:
                machinery.control.attendance.deaf = False
                if shut_out:
                    log.warning("server.local_commands_refused", allow_from=settings.allow_from, lacks=LOOPBACK)
                announce(Listening(url, token, code, token_file(settings.data_dir), shut_out))

            def cut_off() -> None:
                log.warning("server.cut_off", after_s=END_DEADLINE_S)
                farewell(machinery.working())
                os._exit(0)

            app = build(machinery.control, allow_from=allow_from)
            http = _Http(app, started, cut_off, machinery.control.journal.release, proxies, tls)
            if tls is not None:
                http.on_hangup = partial(renew, tls, settings.data_dir)
            http.run(sockets=[bound])
            farewell(machinery.working())
        finally:
            machinery.close()


class _Http(uvicorn.Server):
    """uvicorn with signals of our own: the first one ends it, and `cut_off` is called if that takes too long.
    `leaving` is called before requests under way are waited for. Of `proxies` it is taken for whom they ask."""

    on_hangup: Callable[[], None] | None = None
    """Called on SIGHUP, between requests; without it that ends the process as ever."""

    def __init__(
        self,
        app: FastAPI,
        started: Callable[[], None],
        cut_off: Callable[[], None],
        leaving: Callable[[], None],
        proxies: list[str],
        tls: Tls | None,
    ) -> None:
        super().__init__(
            configured(
                app,
                tls=tls,
                connections_max=connections_max(),
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                timeout_graceful_shutdown=GOODBYE_S,
            )
        )
        self._on_started = started
        self._cut_off = cut_off
        self._on_leaving = leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_leaving()  # who waits for what may come is answered, and not cut off
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own would raise the signal again afterwards and spoil the exit code."""

        def end(number: int, frame: object) -> None:
            if not self.should_exit:
                self.should_exit = True
                # A thread that waits for a source cannot be interrupted, and the event loop waits for it.
                timer = threading.Timer(END_DEADLINE_S, self._cut_off)
                timer.daemon = True
                timer.start()

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
        if (on_hangup := self.on_hangup) is not None:
            loop = asyncio.get_running_loop()

            def hang_up(number: int, frame: object) -> None:
                loop.call_soon_threadsafe(on_hangup)

            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hang_up)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
