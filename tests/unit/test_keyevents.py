"""The table of key events knows everything that is recorded, and each once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import tidegate
from tidegate.model.keyevent import BY_NAME, KEY_EVENTS, Level, level_of, names_at
from tidegate.model.lifecycle import MOVES

HOME = Path(tidegate.__file__).parent
# Calls that record a key event, and which of their arguments is its name.
RECORDING = {"event": 0, "record": 2, "_record": 2, "newest_event": 2}
# What hands on a name that somebody else gave.
PASSED_ON = {
    ("store/moves.py", "name"),
    ("watch/alerts.py", "name"),
    ("worker/agent.py", "name"),
    # Methods of the same names that take something else there.
    ("server/workers.py", "session"),
    ("server/logclock.py", "now"),
    ("connect/mylanes.py", "at"),
}


def given(node: ast.expr, tree: ast.Module) -> set[str] | None:
    """The names an expression may stand for; None: that cannot be told by reading."""
    match node:
        case ast.Constant(value=str(name)):
            return {name}
        case ast.IfExp(body=one, orelse=other):
            both = [given(one, tree), given(other, tree)]
            return None if None in both else set().union(*(names for names in both if names is not None))
        case ast.Subscript(value=ast.Name(id=table)):
            for literal in (each for each in tree.body if isinstance(each, ast.Assign)):
                if said(literal) == table and isinstance(literal.value, ast.Dict):
                    return {one.value for one in literal.value.values if isinstance(one, ast.Constant)}
        case ast.Name(id=name):
            values = [each.value for each in ast.walk(tree) if isinstance(each, ast.Assign) and said(each) == name]
            return set().union(*(given(value, tree) or set() for value in values)) or None
    return None


def said(assigned: ast.Assign) -> str:
    return ast.unparse(assigned.targets[0])


def recorded() -> Iterator[tuple[str, str, set[str] | None]]:
    """Of every call that records an event: the file, the expression, and the names it may stand for."""
    for path in sorted(HOME.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            spot = RECORDING.get(called)
            if spot is not None and len(node.args) > spot:
                yield str(path.relative_to(HOME)), ast.unparse(node.args[spot]), given(node.args[spot], tree)


def test_each_is_there_once() -> None:
    assert len(BY_NAME) == len(KEY_EVENTS)


def test_everything_that_is_recorded_is_in_the_table() -> None:
    found = {name for _, _, names in recorded() for name in names or ()}
    assert {"worker_lost", "alert_fired", "snapshot_failed", "table_gone", "partition_left", "tables_left_out"} <= found
    assert found | {move.name for move in MOVES} <= set(BY_NAME)


def test_a_name_that_is_made_up_on_the_way_is_found() -> None:
    """A text put together where it is said would be missing in the table without anybody noticing."""
    assert {(file, said) for file, said, names in recorded() if names is None} <= PASSED_ON


def test_every_line_of_the_table_is_recorded_somewhere() -> None:
    texts = {
        node.value
        for path in HOME.rglob("*.py")
        if path.name != "keyevent.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(BY_NAME) <= texts


def test_levels_part_all_names_and_what_is_not_known_is_information() -> None:
    every = [name for level in Level for name in names_at([level])[0]]
    assert sorted(every) == sorted(BY_NAME)
    assert level_of("of_tomorrow") is Level.INFO
    assert [names_at([level])[1] for level in Level] == [True, False, False]
