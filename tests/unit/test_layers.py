"""The shape of the source tree: imports go one way, files stay small, modules are named for what they are about."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidegate

HOME = Path(tidegate.__file__).parent
MODULES = {
    ".".join(("tidegate", *path.relative_to(HOME).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(HOME.rglob("*.py"))
}

# For everybody: the tables of errors, settings and fault points, and logging.
FREE = {"tidegate.errors", "tidegate.settings", "tidegate.logs", "tidegate.flood", "tidegate.faultpoint"}

# What each part may import besides itself.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "settings": set(),
    "logs": set(),
    "flood": set(),
    "faultpoint": set(),
    "model": set(),
    "decode": {"model"},
    "connect": {"model", "decode"},
    "sources": {"model", "decode", "connect"},
    "targets": {"model", "decode", "connect"},
    "verify": {"model", "decode", "connect"},
    "engine": {"model", "decode", "connect", "verify"},
    "worker": {"model", "decode", "connect", "engine"},
    "store": {"model"},
    "watch": {"model", "store"},
    "console": set(),  # the built pages: what they show they ask of the API, in the browser
    "server": {"model", "store", "watch", "console"},
    "cli": {"model"},
    "testing": {"model", "decode", "connect", "sources", "targets", "engine", "worker", "store", "watch", "server"},
    "demo": {"model", "testing", "cli"},
    "docs": {"model", "connect", "watch"},  # pages of the metric table, and of what alerts are told by
}

# The arrows that go another way, each with its reason. Module → modules it may import besides.
DOORS: dict[str, set[str]] = {
    # The server reads what connectors declare, and tests data sources: nothing else of it knows connectors.
    "tidegate.server.connectivity": {
        "tidegate.connect.capability",
        "tidegate.connect.config",
        "tidegate.connect.registry",
        "tidegate.connect.source",
        "tidegate.connect.target",
    },
    # Which settings of a data source are secrets.
    "tidegate.server.catalog": {"tidegate.connect.config"},
    # Where a server is put together: what looks at sources and targets for it is the engine's; its log says which
    # decoder its workers have.
    "tidegate.server.service": {"tidegate.engine.preflight", "tidegate.decode.choice"},
    # Pages of the API, which describes itself, and of the WeData API's tables.
    "tidegate.docs": {"tidegate.server.wedata.page"},
    "tidegate.docs.operating": {"tidegate.server.app"},
    "tidegate.docs.permitting": {"tidegate.server.app"},
    # `tidegate server` and `tidegate doctor` are the commands that are not clients.
    "tidegate.cli.serving": {"tidegate.server.service"},
    "tidegate.cli.doctor": {"tidegate.decode.choice", "tidegate.server.oidc", "tidegate.server.signonconfig"},
}

LINES_MAX = 600
NAMES_FORBIDDEN = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}


def part(module: str) -> str:
    """`engine` for `tidegate.engine.copy`; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> Iterator[str]:
    """Every module of the package that a file imports anywhere in it, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "tidegate")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tidegate":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def wrong_arrows(module: str, path: Path) -> list[str]:
    here = part(module)
    if here in ("", "__main__"):
        return []
    allowed = LAYERS[here] | {here}
    doors = FREE | DOORS.get(module, set())
    return [
        f"{module} imports {other}"
        for other in imports(path)
        if part(other) and part(other) not in allowed and other not in doors
    ]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_the_layers_below_it(module: str) -> None:
    assert part(module) in {*LAYERS, "", "__main__"}, f"{module} belongs to no layer"
    assert wrong_arrows(module, MODULES[module]) == []


def test_an_arrow_the_wrong_way_is_found(tmp_path: Path) -> None:
    intruder = tmp_path / "intruder.py"
    intruder.write_text("def late():\n    from tidegate.engine import batcher\n    import tidegate.server\n")
    assert wrong_arrows("tidegate.model.intruder", intruder) == [
        "tidegate.model.intruder imports tidegate.engine.batcher",
        "tidegate.model.intruder imports tidegate.server",
    ]


def test_what_is_for_everybody_imports_nothing_but_errors() -> None:
    free = {module for module in MODULES if module in FREE or part(module) == "errors"}
    assert {part(other) for module in free for other in imports(MODULES[module])} <= {"errors", "flood"}


def test_relative_imports_are_not_used() -> None:
    relative = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_every_door_is_still_used() -> None:
    unused = [
        (module, door)
        for module, doors in DOORS.items()
        for door in doors
        if module not in MODULES or door not in set(imports(MODULES[module]))
    ]
    assert unused == []


def test_no_file_is_longer_than_a_person_reads() -> None:
    long = {module: lines for module, path in MODULES.items() if (lines := path.read_text().count("\n")) > LINES_MAX}
    assert long == {}


def test_modules_are_named_for_what_they_are_about() -> None:
    assert [module for module in MODULES if NAMES_FORBIDDEN & set(module.split("."))] == []


def test_every_module_opens_with_its_promise() -> None:
    silent = [
        module
        for module, path in MODULES.items()
        if (text := path.read_text()).strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []
