"""A town, a browser, and a visitor who notices what a page must not do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from console.town import Town
from tidegate.console.pages import STATIC
from tidegate.testing.servers import PostgresServer

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

REPOSITORY = Path(__file__).parents[2]
CHROMIUM = os.environ.get("TIDEGATE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SHOTS = Path(os.environ.get("TIDEGATE_SCREENSHOTS") or REPOSITORY / "build" / "screenshots")
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
WAIT_MS = 30_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Passed over where they cannot be run, with the reason."""
    reason = ""
    if CHROMIUM is None:
        reason = "there is no chromium here (Debian: apt-get install chromium)"
    elif not (STATIC / "index.html").exists():
        reason = "the console is not built: make console"
    for item in items:
        if reason and item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="package")
def town(postgres_newest: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    for name in ("console_shop", "console_warehouse"):
        postgres_newest.create_database(name)
    made = Town(tmp_path_factory.mktemp("town"), postgres_newest, "console_shop", "console_warehouse")
    try:
        yield made
    finally:
        made.close()
        for name in ("console_shop", "console_warehouse"):
            postgres_newest.drop_database(name)


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


class Visitor:
    """Somebody at a page. What a page must not do is noted, and told at the end."""

    def __init__(self, context: Any, url: str) -> None:
        self.url = url
        self.context = context
        self.page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.wrong: list[str] = []
        host = urlsplit(url).netloc
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on(
            "request",
            lambda asked: (
                None
                if urlsplit(asked.url).netloc in (host, "") or asked.url.startswith(("data:", "blob:"))
                else self.wrong.append(f"asked {asked.url}")
            ),
        )

    def _said(self, kind: str, text: str) -> None:
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.wrong.append(f"policy: {text}")
        elif kind == "error" and "Failed to load resource" not in text and "WebSocket" not in text:
            self.wrong.append(f"console: {text}")

    def go(self, address: str = "/ops") -> None:
        self.page.goto(f"{self.url}/console{address}")

    def log_in(self, token: str) -> None:
        self.page.get_by_label("Admin token").fill(token)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("link", name="Real-time ops").wait_for()

    def enter(self, name: str, password: str) -> None:
        """By name, wherever the log-in is shown."""
        self.page.get_by_role("textbox", name="Account").fill(name)
        self.page.get_by_role("textbox", name="Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.get_by_role("navigation", name="Pages").wait_for()

    def shot(self, name: str, *, full: bool = False) -> Path:
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=full, animations="disabled")
        return path

    def serious(self) -> list[str]:
        """What axe finds that a person would stumble over."""
        self.page.evaluate((REPOSITORY / "web/node_modules/axe-core/axe.min.js").read_text())
        found = self.page.evaluate(
            """async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]}))
               .violations
               .filter(one => ["serious", "critical"].includes(one.impact))
               .map(one => one.id + ": " + one.nodes.slice(0, 4)
                 .map(node => node.target.join(" ") + " " + (node.any[0]?.message ?? "")).join(" | "))"""
        )
        return list(found)


@pytest.fixture(scope="package")
def token(town: Town) -> str:
    return (town.site.folder / "admin.token").read_text().strip()


@pytest.fixture(scope="package")
def logged_in(town: Town, browser: Any, token: str) -> Any:
    """What a browser keeps of a log-in."""
    context = browser.new_context(viewport=DESK)
    visitor = Visitor(context, town.site.url)
    visitor.go()
    visitor.log_in(token)
    cookies = context.cookies()
    context.close()
    return {"cookies": cookies, "origins": []}


@contextmanager
def visiting(browser: Any, url: str, *, state: Any = None, **more: Any) -> Iterator[Visitor]:
    context = browser.new_context(
        **{"viewport": DESK, "locale": "en-GB", "timezone_id": "Europe/Berlin", "storage_state": state} | more
    )
    visitor = Visitor(context, url)
    try:
        yield visitor
    finally:
        wrong = visitor.wrong
        context.close()
    assert wrong == []


@pytest.fixture
def stranger(town: Town, browser: Any) -> Iterator[Visitor]:
    """Nobody logged in."""
    with visiting(browser, town.site.url) as visitor:
        yield visitor


@pytest.fixture
def visitor(town: Town, browser: Any, logged_in: Any) -> Iterator[Visitor]:
    """An operator, logged in."""
    with visiting(browser, town.site.url, state=logged_in) as made:
        yield made
