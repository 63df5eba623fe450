"""Where data sources that are files may be: below folders, once every symbolic link and `..` of a path was followed.

The default lets whoever may do everything name any file, which is no more than the server's user can do anyway, and
everybody else those below a folder of their project.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import FileNotAllowed, SettingInvalid

OWN = "lakes"
"""The folder of the data directory with a folder for each project."""
PROJECT = "{project}"


@dataclass(frozen=True, slots=True)
class Folders:
    """`listed` is what the setting says, None where it says nothing. The data directory itself is never within."""

    data_dir: str
    listed: tuple[str, ...] | None = None

    def of(self, project: str) -> tuple[str, ...]:
        """Those in which the project's files may be."""
        return (*(one.replace(PROJECT, project) for one in self.listed or ()), self.own(project))

    def own(self, project: str) -> str:
        return str(Path(self.data_dir) / OWN / project)

    def demand(self, path: str, project: str, *, of: str) -> None:
        """Raises `FileNotAllowed`."""
        demand_within(path, self.of(project), self.data_dir, of=of)

    def make(self, path: str, project: str) -> None:
        """The project's own folder, if the file would be in it."""
        own = self.own(project)
        if _is_below(os.path.realpath(path), os.path.realpath(own)):
            Path(own).mkdir(parents=True, exist_ok=True, mode=0o700)


def demand_within(path: str, folders: Sequence[str], data_dir: str, *, of: str) -> None:
    """Raises `FileNotAllowed` unless the file is below one of the folders; one that the data directory is in does not
    open that."""
    real, kept = os.path.realpath(path), os.path.realpath(data_dir)
    for folder in map(os.path.realpath, folders):
        opens_kept = folder == kept or _is_below(kept, folder)
        if _is_below(real, folder) and not (opens_kept and (real == kept or _is_below(real, kept))):
            return
    raise FileNotAllowed(
        f"{of}: {path} is in none of the folders allowed: {', '.join(folders)}",
        errors=[{"field": "config.path", "problem": f"must be below {' or '.join(folders)}"}],
        folders=list(folders),
    )


def listed_folders(setting: str | None) -> tuple[str, ...] | None:
    """The setting's folders. Raises `SettingInvalid`."""
    if setting is None:
        return None
    found = tuple(str(Path(one.strip()).expanduser()) for one in setting.split(",") if one.strip())
    if not all(os.path.isabs(one) for one in found):
        raise SettingInvalid("file_folders must be absolute paths of folders, separated by commas")
    return found


def _is_below(path: str, folder: str) -> bool:
    return path != folder and os.path.commonpath((path, folder)) == folder
