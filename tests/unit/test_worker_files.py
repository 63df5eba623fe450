"""A worker opens no file but below the folders that its server allows, links followed on its own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tidegate.errors import FileNotAllowed
from tidegate.worker.agent import Agent
from tidegate.worker.shipping import Shipper


class Line:
    """A server that gives one assignment, and hears what becomes of it."""

    def __init__(self, path: Path, folder: Path) -> None:
        config = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u", "password": "p"}
        self.given = {
            "source": {"kind": "postgres", "config": config},
            "target": {"kind": "duckdb", "config": {"path": str(path)}},
            "files": {"folders": [str(folder)], "data_dir": "/nowhere"},
            "heartbeat_s": 60,
            "task": {"definition": {}},
        }
        self.heard: list[str] = []

    def post(self, path: str, body: dict[str, Any], **more: Any) -> dict[str, Any]:
        if path == "register":
            return self.given
        if path == "event":
            self.heard.append(body["error"]["code"])
        return {}

    def close(self) -> None:
        pass


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "lakes" / "a.duckdb"
    path.parent.mkdir()

    def came_of_it() -> list[str]:
        line = Line(path, path.parent)
        Agent(line, Shipper(line)).run()  # type: ignore[arg-type]
        return line.heard

    assert came_of_it() != [FileNotAllowed.code]  # what is wrong with this assignment is another thing
    path.symlink_to(tmp_path / "b.duckdb")
    assert came_of_it() == [FileNotAllowed.code]
