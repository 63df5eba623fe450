"""Twenty tasks of two hundred are paused at once. Server, store, batch and console are the real ones. The twenty
workers are puppets that keep the worker protocol and copy nothing, and the other 180 tasks rest, submitted and never
run: real workers and databases are paused in `test_pages`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from console.conftest import visiting
from console.office import PASSWORD, Office, office

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=60_000)

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

RUNNING = [f"orders_{number:03}" for number in range(20)]
RESTING = [f"archive_{number:03}" for number in range(180)]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with office(tmp_path_factory.mktemp("fleet") / "data") as made:
        group = made.api.ask("GET", "/resource-groups/default")
        made.api.ask("PUT", "/resource-groups/default", json={"units": 40, "version": group["version"]})
        made.person("ann", administrator=True)
        for name in RESTING:
            made.task(name, run=False)
        for name in RUNNING:
            made.task(name)
        for name in RUNNING:
            made.becomes(name, "Running")
        yield made


def test_twenty_of_two_hundred_are_paused_at_once(fleet: Office, browser: Any) -> None:
    with visiting(browser, fleet.url) as visitor:
        page = visitor.page
        visitor.go("/ops")
        visitor.enter("ann", PASSWORD)
        expect(page.get_by_role("button", name="All tasks")).to_contain_text("200")
        page.get_by_role("button", name="Running").click()
        expect(page.get_by_role("row")).to_have_count(21)
        page.get_by_label("Choose all tasks of this page").check()
        expect(page.get_by_text("Tasks chosen: 20")).to_be_visible()
        visitor.shot("twenty-chosen")
        page.locator(".selection").get_by_role("button", name="Pause", exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("status")).to_contain_text("Pause is possible for 20 tasks.")
        page.wait_for_timeout(300)  # for the picture
        visitor.shot("twenty-preview")
        dialog.get_by_role("button", name="Pause 20").click()
        expect(dialog.get_by_role("status")).to_contain_text("Done for 20 of 20 tasks")
        visitor.shot("twenty-done")
        dialog.get_by_role("button", name="Close").last.click()
        page.get_by_role("button", name="Clear filters").first.click()
        expect(page.get_by_role("button", name="Paused")).to_contain_text("20")
        page.get_by_role("button", name="Paused").click()
        expect(page.get_by_role("row")).to_have_count(21)
        visitor.shot("twenty-paused")
    assert all(fleet.status(name) == "Paused" for name in RUNNING)
    assert all(fleet.status(name) == "Initialize" for name in RESTING[::30])
