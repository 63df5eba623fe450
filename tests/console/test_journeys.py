"""What an operator does in the console, in a real browser against a real server, its workers and real databases. Each
journey leaves pictures, which `docs/guide/console.md` shows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from console.conftest import PHONE, Visitor, visiting
from console.town import Town
from tidegate.testing.site import eventually

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=45_000)

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

UNLIKELY = "<img src=x onerror=alert(1)> \"'`{{7*7}}${7*7}</script>"


@pytest.fixture(scope="module", autouse=True)
def standing(town: Town) -> None:
    """Tasks in every status."""
    town.task("shop_to_warehouse", ["public.customers", "public.products", "public.orders", "public.order_items"])
    town.task("orders_history", ["public.orders"], schema="history", target={"write": "append"})
    town.task("payments_sync", ["public.payments"], schema="billing", description="For the month's closing")
    town.task("contacts_to_crm", ["public.contacts"], schema="crm")
    town.task("ledger_mirror", ["public.ledger"], schema="books")
    town.task("tickets_archive", ["public.tickets"], schema="support", run=False, description=UNLIKELY[:200])
    town.pause("contacts_to_crm")
    town.source.execute("alter table ledger alter amount type bigint")
    town.source.execute("update ledger set amount = 7 where id = 1")
    eventually(lambda: town.site.status("ledger_mirror") == "Failure", "a column's change of type ends the run")


def row(visitor: Visitor, task: str) -> Any:
    return visitor.page.get_by_role("row").filter(has=visitor.page.get_by_role("link", name=task, exact=True))


def test_the_first_log_in(stranger: Visitor, town: Town, token: str) -> None:
    stranger.go()
    expect(stranger.page.get_by_role("heading", name="Tidegate")).to_be_visible()
    stranger.page.get_by_label("Admin token").fill("tg_not-this-one")
    stranger.page.get_by_role("button", name="Log in").click()
    expect(stranger.page.get_by_role("alert")).to_contain_text("This is not the admin token")
    stranger.shot("log-in-refused")
    stranger.log_in(token)
    expect(row(stranger, "shop_to_warehouse")).to_contain_text("Running")
    assert token not in stranger.page.content()
    cookies = {cookie["name"]: cookie for cookie in stranger.context.cookies()}
    assert cookies["tidegate_session"]["httpOnly"] is True
    stranger.page.get_by_role("button", name="Account").click()
    stranger.page.get_by_role("menuitem", name="Log out").click()
    expect(stranger.page.get_by_label("Admin token")).to_be_visible()
    stranger.page.reload()
    expect(stranger.page.get_by_label("Admin token")).to_be_visible()
    stranger.shot("log-in")


def test_somebody_with_an_account_logs_in_by_name(stranger: Visitor, town: Town) -> None:
    town.site.ask("POST", "/users", {"name": "ann", "password": "correct horse battery", "administrator": True})
    stranger.go()
    stranger.page.get_by_role("textbox", name="Account").fill("ann")
    stranger.page.get_by_role("textbox", name="Password").fill("wrong horse battery")
    stranger.page.get_by_role("button", name="Log in").click()
    expect(stranger.page.get_by_role("alert")).to_contain_text("The name or the password is wrong")
    stranger.page.get_by_role("textbox", name="Password").fill("correct horse battery")
    stranger.page.get_by_role("button", name="Log in").click()
    expect(row(stranger, "shop_to_warehouse")).to_be_visible()
    stranger.shot("logged-in-by-name")


def test_the_list_shows_every_task_and_its_address_says_what_is_shown(visitor: Visitor) -> None:
    visitor.go()
    page = visitor.page
    for task, status in (
        ("shop_to_warehouse", "Running"),
        ("contacts_to_crm", "Paused"),
        ("ledger_mirror", "Failure"),
        ("tickets_archive", "Initialize"),
    ):
        expect(row(visitor, task)).to_contain_text(status)
    expect(page.get_by_role("button", name=re.compile("6.*All tasks"))).to_be_visible()
    page.wait_for_timeout(2500)  # for the picture: so that some rates are known
    visitor.shot("ops")

    page.get_by_role("button", name=re.compile(r"\d\s*Failure")).click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name=re.compile(r"\d\s*Paused")).click()
    expect(page.get_by_role("row")).to_have_count(3)
    assert page.url.endswith("/console/ops?status=Failure&status=Paused")
    page.go_back()
    expect(page.get_by_role("row")).to_have_count(2)
    assert page.url.endswith("/console/ops?status=Failure")
    page.reload()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="Clear filters").click()
    page.get_by_label("Search by name").fill("ORDERS")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(row(visitor, "orders_history")).to_be_visible()
    page.get_by_label("Search by name").fill("no such task")
    expect(page.get_by_role("heading", name="No task matches")).to_be_visible()


def test_what_happens_shows_by_itself(visitor: Visitor, town: Town) -> None:
    visitor.go()
    expect(row(visitor, "payments_sync")).to_contain_text("Running")
    expect(visitor.page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    town.pause("payments_sync")
    expect(row(visitor, "payments_sync")).to_contain_text("Paused")
    town.site.command("payments_sync", "continue")
    expect(row(visitor, "payments_sync")).to_contain_text("Running")


def test_create_is_watched_from_full_to_incremental(visitor: Visitor, town: Town) -> None:
    visitor.go("/tasks/default/tickets_archive")
    page = visitor.page
    page.get_by_role("button", name="Run", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("600 rows are copied")
    visitor.shot("run-preview")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_enabled()
    stage = page.locator(".stage", has_text="Incremental synchronization")
    expect(stage).to_contain_text("In progress")
    expect(page.locator(".stage", has_text="Full synchronization")).to_contain_text("Completed")


def test_pause_and_continue(visitor: Visitor) -> None:
    visitor.go("/tasks/default/orders_history")
    page = visitor.page
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run).to_have_attribute("aria-disabled", "true")
    expect(run).to_have_attribute("aria-description", re.compile("the status is Running"))
    page.get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing is read again")
    visitor.shot("pause-preview")
    dialog.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator(".task-name")).to_contain_text("Paused")
    visitor.shot("paused")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(dialog).to_contain_text("Log to be read")
    visitor.shot("continue-preview")
    dialog.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator(".task-name")).to_contain_text("Running")


def test_a_pause_that_fails_leads_to_a_forced_one(visitor: Visitor, town: Town) -> None:
    visitor.go("/tasks/default/orders_history")
    page = visitor.page
    expect(page.locator(".task-name")).to_contain_text("Running")
    with town.server.connect(town.target.info.dbname) as locked:
        locked.autocommit = False
        locked.execute("lock table history.orders in access exclusive mode")
        page.get_by_role("button", name="Pause", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".task-name .countdown")).to_be_visible()
        visitor.shot("operating")
        expect(page.get_by_role("note")).to_contain_text("The pause did not finish")
        visitor.shot("pause-failed")
        page.get_by_role("note").get_by_role("button", name="Forced Pause").click()
        expect(dialog).to_contain_text("No snapshot is written")
        visitor.shot("forced-pause-preview")
        dialog.get_by_role("button", name="Forced Pause").click()
        expect(page.locator(".task-name")).to_contain_text("Paused")
        locked.rollback()
    page.get_by_role("button", name="Continue", exact=True).click()
    dialog.get_by_role("button", name="Continue", exact=True).click()
    expect(page.locator(".task-name")).to_contain_text("Running")


def test_a_lost_position_is_explained(visitor: Visitor, town: Town) -> None:
    visitor.go("/tasks/default/contacts_to_crm")
    page = visitor.page
    expect(page.locator(".task-name")).to_contain_text("Paused")
    number = town.site.task("contacts_to_crm")["task"]["id"]
    town.source.execute(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots "
        "where database = current_database() and not active and slot_name like %s",
        (f"%\\_t{number}r%",),
    )
    page.get_by_role("button", name="Continue", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Continue is not possible now")
    expect(dialog).to_contain_text("source.position_lost")
    expect(dialog.get_by_role("button", name="Continue", exact=True)).to_be_disabled()
    visitor.shot("position-lost")


def test_stop_asks_for_the_tasks_name(visitor: Visitor) -> None:
    visitor.go()
    page = visitor.page
    page.get_by_role("button", name="Operations of ledger_mirror").click()
    expect(page.get_by_role("menu")).to_contain_text("the status is Failure")
    visitor.shot("row-operations")
    page.get_by_role("menuitem", name="Stop", exact=True).click()
    dialog = page.get_by_role("dialog")
    stop = dialog.get_by_role("button", name="Stop", exact=True)
    field = dialog.get_by_label("Type the task's name")
    field.fill("ledger")
    expect(stop).to_be_disabled()
    field.fill("ledger_mirror")
    expect(stop).to_be_enabled()
    visitor.shot("stop")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(row(visitor, "ledger_mirror")).to_contain_text("Failure")


def test_a_failure_says_what_to_do(visitor: Visitor) -> None:
    visitor.go("/tasks/default/ledger_mirror")
    box = visitor.page.get_by_role("alert")
    expect(box).to_contain_text("source.schema_change")
    visitor.page.wait_for_timeout(500)
    visitor.shot("failure")


def test_an_alert_that_a_real_failure_fired_is_seen(visitor: Visitor) -> None:
    visitor.go("/tasks/default/ledger_mirror/alerts")
    expect(visitor.page.get_by_role("row").filter(has_text="task_failed")).to_contain_text("goes on")
    # It is fired by less of it, which the rule does not say and the table of alarms does.
    expect(visitor.page.get_by_role("row").filter(has_text="log_running_out").last).to_contain_text("log left < 12 h")
    visitor.shot("alerts", full=True)


def test_every_part_of_a_task_has_its_page(visitor: Visitor, town: Town) -> None:
    page = visitor.page
    visitor.go("/tasks/default/shop_to_warehouse")
    expect(page.locator(".flow")).to_contain_text("shop_db")
    expect(page.locator(".stream").first).to_contain_text("rows/s")
    page.wait_for_timeout(3000)  # for the picture
    visitor.shot("task-overview", full=True)
    page.get_by_role("link", name="Metrics", exact=True).click()
    expect(page.locator(".chart canvas").first).to_be_visible()
    page.wait_for_timeout(1000)
    visitor.shot("task-metrics")
    page.get_by_role("link", name="Link details").click()
    expect(page.get_by_role("row").filter(has_text="public.order_items")).to_contain_text("Normal")
    visitor.shot("task-tables")
    page.get_by_role("link", name="Key events").click()
    expect(page.get_by_role("listitem").filter(has_text="Worker started").first).to_be_visible()
    visitor.shot("task-events")
    page.get_by_role("link", name="Configuration").click()
    expect(page.locator("pre")).to_contain_text("task: shop_to_warehouse")
    visitor.shot("task-configuration")


def test_two_versions_are_compared_and_the_old_one_submitted_again(visitor: Visitor, town: Town) -> None:
    definition = town.site.task("payments_sync")["definition"]
    town.pause("payments_sync")
    town.site.ask("PUT", "/tasks/payments_sync", definition | {"restarts": {"max": 3}})
    town.site.ask("POST", "/tasks/payments_sync/submit", {"note": "fewer restarts"})
    visitor.go("/tasks/default/payments_sync/history")
    page = visitor.page
    expect(page.locator(".diff .added")).to_have_text(re.compile("max: 3"))
    visitor.shot("task-history")
    page.get_by_role("button", name="Submit again").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Submit", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("cell", name="Version 1 again")).to_be_visible()
    assert town.site.task("payments_sync")["definition"]["restarts"]["max"] == 10
    town.site.command("payments_sync", "continue")
    town.site.becomes("payments_sync", "Running")
    expect(page.get_by_role("button", name="Submit again").first).to_be_disabled()


def test_a_name_that_is_markup_is_shown_as_text(visitor: Visitor) -> None:
    visitor.go("/tasks/default/tickets_archive")
    expect(visitor.page.get_by_text(UNLIKELY[:60])).to_be_visible()
    visitor.go()
    expect(visitor.page.get_by_text(UNLIKELY[:60])).to_be_visible()
    assert visitor.page.locator("img[src='x']").count() == 0


def test_a_server_that_is_killed_and_started_again_loses_nothing_of_a_page(visitor: Visitor, town: Town) -> None:
    visitor.go()
    page = visitor.page
    page.get_by_label("Choose shop_to_warehouse").check()
    page.get_by_role("button", name="Operations of ledger_mirror").click()
    page.get_by_role("menuitem", name="Stop", exact=True).click()
    field = page.get_by_role("dialog").get_by_label("Type the task's name")
    field.fill("ledger_mir")
    town.site.kill()
    expect(page.get_by_text("No connection to the server")).to_be_visible()
    visitor.shot("server-away")
    town.site.start()
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_attached()
    expect(page.get_by_text("No connection to the server")).to_be_hidden()
    expect(field).to_have_value("ledger_mir")
    page.keyboard.press("Escape")
    expect(page.get_by_text("Tasks chosen: 1")).to_be_visible()


PAGES = {
    "ops": "/ops",
    "overview": "/tasks/default/shop_to_warehouse",
    "metrics": "/tasks/default/shop_to_warehouse/metrics",
    "tables": "/tasks/default/shop_to_warehouse/tables",
    "events": "/tasks/default/shop_to_warehouse/events",
    "alerts": "/tasks/default/shop_to_warehouse/alerts",
    "history": "/tasks/default/payments_sync/history",
    "configuration": "/tasks/default/shop_to_warehouse/configuration",
    "failure": "/tasks/default/ledger_mirror",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_by_how_a_page_is_made(town: Town, browser: Any, logged_in: Any, scheme: str) -> None:
    found: dict[str, list[str]] = {}
    still = {"color_scheme": scheme, "reduced_motion": "reduce"}  # what fades in has less contrast until it is there
    with visiting(browser, town.site.url, state=logged_in, **still) as visitor:
        for name, address in PAGES.items():
            visitor.go(address)
            visitor.page.get_by_role("status").filter(has_text="Live").wait_for()
            visitor.page.wait_for_timeout(800)  # what is asked for has come, and is drawn
            if scheme == "dark":
                visitor.shot(f"dark-{name}")
            if serious := visitor.serious():
                found[name] = serious
        visitor.go("/tasks/default/orders_history")
        visitor.page.get_by_role("button", name="Stop", exact=True).click()
        visitor.page.get_by_role("dialog").get_by_label("Type the task's name").wait_for()
        if serious := visitor.serious():
            found["dialog"] = serious
    with visiting(browser, town.site.url, **still) as stranger:
        stranger.go()
        stranger.page.get_by_label("Admin token").wait_for()
        if serious := stranger.serious():
            found["log-in"] = serious
    assert found == {}


def test_it_is_all_said_in_chinese_too(town: Town, browser: Any, logged_in: Any) -> None:
    with visiting(browser, town.site.url, state=logged_in, locale="zh-CN") as visitor:
        visitor.go()
        expect(row(visitor, "shop_to_warehouse")).to_contain_text("运行中")
        visitor.shot("zh-ops")
        visitor.go("/tasks/default/shop_to_warehouse")
        expect(visitor.page.locator(".stages")).to_contain_text("增量同步")
        visitor.page.wait_for_timeout(1500)
        visitor.shot("zh-task")


def test_times_are_local_or_utc(visitor: Visitor) -> None:
    visitor.go("/tasks/default/shop_to_warehouse/events")
    time = visitor.page.locator(".event time").first
    time.wait_for()
    local, at = time.inner_text(), str(time.get_attribute("datetime"))
    visitor.page.get_by_role("button", name="Language, times, looks").click()
    visitor.page.get_by_role("menuitemradio", name="UTC").click()
    expect(time).not_to_have_text(local)
    expect(time).to_have_text(re.compile(at[11:19]))


def test_on_a_telephone_one_sees_what_is_wrong_and_pauses_it(town: Town, browser: Any, logged_in: Any) -> None:
    with visiting(browser, town.site.url, state=logged_in, viewport=PHONE, has_touch=True) as visitor:
        page = visitor.page
        visitor.go()
        expect(row(visitor, "ledger_mirror")).to_contain_text("Failure")
        visitor.shot("phone-ops")
        row(visitor, "payments_sync").get_by_role("link").click()
        page.get_by_role("button", name="Pause", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
        expect(page.locator(".task-name")).to_contain_text("Paused")
        visitor.shot("phone-task")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_list_is_reached_with_the_keyboard(visitor: Visitor) -> None:
    visitor.go()
    row(visitor, "contacts_to_crm").wait_for()
    for _ in range(45):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("document.activeElement.className") == "task-link":
            break
    else:
        pytest.fail("no task's link within 45 presses of Tab")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(re.compile("contacts_to_crm"))
