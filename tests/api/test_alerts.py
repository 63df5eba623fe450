"""Alerts through a whole server: rules and channels over the API, and every metric fired and ended by a real cause,
told to a receiver on this machine."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.rig import Api
from api.situations import give, initialize, paused, reach, running, task
from api.test_command_line import data, tidegate
from fixtures.receiver import Receiver, receiving
from tidegate.errors import SourceLogBroken, TargetBusy
from tidegate.model.alert import ALARMS, DEFAULT_RULES
from tidegate.model.lifecycle import State
from tidegate.model.problem import problem
from tidegate.testing.servers import until
from tidegate.watch.alerts import Alerts
from tidegate.watch.notify import Deliveries

KEY = "0123456789abcdef"
DEADLINE_S = 45


@dataclass
class Watch:
    """A server that looks for alerts by hand, its receiver, and figures that others of the server would know."""

    api: Api
    receiver: Receiver
    alerts: Alerts
    deliveries: Deliveries
    figures: dict[str, float] = field(default_factory=dict)

    def rule(self, *conditions: dict[str, Any], **more: Any) -> Any:
        given = {"alert_rule": "own", "applies_to": {"all": True}, "conditions": list(conditions)} | more
        return self.api.ask("POST", "/alert-rules", expect=201, json=given)

    def channel(self, name: str = "hook", **more: Any) -> Any:
        url = f"http://127.0.0.1:{self.receiver.port}/hook"
        given = {"name": name, "kind": "webhook", "url": url, "key": KEY} | more
        return self.api.ask("POST", "/alert-channels", expect=201, json=given)

    def step(self) -> list[Any]:
        """Look once and send what is due; the alerts of the rule, newest first."""
        self.alerts.step()
        self.deliveries.step()
        found: list[Any] = self.api.ask("GET", "/alerts", params={"rule": "own"})
        return found

    def told(self) -> list[tuple[str, str]]:
        said = [json.loads(body) for _, _, _, body in self.receiver.got]
        return [(one["about"], one["alert"]["metric"]) for one in said if one["alert"]["rule"] == "own"]


@pytest.fixture
def watch(driven: Api) -> Iterator[Watch]:
    control = driven.control
    figures: dict[str, float] = {}
    alerts = Alerts(control.db, control.clock, lambda: True, figures=lambda run: figures)
    deliveries = Deliveries(control.db, control.store.vault, control.clock, control.outbound, lambda: True)
    with receiving() as receiver:
        yield Watch(driven, receiver, alerts, deliveries, figures)


# --- every metric by a real cause -------------------------------------------------------------------------------


def nothing(watch: Watch) -> None:
    """Not needed."""


def says(**more: Any) -> Callable[[Watch], None]:
    """The worker's heartbeats say it."""

    def cause(watch: Watch) -> None:
        watch.api.engine.manners.says = more

    return cause


def knows(**figures: float) -> Callable[[Watch], None]:
    """Another part of the server knows it."""

    def cause(watch: Watch) -> None:
        watch.figures.clear()
        watch.figures.update(figures)

    return cause


def fails(watch: Watch) -> None:
    watch.api.engine.manners.fails_with = SourceLogBroken("the log of shop is broken")
    reach(watch.api, State.FAILURE)
    watch.api.engine.manners.fails_with = None


def stops(watch: Watch) -> None:
    give(watch.api, "stop")
    reach(watch.api, State.STOPPED)


def runs_again(watch: Watch) -> None:
    give(watch.api, "run")
    reach(watch.api, State.RUNNING)


def pauses(watch: Watch) -> None:
    give(watch.api, "pause")
    reach(watch.api, State.PAUSED)


def goes_on(watch: Watch) -> None:
    give(watch.api, "continue")
    reach(watch.api, State.RUNNING)


def loses_workers(times: int) -> Callable[[Watch], None]:
    def cause(watch: Watch) -> None:
        error = problem(TargetBusy("the file is held"))
        for _ in range(times):
            watch.api.engine.puppets[-1].say("event", name="restarted", error=error)

    return cause


def loses_a_table(watch: Watch) -> None:
    watch.api.plane.missing.append("table public.orders")
    reach(watch.api, State.DETECTION_EXCEPTION)


def finds_it_again(watch: Watch) -> None:
    watch.api.plane.missing.clear()
    reach(watch.api, State.PAUSED)


def hangs(watch: Watch) -> None:
    watch.api.engine.manners.drains = False
    give(watch.api, "pause")


def ends_hanging(watch: Watch) -> None:
    watch.api.engine.manners.drains = True
    reach(watch.api, State.PAUSED)


def falls_silent(watch: Watch) -> None:
    watch.api.engine.manners.speaks = False


def speaks_again(watch: Watch) -> None:
    watch.api.engine.manners.speaks = True


def stands_still(watch: Watch) -> None:
    watch.api.engine.manners.moves = False


def moves_again(watch: Watch) -> None:
    watch.api.engine.manners.moves = True


def saves(watch: Watch) -> None:
    watch.api.ask("POST", "/tasks/shop_to_lake/snapshots", expect=202)


def above(metric: str, threshold: float, **more: Any) -> dict[str, Any]:
    return {"metric": metric, "threshold": threshold} | more


def speed(metric: str, unit: str = "", **more: Any) -> dict[str, Any]:
    return above(metric, 1e6, operator="above", window="1s", **more)


def counts(**names: int) -> Callable[[Watch], None]:
    """Counters that grow by so much each second."""

    def cause(watch: Watch) -> None:
        began = time.monotonic()

        class Growing(dict[str, Any]):
            def __or__(self, other: Any) -> Any:
                raise NotImplementedError

            def __ror__(self, other: Any) -> Any:
                passed_s = time.monotonic() - began
                return other | {"counters": {name: int(rate * passed_s) for name, rate in names.items()}}

        watch.api.engine.manners.says = Growing()

    return cause


CAUSES: dict[str, tuple[dict[str, Any], Callable[[Watch], None], Callable[[Watch], None]]] = {
    "task_failed": ({"metric": "task_failed"}, fails, stops),
    "run_timeout": (above("run_timeout", 500, unit="ms"), hangs, ends_hanging),
    "task_stopped": ({"metric": "task_stopped"}, stops, runs_again),
    "task_paused": ({"metric": "task_paused"}, pauses, goes_on),
    "read_speed": (speed("read_speed"), counts(rows_read=10_000_000), counts(rows_read=1)),
    "write_speed": (speed("write_speed"), counts(rows_written=10_000_000), counts(rows_written=1)),
    "read_throughput": (speed("read_throughput"), counts(bytes_read=10_000_000), counts(bytes_read=1)),
    "write_throughput": (speed("write_throughput"), counts(bytes_written=10_000_000), counts(bytes_written=1)),
    "dirty_bytes": (above("dirty_bytes", 1, unit="KiB"), says(counters={"dirty_bytes": 2000}), stops),
    "dirty_rows": (above("dirty_rows", 0), says(counters={"dirty_rows": 1}), stops),
    "task_exception": ({"metric": "task_exception", "window": "1s"}, loses_workers(1), nothing),
    "detection_exception": ({"metric": "detection_exception"}, loses_a_table, finds_it_again),
    "restarts": (above("restarts", 2, window="1s"), loses_workers(3), nothing),
    "task_delay": (above("task_delay", 1, unit="min"), says(lag_s=61.0), says()),
    "restarts_20min": (above("restarts_20min", 2), loses_workers(3), stops),
    "transmission_delay": (
        above("transmission_delay", 2),
        says(counters={"transmission_delay_s": 3}),
        says(counters={"transmission_delay_s": 1}),
    ),
    "business_delay": (above("business_delay", 2), knows(business_delay_s=3), knows(business_delay_s=1)),
    "log_left": (above("log_left", 1, unit="h"), knows(log_left_s=3599), knows(log_left_s=3601)),
    "snapshot_age": (above("snapshot_age", 1), saves, saves),
    "lag_bytes": (above("lag_bytes", 1, unit="MiB"), says(lag_bytes=2_000_000), says()),
    "not_reporting": (above("not_reporting", 500, unit="ms"), falls_silent, speaks_again),
    "not_moving": (above("not_moving", 500, unit="ms"), stands_still, moves_again),
}


def test_there_is_a_cause_for_every_metric() -> None:
    assert set(CAUSES) == {alarm.name for alarm in ALARMS}


@pytest.mark.parametrize("metric", CAUSES)
def test_a_metric_fires_and_ends_by_a_real_cause_and_the_receiver_is_told(watch: Watch, metric: str) -> None:
    condition, cause, cure = CAUSES[metric]
    running(watch.api)
    watch.channel()
    watch.rule(condition)
    assert watch.step() == []
    cause(watch)
    until(lambda: bool(watch.step()), f"{metric} to fire", DEADLINE_S, every_s=0.1)
    assert watch.told() == [("fired", metric)]
    cure(watch)
    until(lambda: watch.step()[0]["resolved_at"] is not None, f"{metric} to end", DEADLINE_S, every_s=0.1)
    assert watch.told()[:2] == [("fired", metric), ("resolved", metric)]
    first = watch.step()[-1]
    assert [(one["about"], one["state"]) for one in first["messages"]] == [("fired", "sent"), ("resolved", "sent")]
    assert (first["sent"], first["task_name"], first["held"]) == ("all", "shop_to_lake", "")
    events = watch.api.ask("GET", "/tasks/shop_to_lake/events")
    said = [one["name"] for one in events if one["facts"].get("rule") == "own"]
    assert {"alert_fired", "alert_resolved"} <= set(said)


# --- messages ---------------------------------------------------------------------------------------------------


def test_a_message_is_signed_over_its_time_and_all_of_it(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"}, severity="urgent")
    watch.step()
    _, path, headers, body = watch.receiver.got[-1]
    stamp = headers["Tidegate-Timestamp"]
    mark = hmac.new(KEY.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert (path, headers["Tidegate-Signature"]) == ("/hook", f"sha256={mark}")
    assert abs(time.time() - int(stamp)) < 60
    said = json.loads(body)
    assert said["title"] == "[urgent] shop_to_lake: task_paused"
    assert said["task"] == {"id": task(watch.api)["id"], "name": "shop_to_lake", "project": "default", "run": 1}


def test_a_receiver_that_is_away_is_tried_again_and_told_once(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"})
    watch.receiver.status = 503
    found = watch.step()[0]
    assert (found["sent"], found["messages"][0]["tries"]) == ("waiting", 1)
    assert found["messages"][0]["error"]["code"] == "alert.undelivered"
    watch.receiver.status = 200
    until(lambda: watch.step()[0]["sent"] == "all", "the second attempt", DEADLINE_S, every_s=0.2)
    ids = [json.loads(body)["id"] for _, _, _, body in watch.receiver.got]
    assert len(ids) == 2
    assert len(set(ids)) == 1, "by which a receiver knows it again"


def test_a_receiver_that_refuses_is_not_asked_again_and_the_others_are_told(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    with receiving() as other:
        other.status = 410
        url = f"http://127.0.0.1:{other.port}/"
        watch.channel("gone", url=url)
        watch.rule({"metric": "task_paused"})
        found = watch.step()[0]
        assert found["sent"] == "partly"
        assert {one["channel"]: one["state"] for one in found["messages"]} == {"hook": "sent", "gone": "failed"}
        watch.step()
        assert len(other.got) == 1


def test_nobody_hears_of_an_end_before_the_beginning(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"})
    watch.receiver.status = 503
    watch.step()
    goes_on(watch)
    assert watch.step()[0]["resolved_at"] is not None
    assert set(watch.told()) == {("fired", "task_paused")}
    watch.receiver.status = 200
    until(lambda: watch.step()[0]["sent"] == "all", "both to be told", DEADLINE_S, every_s=0.2)
    assert watch.told()[-2:] == [("fired", "task_paused"), ("resolved", "task_paused")]


def test_a_server_that_died_between_deciding_and_sending_sends_later(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"})
    watch.alerts.step()
    control = watch.api.control
    later = Alerts(control.db, control.clock, lambda: True)
    later.step()
    Deliveries(control.db, control.store.vault, control.clock, control.outbound, lambda: True).step()
    assert watch.told() == [("fired", "task_paused")]
    assert len(watch.step()) == 1


def test_who_does_not_lead_neither_decides_nor_sends(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"})
    control = watch.api.control
    Alerts(control.db, control.clock, lambda: False).step()
    assert watch.api.ask("GET", "/alerts") == []
    watch.alerts.step()
    Deliveries(control.db, control.store.vault, control.clock, control.outbound, lambda: False).step()
    assert watch.receiver.got == []


def test_threads_of_a_server_do_it_all_by_themselves(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    control = watch.api.control
    sender = Deliveries(control.db, control.store.vault, control.clock, control.outbound, lambda: True)
    looking = Alerts(control.db, control.clock, lambda: True, told=sender.wake, every_s=0.05)
    looking.start()
    sender.start()
    try:
        watch.rule({"metric": "task_paused"})
        until(lambda: watch.told() == [("fired", "task_paused")], "the receiver to be told", DEADLINE_S)
    finally:
        looking.stop()
        sender.stop()


# --- rules ------------------------------------------------------------------------------------------------------


def test_rules_that_make_sense_are_there_from_the_start(api: Api) -> None:
    found = api.ask("GET", "/alert-rules")
    assert [one["name"] for one in found] == sorted(rule.alert_rule for rule in DEFAULT_RULES)
    assert all(one["enabled"] and one["definition"]["channels"] == "all" for one in found)


def test_a_rule_is_made_checked_changed_switched_and_deleted(api: Api) -> None:
    assert api.ask("GET", "/alert-rule-names/own") == {"free": True}
    given = {"alert_rule": "own", "applies_to": {"owner": "ann"}, "conditions": [{"metric": "task_failed"}]}
    made = api.ask("POST", "/alert-rules", expect=201, json=given)
    assert api.ask("GET", "/alert-rule-names/own") == {"free": False}
    assert api.ask("POST", "/alert-rules", expect=409, json=given)["code"] == "request.name_taken"
    changed = made["definition"] | {"severity": "urgent"}
    after = api.ask("PUT", "/alert-rules/own", params={"version": made["version"]}, json=changed)
    assert (after["severity"], after["version"]) == ("urgent", 2)
    stale = api.ask("PUT", "/alert-rules/own", params={"version": 1}, expect=409, json=changed)
    assert stale["code"] == "request.stale_version"
    assert api.ask("POST", "/alert-rules/own/disable")["enabled"] is False
    assert api.ask("POST", "/alert-rules/own/enable")["definition"]["enabled"] is True
    api.ask("DELETE", "/alert-rules/own", expect=204)
    api.ask("GET", "/alert-rules/own", expect=404)


def test_a_wrong_rule_is_refused_with_its_fields(api: Api) -> None:
    given = {"alert_rule": "own", "applies_to": {"all": True}, "conditions": [{"metric": "task_delay"}]}
    said = api.ask("POST", "/alert-rules", expect=422, json=given)
    assert said["code"] == "alert.rule_invalid"
    assert said["errors"] == [{"field": "conditions[0]", "problem": "threshold: task_delay needs one"}]
    given["conditions"] = [{"metric": "task_failed"}]
    unknown = api.ask("POST", "/alert-rules", expect=422, json=given | {"channels": ["nobody"]})
    assert unknown["code"] == "task.reference_unknown"


@pytest.mark.parametrize(
    ("applies_to", "covered"),
    [
        ({"task": "shop_to_lake"}, True),
        ({"task": "other"}, False),
        ({"owner": "admin"}, True),
        ({"owner": "ann"}, False),
        ({"resource_group": "default"}, True),
        ({"resource_group": "nightly"}, False),
    ],
)
def test_a_rule_is_for_the_tasks_it_names(watch: Watch, applies_to: dict[str, str], covered: bool) -> None:
    paused(watch.api)
    watch.rule({"metric": "task_paused"}, applies_to=applies_to)
    assert bool(watch.step()) is covered


def test_a_rule_of_another_project_is_for_none_of_this_one(watch: Watch) -> None:
    paused(watch.api)
    watch.api.ask("POST", "/projects", expect=201, json={"name": "other"})
    watch.rule({"metric": "task_paused"}, project="other")
    assert watch.step() == []


def test_what_a_disabled_rule_had_fired_ends_and_nobody_is_told(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"})
    watch.step()
    watch.api.ask("POST", "/alert-rules/own/disable")
    assert watch.step()[0]["resolved_at"] is not None
    assert watch.told() == [("fired", "task_paused")]
    watch.api.ask("DELETE", "/alert-rules/own", expect=204)
    assert len(watch.step()) == 1, "the history stays"


def test_in_a_quiet_period_it_is_in_the_history_and_not_told(watch: Watch) -> None:
    paused(watch.api)
    watch.channel()
    quiet = [{"from": "00:00", "to": "24:00"}]
    rule = watch.rule({"metric": "task_paused"}, quiet=quiet)
    found = watch.step()[0]
    assert (found["held"], found["told_at"], found["sent"], watch.told()) == ("quiet", None, "", [])
    watch.api.ask("PUT", "/alert-rules/own", json=rule["definition"] | {"quiet": []})
    watch.step()
    assert watch.told() == [("fired", "task_paused")]


def test_the_limit_holds_for_each_task_over_the_whole_period(watch: Watch) -> None:
    running(watch.api)
    watch.channel()
    watch.rule({"metric": "task_paused"}, limit={"most": 1, "per": "1h"})
    for _ in range(2):
        pauses(watch)
        watch.step()
        goes_on(watch)
        watch.step()
    assert watch.told() == [("fired", "task_paused"), ("resolved", "task_paused")]
    assert [one["held"] for one in watch.step()] == ["limit", ""]


def test_the_history_is_filtered_and_paged(watch: Watch) -> None:
    paused(watch.api)
    watch.rule({"metric": "task_paused"}, severity="normal")
    watch.step()
    detection_of = {"task": "shop_to_lake", "severity": "normal", "metric": "task_paused", "keyword": "LAKE"}
    first = watch.api.ask("GET", "/alerts", params=detection_of | {"open_only": True})[0]
    for wrong in ({"severity": "urgent"}, {"metric": "task_failed"}, {"keyword": "%"}, {"before": first["id"]}):
        assert watch.api.ask("GET", "/alerts", params=wrong | {"rule": "own"}) == []
    assert watch.api.ask("GET", "/alerts", params={"until": first["fired_at"], "rule": "own"}) == []
    assert len(watch.api.ask("GET", "/alerts", params={"since": first["fired_at"], "rule": "own"})) == 1


# --- channels ---------------------------------------------------------------------------------------------------


def test_a_channel_shows_neither_its_key_nor_more_of_its_address_than_where_it_leads(watch: Watch) -> None:
    made = watch.channel(url=f"http://127.0.0.1:{watch.receiver.port}/services/T0K3N?x=S3CR3T")
    assert made["url"] == f"http://127.0.0.1:{watch.receiver.port}/…"
    assert made["key"] == "********"
    assert watch.api.ask("GET", "/alert-channels") == [made]


def test_a_channel_is_tested_by_sending(watch: Watch) -> None:
    watch.channel()
    assert watch.api.ask("POST", "/alert-channels/hook/test") == {"ok": True, "problem": None}
    assert json.loads(watch.receiver.got[0][3])["about"] == "test"
    watch.receiver.status = 404
    assert watch.api.ask("POST", "/alert-channels/hook/test")["problem"]["code"] == "alert.refused"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"url": "http://10.0.0.1/"}, "alert.address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "alert.address_refused"),
        ({"url": "ftp://example.com/"}, "alert.address_refused"),
        ({"key": "short"}, "alert.channel_invalid"),
        ({"key": None}, "alert.channel_invalid"),
        ({"kind": "apprise", "key": None, "url": "json://127.0.0.1/"}, "alert.channel_invalid"),
        ({"kind": "apprise", "url": "slack://a/b/c"}, "alert.channel_invalid"),
    ],
)
def test_a_channel_that_leads_where_it_must_not_is_refused(watch: Watch, given: dict[str, Any], code: str) -> None:
    whole = {"name": "hook", "kind": "webhook", "url": "https://1.1.1.1/", "key": KEY} | given
    assert watch.api.ask("POST", "/alert-channels", expect=422, json=whole)["code"] == code


def test_a_key_stays_unless_the_address_changes(watch: Watch) -> None:
    made = watch.channel()
    kept = {"url": made["url"], "key": made["key"], "description": "ours"}
    assert watch.api.ask("PUT", "/alert-channels/hook", json=kept)["description"] == "ours"
    assert watch.api.ask("POST", "/alert-channels/hook/test")["ok"]
    elsewhere = {"url": "http://127.0.0.1:1/"}
    said = watch.api.ask("PUT", "/alert-channels/hook", expect=422, json=elsewhere)
    assert said["code"] == "data_source.secret_needed"
    watch.api.ask("PUT", "/alert-channels/hook", json=elsewhere | {"key": KEY})
    assert not watch.api.ask("POST", "/alert-channels/hook/test")["ok"]


def test_a_channel_that_a_rule_names_is_not_deleted(watch: Watch) -> None:
    watch.channel()
    watch.rule({"metric": "task_failed"}, channels=["hook"])
    assert watch.api.ask("DELETE", "/alert-channels/hook", expect=409)["code"] == "request.in_use"
    watch.api.ask("DELETE", "/alert-rules/own", expect=204)
    watch.api.ask("DELETE", "/alert-channels/hook", expect=204)


def test_a_project_takes_its_rules_and_channels_with_it(watch: Watch) -> None:
    watch.api.ask("POST", "/projects", expect=201, json={"name": "other"})
    watch.rule({"metric": "task_paused"}, project="other")
    given = {"name": "hook", "kind": "webhook", "url": "http://127.0.0.1:9/", "key": KEY}
    watch.api.ask("POST", "/alert-channels", expect=201, params={"project": "other"}, json=given)
    watch.api.ask("DELETE", "/projects/other", expect=204)


# --- the command line -------------------------------------------------------------------------------------------


def test_rules_and_channels_are_applied_from_files_and_shown(watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    url = f"http://127.0.0.1:{watch.receiver.port}/"
    channel = {"alert_channel": "hook", "kind": "webhook", "url": url, "key": "${ENV:HOOK_KEY}"}
    quiet = [{"from": "22:00", "to": "07:00", "weekdays": ["sat", "sun"]}]
    rule = {
        "alert_rule": "own",
        "applies_to": {"all": True},
        "conditions": [{"metric": "task_delay", "threshold": 5, "unit": "min", "window": "2m"}],
        "quiet": quiet,
        "channels": ["hook"],
    }
    file.write_text(yaml.safe_dump_all([rule, channel]))
    for outcomes in (["created", "created"], ["saved", "unchanged"]):
        said = data(tidegate(watch.api, "apply", "-f", str(file), "--json", HOOK_KEY=KEY))
        assert [one["outcome"] for one in said] == outcomes
    assert data(tidegate(watch.api, "alert-channels", "test", "hook", "--json"))["ok"]
    shown = tidegate(watch.api, "alert-rules", "show", "own")
    file.write_text(shown.stdout)
    assert data(tidegate(watch.api, "apply", "-f", str(file), "--json"))[0]["outcome"] == "unchanged"
    assert "task_delay 5 min over 120s" in tidegate(watch.api, "alert-rules", "list").stdout
    assert "hook" in tidegate(watch.api, "alert-channels", "list").stdout
    assert "task_delay" in tidegate(watch.api, "alert-rules", "metrics").stdout
    for words in (("disable", "own"), ("enable", "own"), ("delete", "own")):
        assert tidegate(watch.api, "alert-rules", *words).exit_code == 0
    assert tidegate(watch.api, "alert-channels", "delete", "hook").exit_code == 0


def test_alerts_are_listed(watch: Watch) -> None:
    initialize(watch.api)
    assert "No alerts" in tidegate(watch.api, "alerts").stdout
    give(watch.api, "run")
    reach(watch.api, State.RUNNING)
    pauses(watch)
    watch.rule({"metric": "task_paused"})
    watch.step()
    assert "task_paused" in tidegate(watch.api, "alerts", "shop_to_lake", "--open").stdout
    assert data(tidegate(watch.api, "alerts", "--rule", "own", "--json"))[0]["metric"] == "task_paused"
