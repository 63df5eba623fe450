"""Reading YAML that people wrote: plain data only, of bounded size, and nothing that silently means something else.

Refused with the line it stands in: a key given twice, an anchor, alias or merge key (a small file could unfold into an
endless one), any tag beyond YAML's own plain types, a key that is not text, and deep nesting.
"""

from __future__ import annotations

from typing import Any

import yaml

from tidegate.errors import TaskInvalid

SIZE_MAX_BYTES = 1 << 20
DEPTH_MAX = 20
DOCUMENTS_MAX = 1000


class _Refused(yaml.MarkedYAMLError):
    """What this module refuses although YAML would allow it."""


class _PlainLoader(yaml.SafeLoader):
    """A loader whose mappings have text keys, each once, and that composes no aliases."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs leave its parser out
        if getattr(event, "anchor", None):
            raise _Refused(problem="anchors and aliases are not accepted; write it out", problem_mark=event.start_mark)
        if self.depth >= DEPTH_MAX:
            raise _Refused(problem=f"nested deeper than {DEPTH_MAX} levels", problem_mark=event.start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _Refused(problem="a field's name must be plain text; quote it", problem_mark=key.start_mark)
            if key.value in seen:
                raise _Refused(problem=f'the field "{key.value}" is given twice', problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def load_documents(text: str, *, of: str = "the file") -> list[dict[str, Any]]:
    """The YAML documents in `text`, each a mapping; empty documents are left out. Raises `TaskInvalid` naming `of` and
    the line, never quoting the line's content (a file may hold secrets, I8)."""
    if len(text.encode("utf-8", "surrogatepass")) > SIZE_MAX_BYTES:
        raise TaskInvalid(f"{of}: larger than {SIZE_MAX_BYTES // 1024} KiB")
    found: list[dict[str, Any]] = []
    try:
        for number, held in enumerate(yaml.load_all(text, Loader=_PlainLoader), 1):
            if number > DOCUMENTS_MAX:
                raise TaskInvalid(f"{of}: more than {DOCUMENTS_MAX} documents")
            if held is None:
                continue
            if not isinstance(held, dict):
                raise TaskInvalid(f"{of}: document {number} is not a mapping of fields to values")
            found.append(held)
    except yaml.MarkedYAMLError as error:
        raise TaskInvalid(f"{of}: {_place(error)}{_problem(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        # A ValueError is a value that only looks like a date or a number, such as 2024-13-45.
        kind = "a character YAML does not allow" if isinstance(error, yaml.YAMLError) else "a date or number is not one"
        raise TaskInvalid(f"{of}: {kind}") from None
    return found


def load_document(text: str, *, of: str = "the file") -> dict[str, Any]:
    """The one document in `text`. Raises `TaskInvalid`."""
    found = load_documents(text, of=of)
    if len(found) != 1:
        raise TaskInvalid(f"{of}: holds {len(found)} documents; one is expected")
    return found[0]


def _place(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""


def _problem(error: yaml.MarkedYAMLError) -> str:
    if isinstance(error, _Refused):
        return str(error.problem)
    if isinstance(error, yaml.constructor.ConstructorError):
        return "only plain YAML values are accepted"
    # PyYAML's problems name token kinds ("could not find expected ':'"); those that quote input are cut at the quote.
    return "not well-formed YAML: " + str(error.problem or error.context or "cannot be read").split(" but found ")[0]
