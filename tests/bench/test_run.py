"""The bench measures, compares and writes at its smallest size: what `make bench` does in an hour must not rot."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegate.docs import results

BENCH = Path(__file__).parents[2] / "bench"


def bench(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "run.py"), "--scale", "tiny", "--results", str(results), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=BENCH)


def only_file(results: Path) -> dict[str, Any]:
    (place,) = results.glob("bench-*.json")
    found: dict[str, Any] = json.loads(place.read_text())
    return found


@pytest.mark.slow
def test_a_workload_is_measured_for_all_who_take_part_and_written_with_its_figures(tmp_path: Path) -> None:
    ended = bench(tmp_path, "--only", "toast")
    assert ended.returncode == 0, ended.stderr
    result = only_file(tmp_path)
    assert [figure["id"] for figure in result["figures"]] == ["pg_pg_toast_vs_native"]
    assert result["figures"][0]["median"] > 0
    assert set(result["outcomes"]["toast"][0]) == {"tidegate", "native", "native binary", "native binary streaming"}
    assert "pg_pg_toast_vs_native" in ended.stdout
    assert next(tmp_path.glob("*.svg")).read_text().startswith("<svg")


def test_a_workload_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    ended = bench(tmp_path, "--only", "toast", "nonsense")
    assert (ended.returncode, "nonsense" in ended.stderr, list(tmp_path.iterdir())) == (1, True, [])


def test_a_target_that_differs_in_one_value_ends_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    ground, workloads = (importlib.import_module(name) for name in ("ground", "workloads"))
    workload = workloads.workloads(0.005)["full"]
    with ground.Ground.make() as both:
        both.prepare(workload)
        both.fill(workload, both.target, "dst")
        with both.target.connect("dst") as connection:
            both.same(workload, connection)
            connection.execute("update orders set amount = amount + 0.01 where id = 7")
            with pytest.raises(SystemExit, match=r"full\.orders: the target has"):
                both.same(workload, connection)


def test_what_two_runs_measured_is_shown_from_the_newest_that_has_it(tmp_path: Path) -> None:
    def write(name: str, at: str, scale: str, figures: dict[str, float | None]) -> None:
        shown = [
            {"id": id, "unit": "×", "median": value, "runs": [] if value is None else [value], "against": "a peer"}
            | {"bar": 1.25, "aim": 1.5, "why": "no network"}
            for id, value in figures.items()
        ]
        outcome = {"amount": 2_000_000, "wall_s": 8.0, "source_cpu_s": 6.0, "worker_cpu_s": 0.0, "target_cpu_s": 4.0}
        outcomes = {"mixed": [{"tidegate": outcome | {"memory_mb": 100.0}}]}
        run = {"at": at, "commit": name, "scale": scale, "figures": shown, "outcomes": outcomes}
        (tmp_path / f"bench-{name}.json").write_text(json.dumps(run))

    write("zzz", "2026-01-01T00:00:00", "full", {"old": 1.111, "both": 1.222, "lost": 1.333})
    write("aaa", "2026-01-02T00:00:00", "full", {"both": 1.444, "lost": None, "never": None})
    write("bbb", "2026-01-03T00:00:00", "small", {"both": 1.555})
    page = results.speed(tmp_path)
    assert [value in page for value in ("1.111", "1.222", "1.333", "1.444", "1.555")] == [
        True,
        False,
        True,
        True,
        False,
    ]
    assert "| `never` | – | ≥ 1.25 | 1.5 | no network |" in page
    assert "| mixed | tidegate | 4.00 | 3.00 | – | 2.00 | 100 |" in page
