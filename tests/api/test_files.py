"""Data sources that are files are where the server lets them be, however their paths are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.people import NORTH, Town, town
from api.rig import definition
from api.test_guard import refused
from tidegate.errors import FileNotAllowed
from tidegate.model.folders import Folders, listed_folders

NOT_ALLOWED = "data_source.file_not_allowed"


@pytest.fixture
def north(tmp_path: Path) -> Iterator[Town]:
    with town(tmp_path / "data") as made:
        yield made


@pytest.fixture
def fenced(tmp_path: Path) -> Iterator[Town]:
    """A server whose setting lists folders."""
    (tmp_path / "lakes").mkdir()
    with town(tmp_path / "data", file_folders=f"{tmp_path}/lakes, {tmp_path}/of/{{project}}") as made:
        yield made


def engineer(town: Town) -> httpx.Client:
    town.account("eng")
    town.member("eng", "data_engineer")
    return town.client(town.token("eng"))


def lake(path: object, name: str = "file") -> dict[str, Any]:
    return {"name": name, "kind": "duckdb", "config": {"path": str(path)}}


def saved(http: httpx.Client, path: object, name: str = "file") -> httpx.Response:
    return http.post(f"/api/v1/data-sources?project={NORTH}", json=lake(path, name))


def test_an_engineer_names_files_in_the_projects_own_folder_and_nowhere_else(north: Town, tmp_path: Path) -> None:
    eng, own = engineer(north), tmp_path / "data" / "lakes" / NORTH
    assert saved(eng, own / "shop.duckdb").status_code == 201
    assert own.stat().st_mode & 0o777 == 0o700
    other = tmp_path / "data" / "lakes" / "south" / "shop.duckdb"
    for path in ("/etc/passwd", tmp_path / "x.duckdb", tmp_path / "data" / "tidegate.db", other, own, f"{own}x/y"):
        refused(saved(eng, path, "more"), 422, NOT_ALLOWED)
        assert not other.parent.exists()
    asked = {"config": {"path": "/etc/passwd"}}
    at = f"/api/v1/data-sources/file?project={NORTH}"
    refused(eng.put(at, json=asked), 422, NOT_ALLOWED)
    refused(eng.post(at.replace("?", "/test?"), json=asked), 422, NOT_ALLOWED)
    refused(eng.post(f"/api/v1/data-sources/test?project={NORTH}", json=asked | {"kind": "duckdb"}), 422, NOT_ALLOWED)
    report = eng.post(at.replace("?", "/test?"))
    assert report.json()["ok"], report.text


@pytest.mark.parametrize("trick", ["..", "file link", "folder link", "dangling link"])
def test_no_way_of_writing_a_path_leads_out(trick: str, north: Town, tmp_path: Path) -> None:
    own = tmp_path / "data" / "lakes" / NORTH
    own.mkdir(parents=True)
    secret = tmp_path / "secret.duckdb"
    path = own / "link"
    match trick:
        case "..":
            path = own / ".." / ".." / ".." / "secret.duckdb"
        case "file link":
            secret.write_bytes(b"")
            path.symlink_to(secret)
        case "dangling link":
            path.symlink_to(secret)
        case "folder link":
            path.symlink_to(tmp_path)
            path /= "secret.duckdb"
    refused(saved(engineer(north), path), 422, NOT_ALLOWED)


def test_an_administrator_names_any_file_which_then_serves_the_project(north: Town, tmp_path: Path) -> None:
    eng = engineer(north)
    assert saved(north.api.http, tmp_path / "any.duckdb").status_code == 201
    at = f"/api/v1/data-sources/file?project={NORTH}"
    assert eng.post(at.replace("?", "/test?")).json()["ok"]
    same = {"path": str(tmp_path / "any.duckdb"), "memory_mb": 512}
    assert eng.put(at, json={"config": same}).status_code == 200
    refused(eng.put(at, json={"config": same | {"path": str(tmp_path / "else.duckdb")}}), 422, NOT_ALLOWED)
    limited = north.api.ask(
        "POST", "/users", expect=201, json={"name": "adm", "kind": "service", "administrator": True}
    )
    held = north.client(north.token(limited["name"], permissions=["data_source.edit"]))
    refused(saved(held, tmp_path / "more.duckdb", "more"), 422, NOT_ALLOWED)


def test_folders_that_are_listed_bind_administrators_too(fenced: Town, tmp_path: Path) -> None:
    admin = fenced.api.http
    for place in ("lakes", f"of/{NORTH}", f"data/lakes/{NORTH}"):
        assert saved(admin, tmp_path / place / "a.duckdb", place.replace("/", "_")).status_code == 201
    for place in ("x", "of/south", "data"):
        said = refused(saved(admin, tmp_path / place / "a.duckdb", "more"), 422, NOT_ALLOWED)
        assert f"{tmp_path}/lakes" in said["detail"]
        assert said["errors"][0]["field"] == "config.path"


def test_a_file_that_is_saved_is_looked_at_again_before_it_is_touched(fenced: Town, tmp_path: Path) -> None:
    """A link that was put there later leads nowhere: not in a test, not at submit, not to a worker."""
    api, path = fenced.api, tmp_path / "lakes" / "a.duckdb"
    assert saved(api.http, path).status_code == 201
    wanted = definition("filed", project=NORTH)
    wanted["target"] = {"data_source": "file", "write": "upsert"}
    api.ask("POST", "/tasks", expect=201, json=wanted)
    path.symlink_to(tmp_path / "secret.duckdb")
    refused(api.http.post(f"/api/v1/data-sources/file/test?project={NORTH}"), 422, NOT_ALLOWED)
    refused(api.http.post(f"/api/v1/tasks/filed/submit?project={NORTH}", json={}), 422, NOT_ALLOWED)
    checked = api.ask("POST", f"/definitions/check?project={NORTH}", json={"definition": wanted | {"task": "other"}})
    assert [line["code"] for line in checked["checks"] if not line["ok"]] == [NOT_ALLOWED]
    path.unlink()
    api.ask("POST", f"/tasks/filed/submit?project={NORTH}", json={})
    path.symlink_to(tmp_path / "secret.duckdb")
    refused(api.http.post(f"/api/v1/tasks/filed/commands/run?project={NORTH}", json={}), 422, NOT_ALLOWED)


def test_a_folder_that_holds_the_data_directory_does_not_open_it(tmp_path: Path) -> None:
    folders = Folders(str(tmp_path / "data"), listed_folders(str(tmp_path)))
    folders.demand(str(tmp_path / "a.duckdb"), NORTH, of="it")
    folders.demand(str(tmp_path / "data" / "lakes" / NORTH / "a.duckdb"), NORTH, of="it")
    for name in ("data", "data/tidegate.db", "data/lakes/a.duckdb"):
        with pytest.raises(FileNotAllowed):
            folders.demand(os.fspath(tmp_path / name), NORTH, of="it")
