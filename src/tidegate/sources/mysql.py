"""Read MySQL 8.0 to 9: as MariaDB is read, but for how it names transactions and what it does not tell of snapshots."""

from __future__ import annotations

from typing import ClassVar

from tidegate.connect import myfiles
from tidegate.connect.myposition import Place
from tidegate.decode.gtid import NO_GTIDS, Gtids
from tidegate.errors import SourceLogBroken, SourcePrivilegeMissing
from tidegate.sources.mariadb import MariadbSource


class MysqlSource(MariadbSource):
    kind: ClassVar[str] = "mysql"
    title: ClassVar[str] = "MySQL"

    _told: tuple[Place, Gtids | None] | None = None
    """What was found in front of a place last: a file of the log is read for it."""

    def _gtids(self, at: Place) -> Gtids:
        return self._gtids_at(at) or NO_GTIDS

    def _gtids_at(self, at: Place) -> Gtids | None:
        """The server does not tell; and what it has executed is not what its log has, where it was restored."""
        if self._told is None or self._told[0] != at:
            self._told = at, myfiles.gtids_at(self.config, at)
        return self._told[1]

    def _await_prepared(self) -> bool:
        """A user who may not see what is prepared (XA_RECOVER_ADMIN) does not wait for it: a run that begins behind the
        rows of such a transaction ends where that is committed."""
        try:
            self._query("xa recover")
        except (SourcePrivilegeMissing, SourceLogBroken):
            return False
        return super()._await_prepared()
