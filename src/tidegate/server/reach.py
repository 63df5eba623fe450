"""The part of `Control` for where requests may come from: the networks that a project may be reached from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from starlette.types import Scope

from tidegate.errors import Invalid, LockOut, SettingInvalid
from tidegate.model.network import NETWORKS_MAX, Network, holds, parse_networks
from tidegate.model.principal import Principal
from tidegate.server.desk import Desk
from tidegate.server.views import ProjectView
from tidegate.store import catalog

NOBODY = "none"


class Reach(Desk):
    def placed(self, who: Principal, address: str) -> Principal:
        """They as they may be from this address. Asks the store each time: who is shut out is so at once."""
        with self.db.read() as tx:
            networks = catalog.networks_of_projects(tx)
        if not any(networks.values()):
            return who
        reach = frozenset(name for name, held in networks.items() if not held or holds(parse_networks(held), address))
        return replace(who, reach=reach)

    def set_allow_list(
        self, project: str, networks: Sequence[str], *, address: str, force: bool = False
    ) -> ProjectView:
        """Say which networks the project may be reached from; none: all. Raises `NotFound`, `Invalid`, and `LockOut`
        for a list that leaves out the address this is asked from, unless `force`."""
        try:
            parsed = parse_networks(networks)
        except ValueError as error:
            raise Invalid(f"networks: {error}") from None
        if len(parsed) > NETWORKS_MAX:
            raise Invalid(f"networks: at most {NETWORKS_MAX}")
        if parsed and not force and not holds(parsed, address):
            raise LockOut(f"{address or 'where you come from'} is in none of these networks", address=address)
        listed = [str(one) for one in parsed] or None
        with self.db.write() as tx:
            held = catalog.get_project(tx, project, lock=True)
            catalog.set_networks(tx, held.id, listed)
            tasks = next(count for row, count in catalog.list_projects(tx) if row.id == held.id)
        return ProjectView(held.id, held.name, held.description, held.created_at, tasks, listed)


def networks_of(setting: str, text: str | None) -> tuple[Network, ...]:
    """The networks of a setting, separated by commas. Raises `SettingInvalid`."""
    try:
        return parse_networks((text or "").split(","))
    except ValueError as error:
        raise SettingInvalid(f"{setting}: {error}") from None


def proxies_of(text: str) -> list[str]:
    """As uvicorn takes them; none trusts nobody's word. Raises `SettingInvalid`."""
    if text.strip() == NOBODY:
        return []
    return [str(one) for one in networks_of("trusted_proxies", text)]


def address_of(scope: Scope) -> str:
    """Where a request comes from; a trusted proxy says for whom it asks. Empty: by no network."""
    client = scope.get("client")
    return str(client[0]) if client else ""
