"""Everything at one look."""

from __future__ import annotations

from api.rig import Api, definition


def test_it_counts_tasks_by_status_and_group(stocked: Api) -> None:
    stocked.ask("POST", "/resource-groups", expect=201, json={"name": "night", "units": 4})
    for name, group in (("one", "default"), ("two", "night"), ("draft", "night")):
        stocked.ask("POST", "/tasks", expect=201, json=definition(name) | {"resource_group": group})
        if name != "draft":
            stocked.ask("POST", f"/tasks/{name}/submit", json={})
    said = stocked.ask("GET", "/outlook")
    assert said["totals"]["total"] == 2
    groups = {one["name"]: one for one in said["groups"]}
    assert (groups["night"]["statuses"], groups["night"]["units"], groups["night"]["units_used"]) == (
        {"Initialize": 1},
        4,
        0,
    )
    assert said["alerts"] == {"normal": 0, "important": 0, "urgent": 0}
    assert len(said["fired"]) == 24
    assert said["rows_written_per_s"] is None
