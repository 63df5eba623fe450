"""How a task comes to be in each state, by what people and workers do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from api.rig import Api
from tidegate.errors import SourceLogBroken, SourceUnreachable
from tidegate.model.lifecycle import Held, State
from tidegate.testing.servers import until

TASK = "shop_to_lake"
DEADLINE_S = 20


def give(api: Api, command: str, **body: Any) -> Any:
    return api.ask("POST", f"/tasks/{TASK}/commands/{command}", expect=202, json=body)


def task(api: Api) -> dict[str, Any]:
    """The task as it is shown."""
    shown: dict[str, Any] = api.ask("GET", f"/tasks/{TASK}")["task"]
    return shown


def reach(api: Api, state: State) -> None:
    """Wait for the state."""
    until(lambda: task(api)["state"] == state, f"{TASK} to be {state}", DEADLINE_S)


def registered(api: Api, workers: int) -> None:
    """Wait until so many workers have ever registered."""
    until(lambda: sum(1 for one in api.engine.puppets if one.given) == workers, "the worker to register", DEADLINE_S)


def draft(api: Api) -> None:
    assert task(api)["state"] == State.DRAFT


def initialize(api: Api) -> None:
    api.ask("POST", f"/tasks/{TASK}/submit")


def starting(api: Api) -> None:
    initialize(api)
    api.engine.manners.opens = False
    give(api, "run")
    registered(api, 1)


def running(api: Api) -> None:
    initialize(api)
    give(api, "run")
    reach(api, State.RUNNING)


def pausing(api: Api) -> None:
    running(api)
    api.engine.manners.drains = False
    give(api, "pause")


def force_pausing(api: Api) -> None:
    running(api)
    api.engine.manners.dies = False
    give(api, "force-pause")


def paused(api: Api) -> None:
    running(api)
    give(api, "pause")
    reach(api, State.PAUSED)


def continuing(api: Api) -> None:
    paused(api)
    api.engine.manners.opens = False
    give(api, "continue")
    registered(api, 2)


def stopping(api: Api) -> None:
    paused(api)
    api.plane.free.clear()
    give(api, "stop")


def stopped(api: Api) -> None:
    running(api)
    give(api, "stop")
    reach(api, State.STOPPED)


def failed_at_once(api: Api) -> None:
    initialize(api)
    api.engine.manners.fails_with = SourceLogBroken("the log of shop is broken")
    give(api, "run")
    reach(api, State.FAILURE)
    api.engine.manners.fails_with = None


def failed_with_snapshot(api: Api) -> None:
    running(api)
    asked = api.ask("POST", f"/tasks/{TASK}/snapshots", expect=202)
    request = f"/tasks/{TASK}/snapshots/requests/{asked['id']}"
    until(lambda: api.ask("GET", request)["snapshot"], "the snapshot to be stored", DEADLINE_S)
    api.engine.manners.fails_with = SourceLogBroken("the log of shop is broken")
    reach(api, State.FAILURE)
    api.engine.manners.fails_with = None


def detection_exception(api: Api) -> None:
    paused(api)
    api.plane.missing.append("table public.orders")
    reach(api, State.DETECTION_EXCEPTION)


def removing(api: Api) -> None:
    api.plane.left.append(SourceUnreachable("shop does not answer"))
    stopped(api)
    api.plane.left.clear()
    api.plane.free.clear()
    give(api, "remove")


# Every situation in which a command can be given: its state, how much of a run there is, and the way there.
SITUATIONS: dict[str, tuple[State, Held, Callable[[Api], None]]] = {
    "draft": (State.DRAFT, Held.NOTHING, draft),
    "initialize": (State.INITIALIZE, Held.NOTHING, initialize),
    "starting": (State.STARTING, Held.RUN, starting),
    "running": (State.RUNNING, Held.RUN, running),
    "pausing": (State.PAUSING, Held.RUN, pausing),
    "force_pausing": (State.FORCE_PAUSING, Held.RUN, force_pausing),
    "paused": (State.PAUSED, Held.SNAPSHOT, paused),
    "continuing": (State.CONTINUING, Held.SNAPSHOT, continuing),
    "stopping": (State.STOPPING, Held.SNAPSHOT, stopping),
    "stopped": (State.STOPPED, Held.NOTHING, stopped),
    "failure without a snapshot": (State.FAILURE, Held.RUN, failed_at_once),
    "failure with a snapshot": (State.FAILURE, Held.SNAPSHOT, failed_with_snapshot),
    "detection_exception": (State.DETECTION_EXCEPTION, Held.SNAPSHOT, detection_exception),
    "removing": (State.REMOVING, Held.NOTHING, removing),
}
