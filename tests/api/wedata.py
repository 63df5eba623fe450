"""Clients of the WeData API: the published SDK, and requests signed by hand to be changed."""

from __future__ import annotations

import importlib
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import httpx
import pytest

from tidegate.server.wedata.signature import Claim, Received, signature

VERSION = "2021-08-20"


@dataclass(frozen=True)
class Pair:
    secret_id: str
    secret_key: str


def models() -> ModuleType:
    return importlib.import_module("tencentcloud.wedata.v20210820.models")


class Sdk:
    """The published client, called by the names of actions."""

    def __init__(self, url: str, pair: Pair) -> None:
        profiles = importlib.import_module("tencentcloud.common.profile.client_profile")
        http = importlib.import_module("tencentcloud.common.profile.http_profile")
        credentials = importlib.import_module("tencentcloud.common.credential")
        self.refusal: type[Exception] = importlib.import_module(
            "tencentcloud.common.exception.tencent_cloud_sdk_exception"
        ).TencentCloudSDKException
        profile = profiles.ClientProfile(
            httpProfile=http.HttpProfile(protocol="http", endpoint=url.removeprefix("http://"), reqTimeout=60)
        )
        client = importlib.import_module("tencentcloud.wedata.v20210820.wedata_client").WedataClient
        self.client = client(credentials.Credential(pair.secret_id, pair.secret_key), "ap-nowhere", profile)

    def __call__(self, action: str, **params: Any) -> Any:
        """The action through the SDK's own classes, both ways; its response as they have it."""
        request = getattr(models(), f"{action}Request")()
        request.from_json_string(json.dumps(params))
        said = json.loads(getattr(self.client, action)(request).to_json_string())
        assert said["RequestId"]
        return said

    def raw(self, action: str, **params: Any) -> dict[str, Any]:
        """What came, before the SDK leaves out what it does not know."""
        return dict(self.client.call_json(action, params)["Response"])

    def code(self, action: str, **params: Any) -> str:
        """The code the SDK raises the refusal with."""
        with pytest.raises(self.refusal) as caught:
            self(action, **params)
        assert caught.value.get_request_id()  # type: ignore[attr-defined]
        return str(caught.value.get_code())  # type: ignore[attr-defined]


def signed(action: str, body: bytes, pair: Pair, *, host: str, at: float | None = None) -> dict[str, str]:
    """The headers of a request, as the Python SDK signs it."""
    timestamp = str(int(time.time() if at is None else at))
    headers = {"Host": host, "Content-Type": "application/json"}
    said = Claim(
        secret_id=pair.secret_id,
        date=datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d"),
        service="wedata",
        names="content-type;host",
        signature="",
    )
    made = signature(Received("POST", "", list(headers.items()), body), said, pair.secret_key, timestamp)
    authorization = (
        f"TC3-HMAC-SHA256 Credential={said.secret_id}/{said.date}/wedata/tc3_request, SignedHeaders={said.names}, "
        f"Signature={made}"
    )
    return headers | {
        "Authorization": authorization,
        "X-TC-Action": action,
        "X-TC-Version": VERSION,
        "X-TC-Timestamp": timestamp,
    }


def sent(url: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
    """The reply, after checking its envelope."""
    answer = httpx.post(f"{url}/", content=body, headers=headers, trust_env=False, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), answer.text
    said = answer.json()
    assert set(said) == {"Response"}
    assert re.fullmatch(r"[0-9a-f-]{36}", said["Response"]["RequestId"])
    return dict(said["Response"])


def asked(url: str, pair: Pair, action: str, params: Any) -> dict[str, Any]:
    """The same of an action signed as it should be."""
    body = params if isinstance(params, bytes) else json.dumps(params).encode()
    return sent(url, signed(action, body, pair, host=url.removeprefix("http://")), body)


def code_of(reply: dict[str, Any]) -> str:
    assert set(reply) == {"Error", "RequestId"}, reply
    assert set(reply["Error"]) == {"Code", "Message"}
    assert reply["Error"]["Message"]
    return str(reply["Error"]["Code"])


def unpublished(name: str, value: dict[str, Any], at: str = "") -> list[str]:
    """The fields of a reply that the SDK's structure of this name, or one in it, does not know."""
    structure = getattr(models(), name)
    fields = {one.removeprefix("_") for one in vars(structure())}
    found = [f"{at}{field}" for field in value if field not in fields]
    for field, held in value.items():
        inner = re.search(rf":type {field}: (?:list of |.*models\.)(\w+)", structure.__init__.__doc__ or "")
        for one in held if isinstance(held, list) else [held]:
            if isinstance(one, dict) and inner:
                found += unpublished(inner[1], one, f"{at}{field}.")
    return found
