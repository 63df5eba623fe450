"""What the console costs: how soon a list of so many tasks is painted and usable, how long each update of it keeps the
browser busy, and what open pages cost the server.

    python bench/console.py --tasks 1000 10000 --pages 20

Server, routes, store and pages are the real ones, in a real Chromium; behind the tasks is nothing but heartbeats, as in
`bench/ops.py`. While updates are measured 1,000 tasks report once a second, and the page shows the 200 that a page
shows at most; while open pages are measured the 50 that they show report. Other programs make all of it slower: the
load is said.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from ops import Speaker, beat, cpu_s
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = os.environ.get("TIDEGATE_CHROMIUM") or shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
LOADS, UPDATES_S, SETTLE_S, PAGES_S = 5, 15.0, 6.0, 30.0
REPORTING_MOST = 1_000
SEEN = """
new MutationObserver((_, watching) => {
  if (!document.querySelector("tbody .task-link")) return;
  window.usable_at = performance.now();
  watching.disconnect();
}).observe(document, { childList: true, subtree: true });
"""


@contextmanager
def server(count: int) -> Iterator[tuple[dict[str, Any], int]]:
    """A server with so many running tasks; where it listens and who may speak, and its process."""
    with tempfile.TemporaryDirectory(prefix="tidegate-console-") as made:
        words = [str(Path(__file__).with_name("ops.py")), "--serve", made, "--tasks", str(count)]
        process = subprocess.Popen([sys.executable, *words])
        try:
            until = time.monotonic() + 300
            while not (Path(made) / "told.json").exists():
                assert time.monotonic() < until, "the server did not start"
                assert process.poll() is None, "the server ended"
                time.sleep(0.1)
            told = json.loads((Path(made) / "told.json").read_text())
            while True:
                try:
                    httpx.get(f"{told['url']}/api/v1/health", timeout=30, trust_env=False)
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            yield told, process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def reporting(told: dict[str, Any], count: int) -> Iterator[dict[str, int]]:
    """Heartbeats of so many tasks once a second, meanwhile."""
    stop = threading.Event()
    said = {"answered": 0}

    async def report() -> None:
        async def worker(number: int, token: str) -> None:
            speaker = Speaker(told["url"], token)
            second = 0
            due = time.monotonic() + number / count
            while not stop.is_set():
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                second += 1
                await speaker.say(beat(number, second, 0.05 + second % 7))
                said["answered"] += 1
                due = max(due + 1.0, time.monotonic())
            speaker.close()

        await asyncio.gather(*(worker(n, token) for n, token in enumerate(told["workers"][:count])))

    thread = threading.Thread(target=lambda: asyncio.run(report()), daemon=True)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(90)


def logged_in(browser: Browser, told: dict[str, Any]) -> BrowserContext:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    answer = context.request.post(
        f"{told['url']}/api/v1/session", data={"token": told["token"]}, headers={"Origin": told["url"]}
    )
    assert answer.status == 201, answer.text()
    return context


def first_look(browser: Browser, told: dict[str, Any]) -> dict[str, float]:
    """Of several loads without anything cached, each by a log-in of its own: the median."""
    painted, usable = [], []
    for _ in range(LOADS):
        context = logged_in(browser, told)
        page = context.new_page()
        page.add_init_script(SEEN)
        page.goto(f"{told['url']}/console/ops")
        page.wait_for_function("window.usable_at !== undefined", timeout=60_000)
        painted.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
        usable.append(page.evaluate("window.usable_at"))
        context.close()
    return {"first_paint_ms": round(median(painted)), "usable_ms": round(median(usable))}


def busy(page: Page, seconds: float) -> dict[str, float]:
    """How long the main thread worked for each message, by its own clock: what other programs take does not count."""
    told = [0]
    page.on("websocket", lambda socket: socket.on("framereceived", lambda _: told.__setitem__(0, told[0] + 1)))
    page.reload()
    page.locator("tbody .task-link").nth(199).wait_for()
    page.wait_for_timeout(SETTLE_S * 1000)
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})

    def worked() -> float:
        found = client.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    before, heard = worked(), told[0]
    page.wait_for_timeout(seconds * 1000)
    messages = told[0] - heard
    return {"updates": messages, "busy_ms_per_update": round(1000 * (worked() - before) / max(1, messages), 1)}


def resident_bytes(pid: int) -> int:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def open_pages(browser: Browser, told: dict[str, Any], pid: int, count: int) -> dict[str, float]:
    """What so many pages of the list cost the server, beside what it costs that 50 tasks report."""

    def share() -> float:
        began, used = time.monotonic(), cpu_s(pid)
        time.sleep(PAGES_S)
        return (cpu_s(pid) - used) / (time.monotonic() - began)

    context = logged_in(browser, told)
    with reporting(told, 50):
        time.sleep(SETTLE_S)
        alone, held = share(), resident_bytes(pid)
        for _ in range(count):
            page = context.new_page()
            page.goto(f"{told['url']}/console/ops")
            page.locator("tbody .task-link").first.wait_for(timeout=60_000)
        time.sleep(SETTLE_S)
        with_pages = share()
        grown = resident_bytes(pid) - held
    context.close()
    return {
        "pages": count,
        "server_cpu_share_alone": round(alone, 3),
        "server_cpu_share_of_pages": round(with_pages - alone, 3),
        "server_memory_mb_per_page": round(grown / count / 1e6, 2),
    }


def measure(count: int, pages: int) -> dict[str, Any]:
    found: dict[str, Any] = {"tasks": count, "load_before": os.getloadavg()[0]}
    with server(count) as (told, pid), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        found |= first_look(browser, told)
        if pages:
            found |= open_pages(browser, told, pid, pages)
        reporters = min(count, REPORTING_MOST)
        with reporting(told, reporters) as said:
            page = logged_in(browser, told).new_page()
            page.goto(f"{told['url']}/console/ops?size=200")
            began, answered = time.monotonic(), said["answered"]
            found |= {"reporting": reporters, "rows_shown": 200} | busy(page, UPDATES_S)
            found["heartbeats_per_s"] = round((said["answered"] - answered) / (time.monotonic() - began))
        browser.close()
    return found | {"load_after": os.getloadavg()[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--pages", type=int, default=20)
    given = parser.parse_args()
    for place, count in enumerate(given.tasks):
        print(json.dumps(measure(count, given.pages if place == 0 else 0)), flush=True)  # noqa: T201 - its result


if __name__ == "__main__":
    main()
