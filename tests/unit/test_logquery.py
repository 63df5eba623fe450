"""Searching lines by keywords."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import QueryInvalid
from tidegate.model.diagnosis import DIAGNOSES, whole_query
from tidegate.model.logquery import All, Any, Keyword, Not, Query, folded, parse_query

WORDS = st.sampled_from(["a", "b", "ab", "ba", "and", "Or", "NOT", "x y", '"', "\\", "(", ")", "ß", "É", "%", "_"])
TEXTS = st.lists(st.sampled_from(list('ab AnNdDoOrRtTxy"\\()ßSéÉ%_*')), max_size=30).map("".join)


def quoted(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# A query as nested tuples, written with as many parentheses as can be and evaluated as plainly as can be.
TREES = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.tuples(st.just("AND"), inner, inner),
        st.tuples(st.just(""), inner, inner),
        st.tuples(st.just("OR"), inner, inner),
        st.tuples(st.just("NOT"), inner),
    ),
    max_leaves=12,
)


def written(tree: object) -> str:
    if isinstance(tree, str):
        return quoted(tree)
    operator, *parts = tree  # type: ignore[misc]  # a tuple of the strategy above
    if operator == "NOT":
        return f"(NOT {written(parts[0])})"
    return f"({written(parts[0])} {operator} {written(parts[1])})"


def naive(tree: object, text: str) -> bool:
    if isinstance(tree, str):
        return tree.casefold() in text.casefold()
    operator, *parts = tree  # type: ignore[misc]
    held = [naive(part, text) for part in parts]
    return {"NOT": not held[0], "OR": any(held)}.get(operator, all(held))


def depth(tree: object) -> int:
    return 0 if isinstance(tree, str) else 1 + max(depth(part) for part in tree[1:])  # type: ignore[index]


@given(TREES.filter(lambda tree: depth(tree) < 8), TEXTS)
def test_a_query_finds_what_a_plain_evaluation_of_it_finds(tree: object, text: str) -> None:
    assert parse_query(written(tree)).fits(folded(text)) == naive(tree, text)


@given(st.text(st.sampled_from(list('ab"\\() ANDORT')), max_size=40))
def test_whatever_is_typed_is_either_a_query_or_refused(text: str) -> None:
    with suppress(QueryInvalid):
        assert parse_query(text).fits("") in (True, False)


A, B, C = Keyword("a"), Keyword("b"), Keyword("c")


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("a", A),
        ("A", A),
        ("a b", All((A, B))),
        ("a AND b", All((A, B))),
        ("a OR b AND c", Any((A, All((B, C))))),
        ("a AND (b OR c)", All((A, Any((B, C))))),
        ("NOT a OR b", Any((Not(A), B))),
        ("a NOT b", All((A, Not(B)))),
        ("NOT NOT a", Not(Not(A))),
        ('"a b"', Keyword("a b")),
        ('"OR"', Keyword("or")),
        ("and", Keyword("and")),
        ("code=source.unreachable", Keyword("code=source.unreachable")),
        ("(a)(b)", All((A, B))),
    ],
)
def test_not_binds_tightest_and_or_least(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a AND", "ends where a keyword must follow"),
        ("OR a", "OR at character 1"),
        ("a OR OR b", "OR at character 6"),
        ("(a", "is not closed"),
        ("a)", r"\) at character 2"),
        ("()", r"\) at character 2"),
        ('a "b', "quote at character 3"),
        ('""', "is empty"),
        ("NOT", "ends where"),
        ("(" * 30 + "a" + ")" * 30, "nested deeper"),
        (" ".join("a" * 51), "more than 50 keywords"),
        ("a" * 1_001, "longer than"),
    ],
)
def test_what_cannot_be_read_is_refused_with_where_and_why(text: str, says: str) -> None:
    with pytest.raises(QueryInvalid, match=says):
        parse_query(text)


def test_a_quick_diagnosis_narrows_a_search() -> None:
    query = whole_query("shop", "access")
    assert query is not None
    assert query.fits("shop code=source.auth_failed")
    assert not query.fits("code=source.auth_failed")
    assert not query.fits("shop")
    assert whole_query(None, None) is None


@pytest.mark.parametrize("one", DIAGNOSES, ids=lambda one: one.name)
def test_every_quick_diagnosis_can_be_read(one: object) -> None:
    assert parse_query(one.search)  # type: ignore[attr-defined]
