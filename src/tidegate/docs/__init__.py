"""The reference pages that are generated, and the modules of the Python client that follow the API, so that they
cannot fall behind the tables they show: `python -m tidegate.docs docs/reference` writes them, and a test compares what
is committed with what they would be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tidegate.docs import clienting, connecting, operating, permitting, results, watching
from tidegate.docs.page import page
from tidegate.server.wedata import page as wedata
from tidegate.watch import monitoring

PAGES: dict[str, Callable[[], str]] = {
    "../monitoring/README.md": watching.monitoring_guide,
    "../monitoring/grafana-dashboard.json": monitoring.dashboard,
    "../monitoring/prometheus-rules.yml": monitoring.rules,
    "alerts.md": watching.alerts,
    "connectors.md": connecting.connectors,
    "crash-runs.md": results.crash_runs,
    "errors.md": operating.errors,
    "fault-points.md": operating.faultpoints,
    "key-events.md": operating.keyevents,
    "lifecycle.md": operating.lifecycle,
    "log-diagnoses.md": watching.log_diagnoses,
    "metrics.md": watching.metrics,
    "openapi.json": operating.openapi,
    "permissions.md": permitting.permissions,
    "settings.md": operating.settings,
    "speed.md": results.speed,
    "types.md": connecting.types,
    "wedata.md": lambda: page(wedata.lines()),
    **clienting.MODULES,
}


def write(folder: Path) -> None:
    """Write every page into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in PAGES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(made())
