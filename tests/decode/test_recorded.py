"""What a real server said, read by both gatherers, gives the rows its tables held at the end."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from decode.conftest import Open
from tidegate.connect.pgassembly import Doubts, Stand
from tidegate.connect.pgposition import PgPosition
from tidegate.connect.pgstaging import Staging
from tidegate.decode.gatherer import Gatherer, Limits, Log, Mode, Net, Stop
from tidegate.decode.pgoutput import Relation
from unit.test_pglanes import describe

RECORDED = Path(__file__).with_name("recorded")
KEYS = {"orders": ["id"], "places": ["land", "name"], "visits": []}


class Target:
    """Tables that are dictionaries (with a key) or lists. It does what `connect.target` says of steps."""

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}
        self.rows: dict[str, dict[tuple[str, ...], dict[str, str | None]]] = {name: {} for name in KEYS}
        self.visits: list[tuple[str | None, ...]] = []

    def describe(self, gatherer: Gatherer, relation: Relation) -> None:
        self.relations[relation.oid] = relation
        names = [column.name for column in relation.columns]
        key = [names.index(name) for name in KEYS[relation.name]]
        gatherer.shape(relation.oid, names, key, Mode.NET if key else Mode.LOG)
        for row in self.rows[relation.name].values():
            for name in {*row} - {*names}:
                del row[name]
            for name in {*names} - {*row}:
                row[name] = "x"

    def apply(self, gatherer: Gatherer) -> None:
        for oid in gatherer.held():
            rows = gatherer.take(oid)
            name = self.relations[oid].name
            self._net(name, rows) if isinstance(rows, Net) else self._log(rows)

    def _net(self, name: str, net: Net) -> None:
        table, key = self.rows[name], KEYS[name]
        names = [column.name for column in next(r for r in self.relations.values() if r.name == name).columns]
        come = [] if net.puts is None else net.puts.to_pylist()
        inserts = [] if net.inserts is None else net.inserts.to_pylist()
        for moved in net.moved:
            left_out = [column for number, column in enumerate(names) if number not in moved.columns]
            for row, origin in zip(moved.rows.to_pylist(), moved.origin.to_pylist(), strict=True):
                before = table[tuple(origin.values())]
                come.append(row | {column: before[column] for column in left_out})
        for row in [] if net.deletes is None else net.deletes.to_pylist():
            table.pop(tuple(row.values()), None)
        assert not [row for row in inserts if tuple(row[column] for column in key) in table]
        for row in (*come, *inserts):
            table[tuple(row[column] for column in key)] = row
        for patch in net.patches:
            for row in patch.rows.to_pylist():
                table[tuple(row[column] for column in key)].update(row)

    def _log(self, log: Log) -> None:
        assert not log.unchanged
        for row, stamp in zip(log.rows.to_pylist(), log.stamps.to_pylist(), strict=True):
            values = tuple(row.values())
            self.visits.remove(values) if stamp["op"] == 2 else self.visits.append(values)


def staged() -> bytes:
    """What was sent before it was committed, as if it had been sent then."""
    frames = memoryview((RECORDED / "streamed.bin").read_bytes())
    with closing(Staging(Stand(PgPosition(0), describe), Doubts())) as staging:
        return b"".join(bytes(piece) for piece in staging.feed(frames))


@pytest.mark.parametrize("sent", ["once committed", "before"])
@pytest.mark.parametrize("changes_max", [1, 4, 1000])
@pytest.mark.parametrize("split_changes_max", [1, 3, 1000])
def test_the_rows_at_the_end_are_those_of_the_server(
    opened: Open, sent: str, changes_max: int, split_changes_max: int
) -> None:
    stream, at = staged() if sent == "before" else (RECORDED / "whole.bin").read_bytes(), 0
    limits = Limits(changes_max=changes_max, split_changes_max=split_changes_max)
    gatherer, target = opened(), Target()
    while True:
        fed = gatherer.feed(stream, at, limits)
        at += fed.consumed_bytes
        if fed.stop is not Stop.END and not isinstance(fed.met, Relation):
            target.apply(gatherer)
        if fed.stop is Stop.END:
            break
        if isinstance(fed.met, Relation):
            target.apply(gatherer)
            target.describe(gatherer, fed.met)
        elif fed.stop is Stop.TRUNCATE and fed.met is not None:
            for oid in fed.met.oids:
                target.rows[target.relations[oid].name].clear()
    target.apply(gatherer)
    assert at == len(stream)
    wanted: dict[str, list[list[str | None]]] = json.loads((RECORDED / "rows.json").read_text())
    names = {relation.name: [column.name for column in relation.columns] for relation in target.relations.values()}
    for table in ("orders", "places"):
        found = [[row[name] for name in names[table]] for row in target.rows[table].values()]
        assert sorted(found, key=str) == sorted(wanted[table], key=str)
    assert sorted(target.visits, key=str) == sorted(map(tuple, wanted["visits"]), key=str)
