"""What DDL did to the rows of PostgreSQL tables without a word of it in the log: seen by looking at the catalogue."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from tidegate.connect import pgcheck, pgpartitions, pgredefined, pgtypes
from tidegate.connect.source import UnloggedChanges
from tidegate.errors import SourceIdentityMissing
from tidegate.model.schema import TableName, TableSchema


def look(connection: psycopg.Connection[Any], remembered: Sequence[tuple[TableSchema, str]]) -> UnloggedChanges:
    """See `Source.unlogged_changes`. A few queries for all tables, and a few more for each that is partitioned and
    each partition that is new or has a new file."""
    held: dict[TableName, dict[str, Any]] = {}
    for schema, text in remembered:
        known = json.loads(text) if text else {}
        held[schema.name] = known if "definition" in known else {}
    found = UnloggedChanges()
    trees = pgpartitions.look(connection, {name: known.get("partitions", {}) for name, known in held.items()})
    for name, now in pgredefined.definitions(connection, list(held)).items():
        if known := held[name]:
            found.changes.extend(pgredefined.redefined(name, pgredefined.Definition(**known["definition"]), now))
        partitions = {"partitions": trees.now[name]} if name in trees.now else {}
        found.now[name] = json.dumps({"definition": now.to_json()} | partitions, ensure_ascii=False)
    found.changes.extend(trees.changes)
    _check_identities(connection, [schema for schema, _ in remembered if schema.name in trees.now])
    return found


def _check_identities(connection: psycopg.Connection[Any], partitioned: Sequence[TableSchema]) -> None:
    """By another replica identity than the table's, a partition's updates and deletes do not name the row (I3)."""
    for schema in partitioned:
        facts = pgtypes.read_facts(connection, schema.name)
        for refused in pgcheck.stray_identities(connection, schema, facts.oid) if facts is not None else ():
            raise SourceIdentityMissing(f"{refused}; rows of it changed since then may be left at the target")
