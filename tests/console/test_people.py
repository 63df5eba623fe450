"""People and programs in the console: who is let in, who is offered what, what is shown once, and who did it. In a real
browser against the real server; the tasks are looked at only (`office`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.conftest import PHONE, Visitor, visiting
from console.office import PASSWORD, Office, office
from tidegate.model.permission import ROLES, Role
from tidegate.testing.site import Site, eventually

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = sync_api.expect
expect.set_options(timeout=45_000)

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600)]

UNLIKELY = [
    "<img src=x onerror=alert(1)>",
    "\"'`><script>alert(1)</script>",
    "{{7*7}}${7*7}<%= 7 %>",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c &lt;b&gt; \u00e9\u4e2d\u6587",
]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Ann may do everything; Dan makes tasks, Eve looks, and Zoe is in no project."""
    with office(tmp_path_factory.mktemp("office") / "data") as made:
        made.task("shop_to_lake")
        made.task("nightly_copy", run=False)
        made.api.ask("POST", "/projects", expect=201, json={"name": "finance"})
        made.person("ann", administrator=True, description="Runs the platform")
        made.person("dan", "data_engineer", description="Orders and payments")
        made.person("eve", "member", description="Reporting")
        made.person("zoe")
        made.program("nightly", "ops_engineer", description="The nightly jobs")
        for place, text in enumerate(UNLIKELY):
            made.program(f"odd_{place}", "member", description=text)
        made.api.ask("POST", "/tokens", expect=201, json={"account": "nightly", "name": "jobs", "days": 30})
        wish = {"account": "nightly", "name": "pausing", "permissions": ["task.operate"], "projects": ["default"]}
        made.api.ask("POST", "/tokens", expect=201, json=wish)
        made.api.ask("POST", "/access-keys", expect=201, json={"account": "nightly", "name": "jobs"})
        made.becomes("shop_to_lake", "Running")
        yield made


@pytest.fixture(scope="module")
def known(desk: Office, browser: Any) -> dict[str, Any]:
    """What browsers keep of the log-ins of everybody."""
    kept = {}
    for name in ("ann", "dan", "eve", "zoe"):
        with visiting(browser, desk.url) as visitor:
            visitor.go()
            visitor.enter(name, PASSWORD)
            kept[name] = {"cookies": visitor.context.cookies(), "origins": []}
    return kept


@pytest.fixture
def ann(desk: Office, browser: Any, known: dict[str, Any]) -> Iterator[Visitor]:
    with visiting(browser, desk.url, state=known["ann"]) as made:
        yield made


@pytest.fixture
def eve(desk: Office, browser: Any, known: dict[str, Any]) -> Iterator[Visitor]:
    with visiting(browser, desk.url, state=known["eve"]) as made:
        yield made


def row(visitor: Visitor, name: str) -> Any:
    called = visitor.page.locator("td b", has_text=re.compile(f"^{name}$"))
    return visitor.page.get_by_role("row").filter(has=called)


def pick(visitor: Visitor, label: str, option: str | re.Pattern[str]) -> None:
    visitor.page.get_by_role("combobox", name=label, exact=True).click()
    visitor.page.get_by_role("option", name=option).click()


def test_the_first_account_is_made_with_the_code_that_the_server_printed(browser: Any, tmp_path: Path) -> None:
    site = Site(tmp_path).start()
    try:
        said = tmp_path / "server.out"
        code = eventually(lambda: re.findall(r"--code\s+(\S+)", said.read_text()), "the server prints the code")[0]
        with visiting(browser, site.url) as visitor:
            visitor.go("/")
            page = visitor.page
            page.get_by_role("link", name="Make the first account").click()
            expect(page.get_by_role("heading", name="First account")).to_be_visible()
            make = page.get_by_role("button", name="Make the account and log in")
            page.get_by_label("Set-up code").fill("not-this-one")
            page.get_by_label("Name of the account").fill("ann")
            page.get_by_role("textbox", name="Password", exact=True).fill(PASSWORD)
            page.get_by_role("textbox", name="Password again").fill(PASSWORD[:-1])
            expect(make).to_be_disabled()
            expect(page.get_by_text("This is not the same password")).to_be_visible()
            page.get_by_role("textbox", name="Password again").fill(PASSWORD)
            make.click()
            expect(page.get_by_role("alert")).to_contain_text("request.set_up_over")
            visitor.shot("set-up-refused")
            page.get_by_label("Set-up code").fill(code)
            visitor.shot("set-up")
            make.click()
            expect(page.get_by_role("heading", name="No task has been submitted yet")).to_be_visible()
            assert page.url.endswith("/console/ops")
            visitor.go("/people")
            expect(row(visitor, "ann")).to_contain_text("Administrator")

            page.get_by_role("button", name="New account").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_label("Name").fill("bob")
            dialog.get_by_role("textbox", name="Password").fill("short")
            site.kill()
            expect(page.get_by_text("No connection to the server")).to_be_visible()
            site.start()
            expect(page.get_by_text("No connection to the server")).to_be_hidden()
            expect(dialog.get_by_label("Name")).to_have_value("bob")
            dialog.get_by_role("button", name="Save").click()
            expect(dialog.get_by_role("alert")).to_contain_text("12 to")
            dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
            dialog.get_by_role("button", name="Save").click()
            expect(row(visitor, "bob")).to_contain_text("no project yet")
    finally:
        site.close()


def test_a_colleague_gets_a_role_and_a_program_a_token_and_the_audit_log_has_both(ann: Visitor, desk: Office) -> None:
    page = ann.page
    ann.go("/people")
    page.get_by_role("button", name="New account").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("eve")
    dialog.get_by_role("textbox", name="Password").fill(PASSWORD)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("eve")
    ann.shot("account-taken")
    dialog.get_by_label("Name").fill("bob")
    dialog.get_by_label("Description").fill("On call")
    dialog.get_by_role("button", name="Save").click()
    expect(row(ann, "bob")).to_contain_text("no project yet")
    ann.shot("accounts")

    page.get_by_role("link", name="Members", exact=True).click()
    page.get_by_role("button", name="Let somebody in").click()
    pick(ann, "Account", "bob")
    dialog.get_by_role("radio", name="Ops engineer").check()
    for one in ("task.operate", "alert.edit"):
        assert one in ROLES[Role.OPS_ENGINEER]
    expect(dialog.get_by_role("checkbox", name=re.compile("^Run, pause, continue"))).to_be_checked()
    expect(dialog.get_by_role("checkbox", name=re.compile("^Make, lock and change"))).not_to_be_checked()
    page.wait_for_timeout(300)  # for the picture
    ann.shot("member")
    dialog.get_by_role("button", name="Let in").click()
    expect(dialog).to_be_hidden()
    expect(row(ann, "bob")).to_contain_text("Ops engineer")
    ann.shot("members")
    row(ann, "bob").get_by_role("button", name="Change role").click()
    dialog.get_by_role("radio", name="Custom").check()
    dialog.get_by_role("checkbox", name=re.compile("^Make, change, switch")).check()
    dialog.get_by_role("button", name="Save").click()
    expect(row(ann, "bob")).to_contain_text("Custom")
    expect(row(ann, "bob")).to_contain_text("alert.edit")

    page.get_by_role("link", name="Tokens and access keys").click()
    page.get_by_role("button", name="New token").click()
    dialog.get_by_label("Name").fill("deploys")
    pick(ann, "For", "nightly")
    dialog.get_by_text("Limit it further").click()
    dialog.locator(".mantine-MultiSelect-root").first.locator("input").first.click()
    page.get_by_role("option", name="task.operate").click()
    dialog.get_by_role("heading").click()
    page.wait_for_timeout(300)  # for the picture
    ann.shot("token-new")
    dialog.get_by_role("button", name="Make it").click()
    shown = dialog.get_by_role("textbox", name="Token")
    expect(shown).to_have_value(re.compile("^tga_"))
    expect(dialog.get_by_role("status")).to_contain_text("shown only now")
    ann.shot("token-once")
    token = shown.input_value()
    page.keyboard.press("Escape")
    expect(shown).to_be_visible()
    dialog.get_by_role("button", name="I have stored it").click()
    expect(dialog).to_be_hidden()
    assert token not in page.content()
    assert token not in str(page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])"))
    said = httpx.get(f"{desk.url}/api/v1/session", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert said.json()["actor"] == "nightly"
    expect(row(ann, "deploys")).to_contain_text("task.operate")

    page.get_by_role("button", name="New access key").click()
    dialog.get_by_label("Name").fill("deploys")
    pick(ann, "For", "nightly")
    dialog.get_by_role("button", name="Make it").click()
    expect(dialog.get_by_role("textbox", name="SecretKey")).to_have_value(re.compile(r"^\w{32}$"))
    ann.shot("key-once")
    dialog.get_by_role("button", name="I have stored it").click()
    ann.shot("tokens")

    page.get_by_role("link", name="Audit log").click()
    page.get_by_label("Who", exact=True).fill("ann")
    page.get_by_label("Action, as create_user").fill("create_token")
    found = page.get_by_role("row").filter(has_text="create_token")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("Done")
    assert page.url.endswith("/console/audit?actor=ann&action=create_token")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.get_by_label("Who", exact=True)).to_have_value("")
    pick(ann, "Outcome", "Refused")
    expect(page.get_by_role("row").filter(has_text="create_user").first).to_contain_text("name_taken")
    page.get_by_role("button", name="Clear filters").click()
    expect(page.get_by_role("row").filter(has_text="put_member").first).to_be_visible()
    page.get_by_role("button", name="Check the log").click()
    verified = page.get_by_role("status").filter(has_text="as they were written")
    expect(verified).to_be_visible()
    ann.shot("audit")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Export").click()
    assert '"action": "create_token"' in waiting.value.path().read_text()
    head = verified.locator("code").inner_text()
    page.get_by_label("A head noted earlier").fill(head[:-4] + "0000")
    page.get_by_role("button", name="Check the log").click()
    expect(page.get_by_role("status").filter(has_text="It was tampered with")).to_be_visible()
    ann.shot("audit-tampered")

    page.get_by_role("link", name="People").click()
    page.get_by_role("link", name="Tokens and access keys").click()
    row(ann, "deploys").filter(has_text="task.operate").get_by_role("button", name="Revoke").click()
    dialog.get_by_role("button", name="Revoke").click()
    expect(row(ann, "deploys").filter(has_text="task.operate")).to_have_count(0)
    said = httpx.get(f"{desk.url}/api/v1/session", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert said.status_code == 401


ACTS = re.compile(
    "^(Run|Pause|Forced Pause|Continue|Stop|Remove|Delete|Edit|Test|Password|Save|Submit.*|Hold it|Release it|"
    "Take it over|Take one now|Send a test|Operations of .*|New (?!t).*|Let somebody in|Change role|Change owner|"
    "Another condition|Check the log)$"
)
LOOKED_AT = [
    "/ops",
    "/dashboard",
    "/sources",
    "/groups",
    "/alerts",
    "/alerts/rules",
    "/alerts/channels",
    "/people/members",
    "/people/roles",
    *(f"/tasks/default/shop_to_lake{part}" for part in ("", "/tables", "/alerts", "/history", "/configuration")),
]


def test_who_may_only_look_is_offered_no_buttons(eve: Visitor, desk: Office) -> None:
    page = eve.page
    for address in LOOKED_AT:
        eve.go(address)
        page.get_by_role("status").filter(has_text="Live").wait_for()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        page.wait_for_timeout(700)  # what is asked for has come, and is drawn
        offered = page.get_by_role("button", name=ACTS).or_(
            page.get_by_role("link", name=re.compile("^(New task|Edit)$"))
        )
        assert [one.inner_text() for one in offered.all()] == [], address
        assert page.locator("td input:enabled").count() == 0, address
        if address == "/ops":
            expect(page.get_by_role("row").filter(has_text="shop_to_lake")).to_contain_text("Running")
            expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
            expect(page.get_by_role("link", name="Server log")).to_have_count(0)
            eve.shot("read-only-ops")
        if address == "/tasks/default/shop_to_lake":
            eve.shot("read-only-task")
    expect(page.get_by_role("link", name="Accounts", exact=True)).to_have_count(0)
    eve.go("/logs")
    expect(page.get_by_role("alert").first).to_contain_text("request.forbidden")
    eve.shot("read-only-refused")


def test_who_is_in_no_project_is_told_so(desk: Office, browser: Any, known: dict[str, Any]) -> None:
    with visiting(browser, desk.url, state=known["zoe"]) as zoe:
        zoe.go()
        expect(zoe.page.get_by_role("heading", name="You are no member of a project yet")).to_be_visible()
        zoe.shot("no-project")
        zoe.go("/people/members")
        expect(zoe.page.get_by_role("heading", name="You are no member of a project yet")).to_be_visible()


def test_a_role_that_is_taken_away_takes_its_buttons_along(desk: Office, browser: Any) -> None:
    desk.person("kim", "ops_engineer")
    with visiting(browser, desk.url) as kim:
        kim.go("/tasks/default/shop_to_lake")
        kim.enter("kim", PASSWORD)
        pause = kim.page.get_by_role("button", name="Pause", exact=True)
        pause.click()
        dialog = kim.page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Pause", exact=True)).to_be_enabled()
        desk.api.ask("PUT", "/projects/default/members/kim", json={"role": "member"})
        dialog.get_by_role("button", name="Pause", exact=True).click()
        expect(dialog.get_by_role("alert")).to_contain_text("request.forbidden")
        kim.shot("forbidden")
        kim.page.keyboard.press("Escape")
        kim.page.reload()
        kim.page.get_by_role("heading", name="shop_to_lake").wait_for()
        expect(pause).to_have_count(0)


def test_one_holds_a_task_and_another_takes_it_over(
    ann: Visitor, desk: Office, browser: Any, known: dict[str, Any]
) -> None:
    with visiting(browser, desk.url, state=known["dan"]) as dan:
        dan.go("/tasks/default/nightly_copy/configuration")
        lock = dan.page.get_by_role("region", name="Edit lock")
        expect(lock).to_contain_text("Nobody holds the edit lock")
        lock.get_by_role("button", name="Hold it").click()
        expect(lock).to_contain_text("You hold the edit lock")
        expect(dan.page.locator(".task-name")).to_contain_text("held by you")

        ann.go("/edit/default/nightly_copy?step=check")
        theirs = ann.page.get_by_role("region", name="Edit lock")
        expect(theirs).to_contain_text("dan holds the edit lock")
        ann.page.get_by_role("button", name="Save for later").click()
        expect(ann.page.get_by_role("alert")).to_contain_text("task.locked")
        ann.shot("lock-refused")
        ann.go("/tasks/default/nightly_copy/configuration")
        expect(ann.page.locator(".task-name")).to_contain_text("held by dan")
        ann.shot("lock-others")
        theirs.get_by_role("button", name="Take it over").click()
        ann.page.get_by_role("dialog").get_by_role("button", name="Take it over").click()
        expect(theirs).to_contain_text("You hold the edit lock")
        expect(lock).to_contain_text("ann holds the edit lock")
        theirs.get_by_role("button", name="Release it").click()
        expect(theirs).to_contain_text("Nobody holds the edit lock")


def test_one_changes_ones_own_password(desk: Office, browser: Any) -> None:
    desk.person("max", "member")
    other = "another horse 8 battery"
    with visiting(browser, desk.url) as visitor:
        visitor.go()
        visitor.enter("max", PASSWORD)
        visitor.page.get_by_role("button", name="Account").click()
        visitor.page.get_by_role("menuitem", name="Change password").click()
        dialog = visitor.page.get_by_role("dialog")
        dialog.get_by_role("textbox", name="Present password").fill("wrong horse 7 battery")
        dialog.get_by_role("textbox", name="New password").fill(other)
        dialog.get_by_role("button", name="Save").click()
        expect(dialog.get_by_role("alert")).to_be_visible()
        visitor.shot("password-refused")
        dialog.get_by_role("textbox", name="Present password").fill(PASSWORD)
        dialog.get_by_role("button", name="Save").click()
        expect(dialog).to_be_hidden()
        visitor.page.reload()
        visitor.page.get_by_role("link", name="Real-time ops").wait_for()
    with visiting(browser, desk.url) as visitor:
        visitor.go()
        visitor.enter("max", other)


def test_names_and_words_that_are_markup_are_shown_as_text(ann: Visitor, desk: Office) -> None:
    page = ann.page
    with httpx.Client(base_url=desk.url, headers=dict(desk.api.http.headers), trust_env=False) as client:
        for text in UNLIKELY:
            client.delete(f"/api/v1/users/{text}".replace("?", "%3F"))
    for address in ("/people/accounts", "/people/members", "/people/tokens", "/audit"):
        ann.go(address)
        page.get_by_role("row").nth(3).wait_for()
        if address == "/people/accounts":
            for text in UNLIKELY:
                expect(page.get_by_text(text, exact=True)).to_be_visible()
        assert page.locator("img[src='x'], main script").count() == 0, address
        assert page.locator("a[href^='javascript:']").count() == 0, address


PAGES = {
    "accounts": "/people",
    "members": "/people/members",
    "tokens": "/people/tokens",
    "roles": "/people/roles",
    "audit": "/audit",
    "no-members": "/people/members?project=finance",
    "no-entry": "/audit?actor=nobody_of_this_name",
    "lock": "/tasks/default/nightly_copy/configuration",
}
DIALOGS = (
    ("account", "/people", "New account"),
    ("member", "/people/members", "Let somebody in"),
    ("token", "/people/tokens", "New token"),
    ("key", "/people/tokens", "New access key"),
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out_by_how_these_pages_are_made(
    desk: Office, browser: Any, known: dict[str, Any], scheme: str
) -> None:
    found: dict[str, list[str]] = {}
    still = {"color_scheme": scheme, "reduced_motion": "reduce"}  # what fades in has less contrast until it is there
    with visiting(browser, desk.url, state=known["ann"], **still) as visitor:
        page = visitor.page
        for name, address in PAGES.items():
            visitor.go(address)
            page.get_by_role("status").filter(has_text="Live").wait_for()
            page.wait_for_timeout(900)  # what is asked for has come, and is drawn
            visitor.shot(f"{scheme}-{name}")
            if serious := visitor.serious():
                found[name] = serious
        for name, address, button in DIALOGS:
            visitor.go(address)
            page.get_by_role("button", name=button).first.click()
            page.get_by_role("dialog").wait_for()
            page.wait_for_timeout(600)
            visitor.shot(f"{scheme}-{name}-dialog")
            if serious := visitor.serious():
                found[f"{name} dialog"] = serious
    with visiting(browser, desk.url, **still) as stranger:
        stranger.go("/set-up")
        stranger.page.get_by_label("Set-up code").wait_for()
        stranger.shot(f"{scheme}-set-up")
        if serious := stranger.serious():
            found["set-up"] = serious
    assert found == {}


def test_these_pages_are_usable_on_a_telephone_and_in_chinese(
    desk: Office, browser: Any, known: dict[str, Any]
) -> None:
    too_wide = []
    phone = {"viewport": PHONE, "has_touch": True, "locale": "zh-CN"}
    with visiting(browser, desk.url, state=known["ann"], **phone) as visitor:
        for name, address in PAGES.items():
            visitor.go(address)
            visitor.page.get_by_role("status").filter(has_text="实时").wait_for()
            visitor.page.wait_for_timeout(700)
            visitor.shot(f"phone-{name}")
            if visitor.page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
                too_wide.append(name)
    assert too_wide == []
