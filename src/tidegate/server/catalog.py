"""The part of `Control` for what tasks refer to: projects, data sources, resource groups. And the admin token."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from tidegate.connect.config import Config, parse_config, secret_fields
from tidegate.errors import InUse, Invalid, NotFound, SecretNeeded
from tidegate.model.principal import Principal
from tidegate.model.task import checked_name
from tidegate.server.connectivity import roles
from tidegate.server.desk import Desk, sealed_for
from tidegate.server.views import DataSourceView, GroupView, ProjectView, Side
from tidegate.store import catalog
from tidegate.store.opening import DEFAULT
from tidegate.store.rows import DataSourceRow, GroupRow, ProjectRow

MASK = "********"
"""Stands for a stored secret in answers; sent back in an edit it means: keep what is stored."""

ENGINES = ("local",)
UNITS_MAX = 1_000_000
DESCRIPTION_MAX = 500

_ADMIN = "admin_token_hash"


class Catalog(Desk):
    # --- the door ---

    def first_token(self, keep: Callable[[str], object] | None = None) -> str | None:
        """The admin token in the clear, the very first time it is asked for; None ever after. Only its hash is kept.
        `keep` is given the token before it counts, so that a crash cannot leave a token that nobody knows."""
        with self.db.read() as tx:
            if catalog.get_setting(tx, _ADMIN) is not None:
                return None
        token = f"tg_{secrets.token_urlsafe(32)}"
        with self.db.write() as tx:
            self.db.alone(tx)
            if catalog.get_setting(tx, _ADMIN) is not None:
                return None
            if keep is not None:
                keep(token)
            catalog.add_setting(tx, _ADMIN, _hash(token))
        return token

    def check_admin(self, token: str) -> bool:
        """Whether this is the admin token."""
        with self.db.read() as tx:
            held = catalog.get_setting(tx, _ADMIN)
        return held is not None and hmac.compare_digest(held, _hash(token))

    def admin_mark(self) -> str:
        """Names the admin token without telling anything of it: another token has another mark."""
        with self.db.read() as tx:
            held = catalog.get_setting(tx, _ADMIN)
        return _hash(f"mark of {held}")[:16]

    # --- projects ---

    def projects(self) -> list[ProjectView]:
        """By name."""
        with self.db.read() as tx:
            return [_project_view(row, tasks) for row, tasks in catalog.list_projects(tx)]

    def project(self, ref: str) -> ProjectView:
        """A project given by id (as digits) or by name. Raises `NotFound`."""
        found = next((view for view in self.projects() if ref in (view.name, str(view.id))), None)
        if found is None:
            raise NotFound(f"there is no project {ref}")
        return found

    def create_project(self, name: str, description: str = "", *, actor: str) -> ProjectView:
        """Raises `NameTaken`, `Invalid` (the name)."""
        _check_name(name)
        _check_description(description)
        with self.db.write() as tx:
            catalog.add_project(tx, name=name, description=description, now=self.clock.now())
        return self.project(name)

    def edit_project(self, name: str, *, description: str, actor: str) -> ProjectView:
        """Raises `NotFound`, `Invalid`."""
        _check_description(description)
        with self.db.write() as tx:
            catalog.change_project(tx, catalog.get_project(tx, name, lock=True).id, description=description)
        return self.project(name)

    def delete_project(self, name: str, *, actor: str) -> None:
        """Raises `NotFound`, `InUse` while it has tasks or data sources, or is `default`."""
        if name == DEFAULT:
            raise InUse("the default project stays")
        with self.db.write() as tx:
            catalog.delete_project(tx, catalog.get_project(tx, name, lock=True))

    # --- data sources ---

    def data_sources(self, project: str = DEFAULT) -> list[DataSourceView]:
        """By name. Raises `NotFound` (the project)."""
        with self.db.read() as tx:
            project_id = catalog.get_project(tx, project).id
            users = catalog.data_source_users(tx, project_id)
            rows = catalog.list_data_sources(tx, project_id)
            return [self._data_source_view(project, row, users.get(row.name, [])) for row in rows]

    def data_source(self, name: str, *, project: str = DEFAULT) -> DataSourceView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            row = catalog.get_data_source(tx, catalog.get_project(tx, project).id, name)
            users = catalog.data_source_users(tx, row.project_id)
            return self._data_source_view(project, row, users.get(name, []))

    def data_source_by_id(self, number: int) -> DataSourceView:
        """Of any project. Raises `NotFound`."""
        with self.db.read() as tx:
            row = catalog.data_source_by_id(tx, number)
            if row is None:
                raise NotFound(f"there is no data source {number}")
            users = catalog.data_source_users(tx, row.project_id)
            return self._data_source_view(catalog.project_name(tx, row.project_id), row, users.get(row.name, []))

    def create_data_source(
        self,
        name: str,
        kind: str,
        config: Mapping[str, Any],
        *,
        project: str = DEFAULT,
        description: str = "",
        who: Principal,
    ) -> DataSourceView:
        """`config` as the connector's `Config` takes it, secrets in the clear; they are encrypted here. Raises
        `NameTaken`, `Invalid` (the name), `ConnectorUnknown`, `ConfigInvalid`, `FileNotAllowed`, `NotFound` (the
        project)."""
        _check_name(name)
        _check_description(description)
        plain, hidden = _split(kind, config, name)
        self.demand_files((kind, plain), project, who)
        with self.db.write() as tx:
            project_id = catalog.get_project(tx, project, lock=True).id
            catalog.add_data_source(
                tx,
                now=self.clock.now(),
                project_id=project_id,
                name=name,
                kind=kind,
                description=description,
                config=plain,
                secrets=self.store.vault.seal(hidden, sealed_for(project_id, name)),
            )
        return self.data_source(name, project=project)

    def edit_data_source(
        self,
        name: str,
        *,
        project: str = DEFAULT,
        config: Mapping[str, Any] | None = None,
        description: str | None = None,
        version: int | None = None,
        who: Principal,
    ) -> DataSourceView:
        """`config` replaces the settings whole; a secret that is left out or `MASK` is kept. Workers take it when they
        next start. What is as it was before makes no other version. Raises `NotFound`, `StaleVersion`, `ConfigInvalid`,
        `SecretNeeded`, `FileNotAllowed`."""
        values: dict[str, Any] = {}
        if description is not None:
            _check_description(description)
            values["description"] = description
        with self.db.write() as tx:
            row = catalog.get_data_source(tx, catalog.get_project(tx, project).id, name, lock=True)
            catalog.demand_version(row, version)
            if config is not None:
                plain, hidden = self._edited(row, config, project, who)
                sealed_to = sealed_for(row.project_id, name)
                if plain != row.config or hidden != self.store.vault.open(row.secrets, sealed_to):
                    values |= {"config": plain, "secrets": self.store.vault.seal(hidden, sealed_to)}
            if values.get("description") == row.description:
                del values["description"]
            if values:
                catalog.change_data_source(tx, row, now=self.clock.now(), **values)
        return self.data_source(name, project=project)

    def delete_data_source(self, name: str, *, project: str = DEFAULT, version: int | None = None, actor: str) -> None:
        """Raises `NotFound`, `StaleVersion`, `InUse` naming the tasks that use it."""
        with self.db.write() as tx:
            row = catalog.get_data_source(tx, catalog.get_project(tx, project).id, name, lock=True)
            catalog.demand_version(row, version)
            catalog.delete_data_source(tx, row)

    def data_source_side(self, name: str, *, project: str = DEFAULT) -> Side:
        """Kind and validated settings with secrets in the clear, to test the connection; never part of an answer.
        Raises `NotFound`, `FileNotAllowed`."""
        with self.db.read() as tx:
            row = catalog.get_data_source(tx, catalog.get_project(tx, project).id, name)
        side = self.side_of(row)
        self.demand_files(side, project)
        return side

    def edited_side(self, name: str, config: Mapping[str, Any], *, project: str = DEFAULT, who: Principal) -> Side:
        """The same as it would be after an edit to `config`. Raises `NotFound`, `ConfigInvalid`, `SecretNeeded`,
        `FileNotAllowed`."""
        with self.db.read() as tx:
            row = catalog.get_data_source(tx, catalog.get_project(tx, project).id, name)
        plain, hidden = self._edited(row, config, project, who)
        return row.kind, {**plain, **hidden}

    def unsaved_side(self, kind: str, config: Mapping[str, Any], *, project: str = DEFAULT, who: Principal) -> Side:
        """The same of settings that are not saved. Raises `ConnectorUnknown`, `ConfigInvalid`, `FileNotAllowed`."""
        plain, hidden = _split(kind, config, kind)
        self.demand_files((kind, plain), project, who)
        return kind, {**plain, **hidden}

    def _edited(
        self, row: DataSourceRow, config: Mapping[str, Any], project: str, who: Principal
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The settings after an edit, with the stored secrets that `config` does not give. Raises `SecretNeeded` where
        one would go to an address it was not given for: who may edit must not come to know it that way (I8)."""
        stored = self.store.vault.open(row.secrets, sealed_for(row.project_id, row.name))
        given = {name: value for name, value in config.items() if name not in stored or value != MASK}
        given |= {name: "" for name in stored if given.get(name, "") is None}  # as it is shown where none is stored
        plain, hidden = _split(row.kind, stored | given, row.name)
        kept = [name for name, value in stored.items() if value and name not in given]
        model = _model(row.kind)
        moved = any(plain.get(file) != row.config.get(file) for file in model.files)
        self.demand_files((row.kind, plain), project, who if moved else None)
        free = model.keeps_secrets
        changed = [name for name, value in plain.items() if name not in free and value != row.config.get(name)]
        if kept and changed:
            raise SecretNeeded(
                f"data source {row.name}: with another {', '.join(changed)} the {', '.join(kept)} must be given again",
                errors=[{"field": f"config.{name}", "problem": "must be given again"} for name in kept],
                changed=changed,
            )
        return plain, hidden

    def _data_source_view(self, project: str, row: DataSourceRow, used_by: list[str]) -> DataSourceView:
        hidden = self.store.vault.open(row.secrets, sealed_for(row.project_id, row.name))
        masked = {name: MASK if value else None for name, value in hidden.items()}
        return DataSourceView(
            id=row.id,
            project=project,
            name=row.name,
            kind=row.kind,
            description=row.description,
            config={**row.config, **masked},
            created_at=row.created_at,
            changed_at=row.changed_at,
            version=row.version,
            used_by=used_by,
        )

    # --- resource groups ---

    def groups(self) -> list[GroupView]:
        """By name."""
        with self.db.read() as tx:
            used, users = catalog.units_used(tx), catalog.group_users(tx)
            return [_group_view(row, used, users) for row in catalog.list_groups(tx)]

    def group(self, name: str) -> GroupView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            row = catalog.get_group(tx, name)
            return _group_view(row, catalog.units_used(tx), catalog.group_users(tx))

    def create_group(
        self, name: str, *, units: int, engine: str = "local", description: str = "", actor: str
    ) -> GroupView:
        """Raises `NameTaken`, `Invalid`."""
        _check_name(name)
        _check_units(units)
        _check_description(description)
        if engine not in ENGINES:
            raise Invalid(f"engine: there is no engine {engine}; engines are {', '.join(ENGINES)}")
        with self.db.write() as tx:
            catalog.add_group(tx, name=name, engine=engine, units=units, description=description)
        return self.group(name)

    def edit_group(
        self,
        name: str,
        *,
        units: int | None = None,
        description: str | None = None,
        version: int | None = None,
        actor: str,
    ) -> GroupView:
        """Shrinking below what is used stops nothing; it only lets nothing new start. Raises `NotFound`,
        `StaleVersion`, `Invalid`."""
        values: dict[str, Any] = {}
        if units is not None:
            _check_units(units)
            values["units"] = units
        if description is not None:
            _check_description(description)
            values["description"] = description
        with self.db.write() as tx:
            row = catalog.get_group(tx, name, lock=True)
            catalog.demand_version(row, version)
            catalog.change_group(tx, row, **values)
        return self.group(name)

    def delete_group(self, name: str, *, version: int | None = None, actor: str) -> None:
        """Raises `NotFound`, `StaleVersion`, `InUse` naming the tasks that name it."""
        with self.db.write() as tx:
            row = catalog.get_group(tx, name, lock=True)
            catalog.demand_version(row, version)
            catalog.delete_group(tx, row)


def _split(kind: str, config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings, validated, parted into what may be shown and the secrets. Raises `ConnectorUnknown`,
    `ConfigInvalid`."""
    model = _model(kind)
    parsed = parse_config(model, config, of=name)
    hidden = {field: getattr(parsed, field).get_secret_value() for field in secret_fields(model)}
    plain = {field: value for field, value in parsed.model_dump(mode="json").items() if field not in hidden}
    return plain, hidden


def _model(kind: str) -> type[Config]:
    """Raises `ConnectorUnknown`."""
    model: type[Config] = next(iter(roles(kind).values())).Config
    return model


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _check_name(name: str) -> None:
    try:
        checked_name(name)
    except ValueError as error:
        raise Invalid(f"name: {error}") from None


def _check_units(units: int) -> None:
    if not 0 < units <= UNITS_MAX:
        raise Invalid(f"units: must be from 1 to {UNITS_MAX}")


def _check_description(text: str) -> None:
    if len(text) > DESCRIPTION_MAX:
        raise Invalid(f"description: must be at most {DESCRIPTION_MAX} characters")


def _project_view(row: ProjectRow, tasks: int) -> ProjectView:
    return ProjectView(
        row.id, row.name, row.description, row.created_at, tasks, list(row.allow_from) if row.allow_from else None
    )


def _group_view(row: GroupRow, used: Mapping[str, list[tuple[str, int]]], users: Mapping[str, list[str]]) -> GroupView:
    return GroupView(
        name=row.name,
        engine=row.engine,
        units=row.units,
        units_used=sum(units for _, units in used.get(row.name, [])),
        description=row.description,
        version=row.version,
        used_by=users.get(row.name, []),
    )
