"""Pages of connectors: what can be read and written, how each is configured, and what becomes of types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import PydanticUndefined

from tidegate.connect import mytypes, pgtypes
from tidegate.connect.config import Config, SecretStr
from tidegate.connect.myflavour import MARIADB, MYSQL
from tidegate.connect.registry import sources, targets
from tidegate.docs.page import page, table


def connectors() -> str:
    """What can be read and written, and how each is configured."""
    lines = ["# Connectors", "", "What a data source of each kind is configured with. Secrets are encrypted at rest."]
    kinds = {
        **{kind: cls.Config for kind, cls in targets().items()},
        **{kind: cls.Config for kind, cls in sources().items()},
    }
    for kind in sorted(kinds):
        title = (targets().get(kind) or sources()[kind]).title
        lines += ["", f"## {title} (`{kind}`)", ""]
        roles = [role for role, known in (("source", sources()), ("target", targets())) if kind in known]
        lines += [f"Can be a {' and a '.join(roles)}."]
        if kind in targets():
            lines += ["", *_target_facts(targets()[kind])]
        lines += ["", *table(("setting", "type", "default", "what it is"), _fields(kinds[kind]))]
    return page(lines)


def _target_facts(target: Any) -> list[str]:
    modes = " and ".join(f"`{mode}`" for mode in target.modes)
    promise = f"Delivery: `{target.delivery}` (see [guarantees](../explain/guarantees.md))."
    return [f"As a target, write modes: {modes}. {promise}"]


def _fields(config: type[Config]) -> Iterable[tuple[str, ...]]:
    schema = config.model_json_schema()["properties"]
    for name, field in config.model_fields.items():
        kind = "secret" if field.annotation is SecretStr else _type(schema[name])
        default = "required" if field.default is PydanticUndefined else _shown(field.default)
        yield f"`{name}`", kind, default, field.description or ""


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    kind = str(schema.get("type", "any"))
    if "minimum" in schema and "maximum" in schema:
        return f"{kind}, {schema['minimum']} to {schema['maximum']}"
    return kind


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr) or value is None or value == "":
        return "none"
    return f"`{value}`"


def types() -> str:
    """Which column each target makes for each source's type."""
    made = targets()
    lines = [
        "# Types",
        "",
        "The column that a target makes for a source's type, from the tables in the code that the targets go by",
        "themselves. A table that is there already may have any column that holds every value of the one named here.",
        "A value that a column cannot hold as it is stops the run and is named with its column: nothing is rounded,",
        "cut off, re-encoded or turned into NULL. Make the column text then, and Continue. Values come the same from",
        "the copy and from the log. Keys of texts and bytes have bounds at MariaDB:",
        "see [its guide](../guide/mariadb.md#keys).",
    ]
    for family, title, listed in (
        ("mariadb", "MariaDB", mytypes.listed(MARIADB)),
        ("mysql", "MySQL", mytypes.listed(MYSQL)),
        ("postgres", "PostgreSQL", pgtypes.listed()),
    ):
        lines += ["", f"## From {title}", ""]
        head = (title, "is", *(f"at {made[kind].title}" for kind in sorted(made)))
        lines += table(
            head,
            (
                (f"`{name}`", type.kind.value, *(f"`{made[kind].type_of(type, family)}`" for kind in sorted(made)))
                for name, type in listed
            ),
        )
    return page(lines)
