"""What an operator makes, looks for and does to many in the console, as in `test_journeys`: in a real browser against a
real server, its workers and real databases."""

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

SECRET = "canary-7c41"
MARKUP = "<img src=x onerror=alert(1)>"
RUNNING = ["fleet_01", "fleet_02", "fleet_03"]
RESTING = [f"fleet_{number:02}" for number in range(4, 31)]


@pytest.fixture(scope="module", autouse=True)
def fleet(town: Town) -> None:
    """A task that failed, some that run, and many that rest."""
    town.source.execute(
        "create table invoices (id int primary key, total numeric(12, 2));"
        "insert into invoices select i, i from generate_series(1, 300) i"
    )
    town.source.execute(f'create table "{MARKUP}" (id int primary key)')
    town.task("invoices_copy", ["public.invoices"], schema="invoicing")
    for name in RUNNING:
        town.task(name, ["public.products"], schema=name)
    for name in RESTING:
        town.task(name, ["public.products"], schema=name, run=False)
    town.source.execute("alter table invoices alter total type bigint")
    town.source.execute("update invoices set total = 7 where id = 1")
    eventually(lambda: town.site.status("invoices_copy") == "Failure", "a column's change of type ends the run")


def row(visitor: Visitor, text: str) -> Any:
    return visitor.page.get_by_role("row").filter(has_text=text)


def test_a_data_source_is_made_from_what_its_connector_declares(visitor: Visitor, town: Town) -> None:
    visitor.go("/sources")
    page = visitor.page
    expect(row(visitor, "shop_db")).to_contain_text("PostgreSQL")
    visitor.shot("sources")
    page.get_by_role("button", name="New data source").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Kind").click()
    page.get_by_role("option", name="PostgreSQL").click()
    dialog.get_by_role("textbox", name="Name", exact=True).fill("archive")
    config = town.server.config(town.source.info.dbname)
    for label, value in (
        ("Host", config["host"]),
        ("Port", str(config["port"])),
        ("Database", "no_such_database"),
        ("User", config["user"]),
    ):
        dialog.get_by_role("textbox", name=label, exact=True).fill(str(value))
    dialog.get_by_label("Password", exact=True).fill(SECRET)
    dialog.get_by_role("button", name="Test these settings").click()
    expect(dialog.get_by_role("status")).to_contain_text("As a source")
    expect(dialog.locator(".check-wrong").first).to_be_visible()
    visitor.shot("source-refused")
    dialog.get_by_role("textbox", name="Database", exact=True).fill(config["database"])
    dialog.get_by_role("button", name="Test these settings").click()
    expect(dialog.locator(".verdict-ok").first).to_contain_text("can be used")
    visitor.shot("source-tested")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(row(visitor, "archive")).to_contain_text("no task")
    assert SECRET not in page.content()

    row(visitor, "archive").get_by_role("button", name="Edit").click()
    dialog.get_by_label("Description").fill("Kept for ten years")
    dialog.get_by_role("button", name="Save").click()
    expect(row(visitor, "archive")).to_contain_text("Kept for ten years")
    row(visitor, "archive").get_by_role("button", name="Test").click()
    expect(dialog.locator(".verdict-ok").first).to_contain_text("can be used")
    dialog.get_by_role("button", name="Close").last.click()
    row(visitor, "archive").get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row(visitor, "archive")).to_have_count(0)
    expect(row(visitor, "shop_db").get_by_role("button", name="Delete")).to_be_disabled()


def test_a_task_is_made_checked_and_run(visitor: Visitor, town: Town) -> None:
    visitor.go()
    page = visitor.page
    page.get_by_role("link", name="New task").click()
    page.get_by_label("Name of the task").fill("made_here")
    for end, name in (("Source", "shop_db"), ("Target", "warehouse")):
        page.get_by_role("combobox", name=end, exact=True).click()
        page.get_by_role("option", name=re.compile(name)).click()
    visitor.shot("new-ends")
    page.get_by_role("button", name="Next").click()

    expect(page.get_by_text(MARKUP)).to_be_visible()
    assert page.locator("img[src='x']").count() == 0
    page.get_by_role("checkbox", name="customers", exact=True).check()
    expect(page.get_by_role("status").filter(has_text="are taken")).to_contain_text("1 of")
    page.get_by_label("Name or pattern").fill(r"public\.order.*")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".entries")).to_contain_text("takes 2")
    page.get_by_label("Name or pattern").fill("public.misspelt")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".entries")).to_contain_text("is no table of the source")
    visitor.shot("new-tables")
    page.get_by_role("button", name="Leave out public.misspelt").click()
    expect(page.get_by_role("status").filter(has_text="are taken")).to_contain_text("3 of")
    page.get_by_role("button", name="Next").click()

    page.get_by_label("Table at the target").fill("all")
    expect(page.get_by_role("alert")).to_contain_text("Several tables would go to one place")
    page.get_by_label("Table at the target").fill("{schema}_{table}")
    page.get_by_label("Schema at the target").fill("made_here")
    expect(row(visitor, "public.order_items")).to_contain_text("made_here.public_order_items")
    visitor.shot("new-names")
    page.get_by_role("button", name="Next").click()

    expect(page.get_by_role("radio", name="Upsert")).to_be_checked()
    visitor.shot("new-options")
    page.reload()
    expect(page.get_by_role("radio", name="Upsert")).to_be_checked()
    page.get_by_role("button", name="Next").click()

    expect(page.get_by_text("It can be submitted.")).to_be_visible()
    page.locator(".fit", has_text="public.orders").locator("summary").first.click()
    expect(page.locator(".fit", has_text="public.orders")).to_contain_text("numeric(12,2)")
    page.evaluate("scrollTo(0, 0)")
    visitor.shot("new-check", full=True)
    page.get_by_role("button", name="Submit and run").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("made_here")
    expect(page.locator(".stage", has_text="Incremental synchronization")).to_contain_text("In progress")
    held = town.target.execute("select count(*) >= 4000 from made_here.public_customers").fetchone()
    assert held == (True,)


def test_a_definition_is_form_and_yaml_both_ways(visitor: Visitor) -> None:
    visitor.go("/edit/default/fleet_30")
    page = visitor.page
    expect(page.get_by_label("Name of the task")).to_have_value("fleet_30")
    page.get_by_text("YAML", exact=True).click()
    text = page.get_by_role("textbox", name="YAML")
    expect(text).to_have_value(re.compile("task: fleet_30"))
    written = text.input_value()
    text.fill(written.replace("units: 1", "units: many"))
    expect(page.get_by_role("note")).to_contain_text("units")
    visitor.shot("new-yaml")
    text.fill("task: [")
    expect(page.get_by_role("alert")).to_contain_text("line")
    text.fill(written.replace("schema: fleet_30", "schema: moved").replace("units: 1", "units: 2"))
    expect(page.get_by_role("alert")).to_be_hidden()
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_text("It can be submitted.")).to_be_visible()
    expect(page.locator(".fit")).to_contain_text("moved.products")
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("fleet_30")
    page.get_by_role("link", name="Configuration").click()
    expect(page.locator("pre")).to_contain_text("units: 2")


def test_an_error_is_found_in_the_log(visitor: Visitor) -> None:
    visitor.go("/tasks/default/invoices_copy")
    page = visitor.page
    page.get_by_role("alert").get_by_role("link", name="See what was logged").click()
    lines = page.locator(".log-line")
    expect(lines.first).to_be_visible()
    page.get_by_role("button", name="Schema", exact=True).click()
    expect(lines.filter(has_text="schema_change").first).to_be_visible()
    assert "diagnosis=schema" in page.url
    visitor.shot("logs-diagnosis")
    page.get_by_role("button", name="Schema", exact=True).click()
    page.get_by_label("Search the log").fill("schema_change AND NOT nothing_like_it")
    expect(lines.filter(has_text="schema_change").first).to_be_visible()
    lines.filter(has_text="schema_change").first.locator("summary").click()
    expect(page.locator(".log-fields").first).to_be_visible()
    visitor.shot("logs")
    page.get_by_label("Search the log").fill("(")
    expect(page.get_by_role("alert")).to_have_count(2)
    page.get_by_label("Search the log").fill("no such words at all")
    expect(page.get_by_role("heading", name="No line matches")).to_be_visible()


def test_the_log_is_followed_and_taken_along(visitor: Visitor, town: Town) -> None:
    visitor.go("/tasks/default/fleet_03/logs?container=worker")
    page = visitor.page
    lines = page.locator(".log-line")
    expect(lines.first).to_be_visible()
    page.get_by_role("switch", name="Follow").click()
    before = lines.first.inner_text()
    town.pause("fleet_03")
    expect(lines.first).not_to_have_text(before)
    town.site.command("fleet_03", "continue")
    town.site.becomes("fleet_03", "Running")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download").click()
    said = waiting.value.path().read_text()
    assert said
    assert all(" worker " in line for line in said.splitlines())


def test_many_are_paused_at_once(visitor: Visitor, town: Town) -> None:
    visitor.go("/ops?name=fleet&size=25")
    page = visitor.page
    page.get_by_label("Choose all tasks of this page").check()
    page.get_by_role("button", name="Choose all 30 that match").click()
    expect(page.get_by_text("Tasks chosen: 30")).to_be_visible()
    visitor.shot("batch-chosen")
    page.locator(".selection").get_by_role("button", name="Pause", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_contain_text("Pause is possible for 3 tasks. The other 27 are left")
    visitor.shot("batch-preview")
    dialog.get_by_role("button", name="Pause 3").click()
    expect(dialog.get_by_role("status")).to_contain_text("Done for 3 of 3 tasks")
    visitor.shot("batch-done")
    dialog.get_by_role("button", name="Close").last.click()
    for name in RUNNING:
        expect(page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))).to_contain_text(
            "Paused"
        )
    page.locator(".selection").get_by_role("button", name="Delete").or_(
        page.locator(".selection").get_by_role("button", name="Remove")
    ).first.click()
    dialog.get_by_label(re.compile("the number of tasks")).fill("1")
    expect(dialog.get_by_role("button", name=re.compile("^(Remove|Delete) "))).to_be_disabled()
    page.keyboard.press("Escape")
    page.locator(".selection").get_by_role("button", name="Change owner").click()
    dialog.get_by_label("The new owner").fill("night shift")
    dialog.get_by_role("button", name="Change owner").click()
    expect(dialog.get_by_role("status")).to_contain_text("Done for 30 of 30 tasks")
    assert town.site.task("fleet_17")["task"]["owner"] == "night shift"


def test_a_rule_is_made_and_a_real_lag_fires_it(visitor: Visitor, town: Town) -> None:
    visitor.go("/tasks/default/made_here/alerts")
    page = visitor.page
    page.get_by_role("button", name="New rule for this task").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("late_here")
    dialog.get_by_role("combobox", name="Severity").click()
    page.get_by_role("option", name="Urgent").click()
    dialog.get_by_role("combobox", name="What is looked at").fill("task delay")
    page.get_by_role("option", name="task delay").click()
    dialog.get_by_label("Threshold").fill("2")
    visitor.shot("rule")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(row(visitor, "late_here")).to_contain_text("task delay > 2 s")
    with town.server.connect(town.target.info.dbname) as locked:
        locked.autocommit = False
        locked.execute("lock table made_here.public_orders in access exclusive mode")
        expect(row(visitor, "late_here").filter(has_text="goes on")).to_be_visible()
        visitor.shot("lag-fired")
        visitor.go("/alerts?severity=urgent")
        expect(row(visitor, "late_here").filter(has_text="made_here")).to_be_visible()
        visitor.shot("alert-history")
        visitor.go("/dashboard")
        expect(row(visitor, "late_here").filter(has_text="goes on")).to_be_visible()
        page.wait_for_timeout(1500)  # for the picture
        visitor.shot("dashboard", full=True)
        locked.rollback()
    visitor.go("/alerts")
    expect(row(visitor, "late_here").filter(has_text="goes on")).to_have_count(0)


def test_a_channel_is_made_and_tried(visitor: Visitor) -> None:
    visitor.go("/alerts/channels")
    page = visitor.page
    expect(page.get_by_role("heading", name="Nobody is told")).to_be_visible()
    page.get_by_role("button", name="New channel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("duty")
    dialog.get_by_label("Address").fill("https://127.0.0.1:9/alerts")
    dialog.get_by_label("Key").fill("short")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Key").fill("a key that is long enough")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    row(visitor, "duty").get_by_role("button", name="Send a test").click()
    expect(row(visitor, "duty").locator(".verdict-bad")).to_be_visible()
    visitor.shot("channels")
    row(visitor, "duty").get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(row(visitor, "duty")).to_have_count(0)


def test_a_resource_group_is_made_and_given_more_units(visitor: Visitor) -> None:
    visitor.go("/groups")
    page = visitor.page
    page.get_by_role("button", name="New resource group").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name", exact=True).fill("night")
    dialog.get_by_role("textbox", name="Units").fill("3")
    dialog.get_by_role("button", name="Save").click()
    group = page.locator(".group", has_text="night")
    expect(group).to_contain_text("0 of 3 units taken")
    group.get_by_role("button", name="Edit").click()
    dialog.get_by_role("textbox", name="Units").fill("5")
    dialog.get_by_role("button", name="Save").click()
    expect(group).to_contain_text("0 of 5 units taken")
    visitor.shot("groups")
    group.get_by_role("button", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(group).to_have_count(0)


PAGES = {
    "dashboard": "/dashboard",
    "sources": "/sources",
    "groups": "/groups",
    "alert-history": "/alerts",
    "alert-rules": "/alerts/rules",
    "alert-channels": "/alerts/channels",
    "server-log": "/logs",
    "task-log": "/tasks/default/invoices_copy/logs",
    "task-alerts": "/tasks/default/made_here/alerts",
    "new": "/new",
    "new-tables": "/edit/default/fleet_20?step=tables",
    "new-names": "/edit/default/fleet_20?step=names",
    "new-options": "/edit/default/fleet_20?step=options",
    "new-check": "/edit/default/fleet_20?step=check",
    "new-yaml": "/edit/default/fleet_20?yaml=true",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_by_how_these_pages_are_made(town: Town, browser: Any, logged_in: Any, scheme: str) -> None:
    found: dict[str, list[str]] = {}
    still = {"color_scheme": scheme, "reduced_motion": "reduce"}  # what fades in has less contrast until it is there
    with visiting(browser, town.site.url, state=logged_in, **still) as visitor:
        page = visitor.page
        for name, address in PAGES.items():
            visitor.go(address)
            page.get_by_role("status").filter(has_text="Live").wait_for()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            page.wait_for_timeout(700)  # what is asked for has come, and is drawn
            visitor.shot(f"{scheme}-{name}")
            if serious := visitor.serious():
                found[name] = serious
        for name, address, button in (
            ("source dialog", "/sources", "New data source"),
            ("rule dialog", "/alerts/rules", "New rule"),
            ("channel dialog", "/alerts/channels", "New channel"),
        ):
            visitor.go(address)
            page.get_by_role("button", name=button).first.click()
            page.get_by_role("dialog").wait_for()
            page.wait_for_timeout(500)
            visitor.shot(f"{scheme}-{name.replace(' ', '-')}")
            if serious := visitor.serious():
                found[name] = serious
    assert found == {}


def test_these_pages_are_usable_on_a_telephone_and_in_chinese(town: Town, browser: Any, logged_in: Any) -> None:
    too_wide = []
    phone = {"viewport": PHONE, "has_touch": True, "locale": "zh-CN"}
    with visiting(browser, town.site.url, state=logged_in, **phone) as visitor:
        for name, address in PAGES.items():
            visitor.go(address)
            visitor.page.get_by_role("status").filter(has_text="实时").wait_for()
            expect(visitor.page.locator("[aria-busy=true]")).to_have_count(0)
            visitor.page.wait_for_timeout(500)
            visitor.shot(f"phone-{name}")
            if visitor.page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
                too_wide.append(name)
    assert too_wide == []
