"""A task's definition: what is read from where, what is written to where, and the policies between.

Plain data and pure functions. A `TaskSpec` that exists is well-formed; whether its data sources, tables and target
fit is for the checks at submit and run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import regex
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic import model_validator as checked
from pydantic_core import ErrorDetails

from tidegate.errors import SourcePatternEmpty, SourceTableUnknown, TargetNameClash, TaskInvalid
from tidegate.model.document import load_document
from tidegate.model.mode import ReadMode, WriteMode
from tidegate.model.pattern import Patience, TooSlow
from tidegate.model.schema import TableName
from tidegate.model.start import StartSpec

NAME_MAX = 100
NAME_PATTERN = rf"^[\p{{L}}\p{{N}}_]{{1,{NAME_MAX}}}$"
"""Letters, numbers and underscores of any script; spelled so that it means the same to JSON Schema and here."""
TABLES_MAX = 1000
PATTERN_MAX = 500


class TaskKind(StrEnum):
    """`whole_database` maps many tables, `single_table` exactly one; `sharded` is not built yet and refused."""

    WHOLE_DATABASE = "whole_database"
    SINGLE_TABLE = "single_table"
    SHARDED = "sharded"


class ExistingRows(StrEnum):
    """What to do with rows already in a target table when an upsert run first writes to it."""

    REFUSE = "refuse"
    REPLACE = "replace"


class WhenShort(StrEnum):
    """What to do when the source will soon drop log that a paused task needs."""

    WARN = "warn"
    CONTINUE = "continue"


# --- field types ------------------------------------------------------------------------------------------------


def is_name(given: object) -> bool:
    """Whether it has the form of a thing's name, or of its id."""
    return isinstance(given, str) and regex.fullmatch(NAME_PATTERN, given) is not None


def checked_name(text: str) -> str:
    """Letters of any script, digits and underscores, at most `NAME_MAX`; never digits only, which would be an id."""
    if not is_name(text) or text.isdigit():
        raise ValueError(f"must be 1 to {NAME_MAX} letters, digits or underscores, and not digits alone")
    return text


Name = Annotated[str, AfterValidator(checked_name), Field(json_schema_extra={"pattern": NAME_PATTERN})]
"""The name of a task, project, data source or resource group."""


def checked_text(text: str) -> str:
    """Refuses control characters but the line's end: neither stores nor terminals take them all."""
    if not text.replace("\n", "").isprintable():
        raise ValueError("holds a control character")
    return text


Text = Annotated[str, AfterValidator(checked_text)]

_DURATION = r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)"
_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration_s(text: object) -> float:
    """`60s`, `1.5m`, `2h`, `500ms` in seconds; a bare number is refused, for its unit is unsaid. Raises ValueError."""
    found = re.fullmatch(_DURATION, text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a number with its unit: ms, s, m or h, such as 60s")
    return float(found[1]) * _DURATION_UNITS_S[found[2]]


Duration = Annotated[
    float, BeforeValidator(duration_s), PlainSerializer(lambda s: f"{s:g}s" if s < 1e6 else f"{s:.0f}s")
]


def _stamp_name(given: object) -> object:
    return "" if given is None or given is False else given


StampName = Annotated[
    Text,
    BeforeValidator(_stamp_name),
    Field(max_length=63),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 63}, {"type": "null"}, {"const": False}]}),
]

_PLACEHOLDERS = {
    "data_source": "data_source",
    "database": "database",
    "schema": "schema",
    "table": "table",
    "topic": "topic",
    "datasource_name_di_src": "data_source",
    "db_name_di_src": "database",
    "schema_name_di_src": "schema",
    "table_name_di_src": "table",
    "topic_di_src": "topic",
}
_PLACEHOLDER = re.compile(r"\$\{(?P<long>[^{}]*)\}|\{(?P<short>[^{}]*)\}")


def _checked_pattern(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    for found in _PLACEHOLDER.finditer(text):
        name = found["long"] if found["long"] is not None else found["short"]
        if name not in _PLACEHOLDERS or (found["long"] is not None) != name.endswith("_di_src"):
            raise ValueError(f"unknown placeholder {found[0]}; known are {', '.join(placeholders())}")
    if {"{", "}"} & set(_PLACEHOLDER.sub("", text)):
        raise ValueError("has a brace without its partner")
    return text


def placeholders() -> list[str]:
    """Every placeholder a naming pattern may hold, as it is written."""
    return [f"${{{name}}}" if name.endswith("_di_src") else f"{{{name}}}" for name in _PLACEHOLDERS]


NamePattern = Annotated[Text, AfterValidator(_checked_pattern), Field(max_length=PATTERN_MAX)]


def _checked_table(text: str) -> str:
    if "." not in text:
        raise ValueError("must name schema.table, or be a regular expression that matches it")
    try:
        re.compile(text)  # whose syntax is the documented one; the other knows more, such as recursion
        regex.compile(text)
    except (re.error, regex.error, OverflowError, RecursionError) as error:
        if not is_plain(text):
            raise ValueError(f"is not a regular expression: {error}") from None
    return text


TableEntry = Annotated[Text, AfterValidator(_checked_table), Field(min_length=3, max_length=PATTERN_MAX)]


_ENTRY: TypeAdapter[str] = TypeAdapter(TableEntry, config=ConfigDict(hide_input_in_errors=True))


def _counted(entries: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(entries) <= TABLES_MAX:
        raise ValueError(f"must have 1 to {TABLES_MAX} entries")
    return entries


def is_plain(entry: str) -> bool:
    """Whether a table entry can only be meant as a name: it has no sign of a regular expression but the dot."""
    return not set(entry) & set(r"\^$*+?{}[]|()")


# --- the definition ---------------------------------------------------------------------------------------------


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class SourceSpec(_Part):
    """Where rows come from."""

    data_source: Name = Field(description="The data source read from.")
    tables: Annotated[tuple[TableEntry, ...], AfterValidator(_counted)] = Field(
        description="Tables as schema.table, or regular expressions that match a whole schema.table."
    )
    read: ReadMode = Field(default=ReadMode.FULL_INCREMENTAL, description="What a run reads unless Run says otherwise.")
    start: StartSpec | None = Field(
        default=None,
        description="With read: incremental, where a run begins; left out: at the end of the log.",
    )


class StampSpec(_Part):
    """The columns append adds to a row; null or false leaves one out, held as an empty name."""

    op: StampName = Field(default="_tidegate_op", description="The operation: read, insert, update, delete, truncate.")
    committed_at: StampName = Field(default="_tidegate_committed_at", description="When the source committed.")
    position: StampName = Field(default="_tidegate_position", description="A text that sorts as the log is ordered.")
    detail: StampName = Field(default="_tidegate_detail", description="JSON: columns left out, ranges truncated.")

    @checked(mode="after")
    def _distinct(self) -> StampSpec:
        names = [name for name in (self.op, self.committed_at, self.position, self.detail) if name]
        if len(set(names)) < len(names):
            raise ValueError("two of the added columns have the same name")
        return self


STAMP_OFF = {"op": "", "committed_at": "", "position": "", "detail": ""}


class TargetSpec(_Part):
    """Where rows go to, and how."""

    data_source: Name = Field(description="The data source written to.")
    schema_name: NamePattern = Field(
        default="{schema}", alias="schema", description="Naming pattern of the target's schema."
    )
    table: NamePattern = Field(default="{table}", description="Naming pattern of the target's table.")
    write: WriteMode = Field(description="append: every change becomes a row; upsert: the latest row per key.")
    create_tables: bool = Field(default=True, strict=True, description="Create target tables that do not exist.")
    existing_rows: ExistingRows = Field(
        default=ExistingRows.REFUSE,
        description="Rows already in an upsert target table: refuse to start, or replace them.",
    )
    stamp: Annotated[StampSpec, BeforeValidator(lambda given: STAMP_OFF if given is False else given)] = Field(
        default_factory=StampSpec, description="Names of the columns append adds; false leaves all out."
    )


class SnapshotSpec(_Part):
    """How often the state is saved, and how many saved states are kept."""

    every_s: Annotated[
        Duration, Field(ge=1, le=86400), WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"})
    ] = Field(default=60.0, alias="every", description="Time between periodic snapshots, such as 60s.")
    keep: int = Field(default=20, ge=1, le=1000, strict=True, description="Snapshots kept per run.")


class RestartSpec(_Part):
    """How often a worker may be replaced before the run counts as failed."""

    max: int = Field(default=10, ge=-1, le=100, strict=True, description="-1 without limit, 0 never.")


LOG_BELOW_MAX_S = 30 * 86_400


class LogSpec(_Part):
    """The source's log while the task is paused: it keeps only so much of it."""

    when_short: WhenShort = Field(
        default=WhenShort.WARN,
        description="When it will soon drop log that the paused task needs: warn, or continue the task by itself.",
    )
    below_s: Annotated[
        Duration, Field(ge=1, le=LOG_BELOW_MAX_S), WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"})
    ] = Field(default=3600.0, alias="below", description="From how little time left on, such as 1h.")


class TaskSpec(_Part):
    """A task as written in a file, sent to the API and stored with each version."""

    task: Name = Field(description="The task's name, unique in its project.")
    project: Name = Field(default="default", description="The project it belongs to.")
    description: Text = Field(default="", max_length=500, description="For people.")
    kind: TaskKind = Field(description="whole_database maps many tables, single_table one.")
    source: SourceSpec
    target: TargetSpec
    resource_group: Name = Field(default="default", description="Where its worker runs.")
    units: int = Field(
        default=1, ge=1, le=1000, strict=True, description="Units it takes from the group while it runs."
    )
    snapshots: SnapshotSpec = Field(default_factory=SnapshotSpec)
    restarts: RestartSpec = Field(default_factory=RestartSpec)
    log: LogSpec = Field(default_factory=LogSpec)

    @checked(mode="after")
    def _kind_fits(self) -> TaskSpec:
        if self.kind is TaskKind.SHARDED:
            raise ValueError("kind: sharded tasks are not built yet; use whole_database or single_table")
        if self.kind is TaskKind.SINGLE_TABLE and len(self.source.tables) != 1:
            raise ValueError("source.tables: a single_table task names exactly one table")
        if self.source.start is not None and self.source.read is not ReadMode.INCREMENTAL:
            raise ValueError("source.start: a run that copies the rows first begins where the copy begins")
        return self

    def definition(self) -> dict[str, Any]:
        """The JSON form, complete with defaults; `parse_task` reads it back to an equal spec."""
        return self.model_dump(mode="json", by_alias=True)


# --- reading ----------------------------------------------------------------------------------------------------

_PLAINER: Mapping[str, Callable[[ErrorDetails], str]] = {
    "extra_forbidden": lambda _: "there is no such field",
    "missing": lambda _: "is required",
    "value_error": lambda error: str(error["ctx"]["error"]),
}


def field_errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """What Pydantic found wrong with which field, as `{field, problem}`; values are not repeated (I8)."""

    def field(location: Sequence[int | str]) -> str:
        path = ""
        for part in location:
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        return path

    def problem(found: ErrorDetails) -> str:
        plainer = _PLAINER.get(found["type"])
        return plainer(found) if plainer else found["msg"]

    return [{"field": field(found["loc"]), "problem": problem(found)} for found in errors]


def parse_task(values: object) -> TaskSpec:
    """`values` (parsed JSON or YAML) as a definition. Raises `TaskInvalid` naming each wrong field, with the same as
    `errors` for programs."""
    if not isinstance(values, Mapping):
        raise TaskInvalid("the definition is not a mapping of fields to values")
    try:
        return TaskSpec.model_validate(dict(values))
    except ValidationError as error:
        wrong = field_errors(error.errors(include_url=False, include_input=False))
        said = "; ".join(f"{one['field']}: {one['problem']}" if one["field"] else one["problem"] for one in wrong)
        raise TaskInvalid(said, errors=wrong) from None


def load_task(text: str, *, of: str = "the file") -> TaskSpec:
    """A definition written as one YAML document. Raises `TaskInvalid`."""
    return parse_task(load_document(text, of=of))


# --- tables and their names -------------------------------------------------------------------------------------


def picks(entry: str, table: TableName, patience: Patience | None = None) -> bool:
    """Whether a table entry names or matches the table, looked at alone; `patience` is shared by a whole search. Raises
    `TaskInvalid` for an expression that takes too long."""
    if entry == str(table):
        return True
    if is_plain(entry):
        return False
    try:
        return (patience or Patience()).fits(entry, str(table))
    except TooSlow as slow:
        raise TaskInvalid(
            f'source.tables: to match the expression "{slow.entry}" with the names at the source takes too long; write '
            "it without repetitions inside repetitions, or name the tables",
            pattern=slow.entry,
        ) from None


def entry_tables(entry: str, by_text: Mapping[str, TableName], patience: Patience | None = None) -> set[TableName]:
    """Those of the tables, by their names as texts, that one entry takes: the one of exactly this name alone, else all
    whose whole names it matches. Raises `TaskInvalid` for an expression that takes too long."""
    if entry in by_text:
        return {by_text[entry]}
    return set() if is_plain(entry) else {name for name in by_text.values() if picks(entry, name, patience)}


def wrong_entry(entry: str) -> str:
    """Why this is no table entry; empty: it is one."""
    try:
        _ENTRY.validate_python(entry)
    except ValidationError as error:
        return field_errors(error.errors(include_url=False, include_input=False))[0]["problem"]
    return ""


def matches(spec: TaskSpec, names: Sequence[TableName]) -> list[TableName]:
    """The source's tables the task takes, in the order of `names`. An entry that is some table's exact name means that
    table alone; else it is a regular expression for whole names.

    Raises `SourceTableUnknown` for a plain name that is not there, `SourcePatternEmpty` for an expression without a
    match, `TaskInvalid` if a single-table task would take several or an expression takes too long.
    """
    by_text = {str(name): name for name in names}
    patience = Patience(len(spec.source.tables) * len(names))
    taken: set[TableName] = set()
    for entry in spec.source.tables:
        found = entry_tables(entry, by_text, patience)
        if not found:
            refusal = SourceTableUnknown if is_plain(entry) else SourcePatternEmpty
            raise refusal(f'"{entry}" is no table of data source {spec.source.data_source}', table=entry)
        taken |= found
    if spec.kind is TaskKind.SINGLE_TABLE and len(taken) != 1:
        listed = ", ".join(sorted(map(str, taken))[:5])
        raise TaskInvalid(f'source.tables: "{spec.source.tables[0]}" matches {len(taken)} tables ({listed})')
    return [name for name in names if name in taken]


def target_name(target: TargetSpec, data_source: str, database: str, table: TableName) -> tuple[str, str]:
    """The schema and name the source table has at the target. Raises `TaskInvalid` for a placeholder that a table
    source has no value for."""
    values = {"data_source": data_source, "database": database, "schema": table.schema, "table": table.name}

    def value(found: re.Match[str]) -> str:
        meant = _PLACEHOLDERS[found["long"] or found["short"]]
        if meant not in values:
            raise TaskInvalid(f"target: {found[0]} has no value for a table of {data_source}")
        return values[meant]

    return _PLACEHOLDER.sub(value, target.schema_name), _PLACEHOLDER.sub(value, target.table)


def target_names(
    target: TargetSpec, data_source: str, database: str, tables: Sequence[TableName]
) -> dict[TableName, tuple[str, str]]:
    """Where each table goes. Raises `TargetNameClash` if two would go to one place."""
    placed: dict[tuple[str, str], TableName] = {}
    for table in tables:
        place = target_name(target, data_source, database, table)
        other = placed.setdefault(place, table)
        if other != table:
            raise TargetNameClash(f"{other} and {table} are both mapped to {'.'.join(place)}", target=".".join(place))
    return {table: place for place, table in placed.items()}
