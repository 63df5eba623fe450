"""The log of a task by the published SDK: the very lines that the log search finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.rig import Api, opened, stock
from api.situations import TASK, running
from api.test_logs import entry, say
from api.test_wedata import ONE, no_proxy, pair_of
from api.wedata import Sdk, unpublished
from tidegate.testing.servers import until

__all__ = ["no_proxy"]
AT = time.time() // 1 - 3_600.0
"""Not long ago: lines older than a week are forgotten."""


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[Api]:
    """A task whose worker has said seven lines, a second apart."""
    with opened(tmp_path / "data", driven=True, level="info") as api:
        running(stock(api))
        words = ["one", "two fish", "Two FISH", 'say "two" AND', "back\\slash", "six", "seven"]
        lines = [
            entry(at + 1, word, at=AT + at, level="warning" if at == 6 else "info") for at, word in enumerate(words)
        ]
        say(api, *lines)
        sdk = Sdk(api.url, pair_of(api))
        until(lambda: len(whole(sdk)) == len(words), "the lines to be stored", 20)
        yield api


def span(first: float = 0, last: float = 100) -> dict[str, int]:
    return {"StartTime": int((AT + first) * 1000), "EndTime": int((AT + last) * 1000)}


def whole(sdk: Sdk, **more: Any) -> list[str]:
    found = sdk("TaskLog", **ONE, **(span() | {"OrderType": "asc"} | more))["LogContentList"]
    return [one["Log"] for one in found]


def test_lines_of_a_time_come_in_the_order_asked_for_with_both_ends(talking: Api) -> None:
    sdk = Sdk(talking.url, pair_of(talking, "reader"))
    assert whole(sdk)[0] == "INFO one"
    assert whole(sdk, OrderType="desc")[0] == "WARNING seven"
    assert whole(sdk, OrderType=None)[0] == "WARNING seven"
    assert whole(sdk, Limit=2) == ["INFO one", "INFO two fish"]
    assert whole(sdk, **span(1, 3)) == ["INFO two fish", "INFO Two FISH", 'INFO say "two" AND']
    times = [one["Time"] for one in sdk("TaskLog", **ONE, **span(0, 2), OrderType="asc")["LogContentList"]]
    assert times == [int((AT + at) * 1000) for at in range(3)]


def test_pages_give_every_line_once(talking: Api) -> None:
    sdk = Sdk(talking.url, pair_of(talking, "reader"))
    found: list[str] = []
    context, over = None, False
    while not over:
        page = sdk("DescribeStreamTaskLogList", **ONE, JobId="1", **span(), Limit=3, OrderType="asc", Context=context)
        found += [one["Log"] for one in page["LogContentList"]]
        context, over = page["Context"], page["ListOver"]
        assert len(page["LogContentList"]) <= 3
    assert found == whole(sdk)


def test_a_keyword_is_a_part_of_a_line_and_no_search_language(talking: Api) -> None:
    sdk = Sdk(talking.url, pair_of(talking, "reader"))

    def found(**more: Any) -> list[str]:
        answer = sdk("DescribeStreamTaskLogList", **ONE, JobId="1", OrderType="asc", **span(), **more)
        return [one["Log"] for one in answer["LogContentList"]]

    assert found(Keyword="two fish") == ["INFO two fish", "INFO Two FISH"]
    assert found(Keyword='"two" and') == ['INFO say "two" AND']
    assert found(Keyword="back\\s") == ["INFO back\\slash"]
    assert found(Keyword="NOT one") == []
    assert found(Container="worker", RunningOrderId=1, JobType="INTEGRATION") == whole(sdk)
    assert found(Container="server") == []
    assert found(RunningOrderId=2) == []


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"StartTime": 2, "EndTime": 1}, "InvalidParameterValue"),
        ({"OrderType": "sideways"}, "InvalidParameterValue"),
        ({"Container": "taskmanager-1"}, "InvalidParameterValue"),
        ({"JobType": "VALIDATE"}, "InvalidParameterValue"),
        ({"Context": "bm9uZQ"}, "InvalidParameterValue"),
        ({"Limit": 1001}, "InvalidParameter.MaxLimitExceeded"),
        ({"TaskId": "nothing"}, "ResourceNotFound"),
        ({"ProjectId": "nothing"}, "InvalidParameter.WorkspaceNotExist"),
    ],
)
def test_what_cannot_be_searched_for_is_refused_by_its_code(talking: Api, wrong: dict[str, Any], code: str) -> None:
    sdk = Sdk(talking.url, pair_of(talking, "reader"))
    assert sdk.code("DescribeStreamTaskLogList", **(ONE | {"JobId": "1"} | span() | wrong)) == code


def test_the_answers_hold_published_fields_only(talking: Api) -> None:
    sdk = Sdk(talking.url, pair_of(talking, "reader"))
    for action, more in (("TaskLog", {}), ("DescribeStreamTaskLogList", {"JobId": TASK})):
        said = sdk.raw(action, **ONE, **span(), **more)
        assert said["LogContentList"]
        assert unpublished(f"{action}Response", said) == []


def test_the_newest_lines_are_within_now(talking: Api) -> None:
    say(talking, entry(8, "eight"))
    sdk, now = Sdk(talking.url, pair_of(talking, "reader")), int(time.time() * 1000)
    asked = {"StartTime": now - 60_000, "EndTime": now + 60_000}
    until(lambda: any("eight" in line for line in whole(sdk, **asked)), "the line to be found", 20)
