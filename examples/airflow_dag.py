"""An Airflow DAG that pauses a task while a nightly job has the target to itself. Plain HTTP: nothing of Tidegate is
installed where Airflow runs. TIDEGATE_TOKEN is the token of a service account with the role ops_engineer.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
from typing import Any

URL = os.environ.get("TIDEGATE_URL", "http://127.0.0.1:8080")
TASK = os.environ.get("TIDEGATE_TASK", "shop_to_lake")
DEADLINE_S = 300.0


def ask(method: str, path: str, body: Any = None) -> Any:
    """One request. A refusal is raised as HTTPError; its body says code, detail and advice."""
    request = urllib.request.Request(  # noqa: S310 - the address is ours
        f"{URL}/api/v1{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['TIDEGATE_TOKEN']}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=180) as answer:  # noqa: S310
        return json.load(answer)


def operate(command: str, status: str) -> None:
    """Give the command, and wait until the task has the status. What is so already is left as it is: a task that
    Airflow tries again must be able to."""
    if ask("GET", f"/tasks/{TASK}")["task"]["status"] == status:
        return
    ask("POST", f"/tasks/{TASK}/commands/{command}", {})
    until = time.monotonic() + DEADLINE_S
    while (task := ask("GET", f"/tasks/{TASK}")["task"])["status"] == "Operating" and time.monotonic() < until:
        time.sleep(1)
    if task["status"] != status:
        raise RuntimeError(f"{command}: {TASK} is {task['status']}, not {status}: {task['error']}")


try:
    from airflow.sdk import dag  # type: ignore[import-not-found]
    from airflow.sdk import task as step
except ModuleNotFoundError:  # read, or tried, where there is no Airflow
    dag = None

if dag is not None:

    @dag(schedule="0 3 * * *", catchup=False)
    def nightly() -> None:
        @step(retries=3)
        def pause() -> None:
            operate("pause", "Paused")

        @step
        def rebuild() -> None:
            """The job."""

        @step(retries=3, trigger_rule="all_done")
        def go_on() -> None:
            operate("continue", "Running")

        pause() >> rebuild() >> go_on()

    nightly()
