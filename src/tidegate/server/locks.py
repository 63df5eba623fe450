"""The part of `Control` for edit locks: whoever holds a task's is the only one to change its definition, submit it, or
hand it over. Anybody who may edit the task can seize it, and everybody sees who has it. Operating goes on beside it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tidegate.errors import TaskLocked
from tidegate.server.desk import Desk, lock_refusal
from tidegate.server.views import Moment
from tidegate.store import locks, moves
from tidegate.store.locks import LockRow


@dataclass(frozen=True, slots=True)
class LockView:
    """`holder` is None if nobody holds it."""

    holder: str | None
    since: Moment | None
    yours: bool


class EditLocks(Desk):
    def edit_lock(self, task: int, *, actor: str) -> LockView:
        """Raises `NotFound`."""
        with self.db.read() as tx:
            moves.get(tx, task)
            return _view(locks.find(tx, task), actor)

    def hold_lock(self, task: int, *, seize: bool = False, actor: str) -> LockView:
        """Hold it from now on; with `seize` also if somebody else does. Raises `NotFound`, `TaskLocked`."""
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            held = locks.find(tx, task)
            if held is not None and held.holder != actor and not seize:
                raise lock_refusal(now_in.task.name, held)
            if held is None or held.holder != actor:
                locks.put(tx, task, actor, self.clock.now())
            return _view(locks.find(tx, task), actor)

    def release_lock(self, task: int, *, actor: str) -> None:
        """One that nobody holds may be released as well. Raises `NotFound`, `TaskLocked`: somebody else's is seized
        first."""
        with self.db.write() as tx:
            now_in = moves.get(tx, task, lock=True)
            self.demand_unlocked(tx, now_in, actor)
            locks.release(tx, task)

    def lock_holders(self, task_ids: Collection[int]) -> dict[int, str]:
        """Task → who holds it, of those that somebody does."""
        with self.db.read() as tx:
            return locks.holders(tx, task_ids)

    def locked_for(self, task: int, *, actor: str) -> TaskLocked | None:
        """What a change of the definition would be refused with. Raises `NotFound`."""
        with self.db.read() as tx:
            now_in = moves.get(tx, task)
            held = locks.find(tx, task)
        return None if held is None or held.holder == actor else lock_refusal(now_in.task.name, held)


def _view(held: LockRow | None, actor: str) -> LockView:
    return LockView(None, None, False) if held is None else LockView(held.holder, held.since, held.holder == actor)
