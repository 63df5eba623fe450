"""Times in answers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from api.rig import Api
from api.situations import TASK, failed_with_snapshot
from api.test_command_line import tidegate
from tidegate.server.views import rfc3339

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ANSWERS = [
    "/projects",
    "/data-sources",
    "/ops",
    "/tasks",
    f"/tasks/{TASK}",
    f"/tasks/{TASK}/versions",
    f"/tasks/{TASK}/runs",
    f"/tasks/{TASK}/snapshots",
    f"/tasks/{TASK}/positions",
    f"/tasks/{TASK}/events",
]


def is_time(name: str) -> bool:
    return name in ("at", "state_since") or name.endswith("_at")


def leaves(held: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(held, dict):
        for inner, one in held.items():
            if inner != "definition":  # a stamp's committed_at is a column's name
                yield from leaves(one, inner)
    elif isinstance(held, list):
        for one in held:
            yield from leaves(one, name)
    else:
        yield name, held


def test_every_time_in_an_answer_is_a_text_in_utc_with_milliseconds(driven: Api) -> None:
    failed_with_snapshot(driven)
    now, seen = datetime.now(UTC), set()
    for path in ANSWERS:
        for name, value in leaves(driven.ask("GET", path)):
            assert not isinstance(value, float) or value < 1e9, f"{path}: {name} is {value}"
            if is_time(name) and value is not None:
                assert RFC3339.fullmatch(value), f"{path}: {name} is {value}"
                assert abs((now - datetime.fromisoformat(value)).total_seconds()) < 300
                seen.add(name)
    assert seen >= {"at", "state_since", "created_at", "changed_at", "started_at", "heard_at", "submitted_at"}


def test_the_description_of_the_api_says_which_texts_are_times(standing_api: Api) -> None:
    schemas = standing_api.ask("GET", "/openapi.json")["components"]["schemas"]
    found = 0
    for title, schema in schemas.items():
        for name, about in schema.get("properties", {}).items():
            if is_time(name) and title != "StampSpec":
                formats = {one.get("format") for one in about.get("anyOf", [about]) if one.get("type") != "null"}
                assert formats == {"date-time"}, f"{title}.{name}"
                found += 1
    assert found >= 12


def test_the_command_line_shows_times_to_people_as_their_clock_has_them(driven: Api) -> None:
    failed_with_snapshot(driven)
    for words in (["events", TASK], ["runs", TASK], ["snapshots", TASK], ["versions", TASK], ["status", TASK]):
        said = tidegate(driven, *words)
        assert said.exit_code == 0, said.output
        assert not RFC3339.search(said.stdout)
    hour = time.strftime("%H:", time.localtime())
    assert hour in tidegate(driven, "events", TASK).stdout or time.localtime().tm_min < 2


def test_a_moment_is_not_rounded_up() -> None:
    assert rfc3339(0.9999) == "1970-01-01T00:00:00.999Z"
