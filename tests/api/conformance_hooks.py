"""Loaded by Schemathesis: keeps what it makes up on this machine, and looks at refusals more closely than a schema
can."""

from __future__ import annotations

from typing import Any

import schemathesis

_HOSTS = ("host", "url")


def near(held: Any) -> Any:
    """With every address of another machine replaced: nothing made up here is asked for or sent anywhere."""
    if isinstance(held, dict):
        return {name: _near(name, value) for name, value in held.items()}
    if isinstance(held, list):
        return [near(one) for one in held]
    return held


def _near(name: object, value: Any) -> Any:
    if name not in _HOSTS or not isinstance(value, str):
        return near(value)
    if name == "host":
        return "127.0.0.1" if value else value
    scheme, sign, _ = value.partition("://")
    return f"{scheme}://127.0.0.1:9/hook" if sign and scheme.isalpha() else value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return near(body)


@schemathesis.check
def refusals_say_what_to_do(ctx: Any, response: Any, case: Any) -> None:
    """Each is a problem with a code, a sentence and advice, and shows nothing of the program."""
    if response.status_code < 400:
        return
    said = response.json()
    assert said["code"], said
    assert said["code"] != "internal", said
    assert said["detail"], said
    assert said["advice"], said
    assert said["status"] == response.status_code
    assert "Traceback" not in response.text
    assert ".py" not in response.text
