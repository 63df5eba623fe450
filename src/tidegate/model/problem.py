"""An error as data, and back: the one shape errors have in answers, in stored runs and events, and from workers.

`{type, title, status, code, detail, advice}` as RFC 9457 has it, with `offers` (what is possible instead), `errors`
(`{field, problem}` each) and `facts` where there are any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from tidegate.errors import Retry, TidegateError, by_code

TYPE_PREFIX = "urn:tidegate:error:"
_LIFTED = ("offers", "errors")


def problem(error: BaseException) -> dict[str, Any]:
    """The error as plain JSON data. An exception that is not of the error table says no more than that: what is in
    its text is not ours to show (I8)."""
    known = error if isinstance(error, TidegateError) else TidegateError("an unexpected error; the log has it")
    said: dict[str, Any] = {
        "type": TYPE_PREFIX + known.code,
        "title": known.title,
        "status": known.status,
        "code": known.code,
        "detail": known.detail,
        "advice": known.advice,
    }
    said |= {name: _plain(known.facts[name]) for name in _LIFTED if name in known.facts}
    facts = {name: _plain(value) for name, value in known.facts.items() if name not in _LIFTED}
    return said | ({"facts": facts} if facts else {})


def error_of(said: Mapping[str, Any]) -> TidegateError:
    """The error that `problem` made data of. A code this version does not know keeps its words."""
    known = by_code(str(said.get("code")))
    facts = {str(name): value for name, value in dict(said.get("facts") or {}).items()}
    facts |= {name: said[name] for name in _LIFTED if name in said}
    error = known(str(said.get("detail") or said.get("title") or "no detail"), **facts)
    if known is TidegateError and said.get("code") not in (None, TidegateError.code):
        return _Foreign(error.detail, said, facts)
    return error


class _Foreign(TidegateError):
    """An error whose class only the other side knows; class attributes are shadowed by what it said."""

    def __init__(self, detail: str, said: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        super().__init__(detail, **facts)
        status = said.get("status")
        vars(self).update(
            code=str(said["code"]),
            title=str(said.get("title", self.title)),
            advice=str(said.get("advice", "")),
            status=status if isinstance(status, int) else TidegateError.status,
            retry=Retry.NEVER,
        )


def _plain(value: Any) -> Any:
    """JSON data made of records, tuples and enums."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
