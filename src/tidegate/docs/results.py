"""Pages of what committed runs of `make crash` and `make bench` measured."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tidegate.docs.page import page, table

RESULTS = Path("bench/results")

_RUN = ("minutes", "seed", "kills", "pauses", "forced_pauses", "zombies", "wire_cuts", "server_crashes")

_FOUND = ("rows", "lost", "doubled", "torn", "old_epoch_writes")

_TIMES = ("noticed_s", "resumed_s", "recovered_s", "settled_s")


def crash_runs(results: Path = RESULTS) -> str:
    """What the committed results of `make crash` say, newest first."""
    lines = [
        "# Runs of `make crash`",
        "",
        "From the files in `bench/results`. What a run does and counts: [reliability](../explain/reliability.md).",
        "With no failure in *n* deaths, the rate of failures is below 3/*n* with 95 % confidence; it is never zero.",
        "Times are p50 / p99 / max in seconds: from a worker's death until another one begins (`noticed`) and from",
        "then until it has written (`resumed`), where nothing else happened meanwhile; both together whatever happened",
        "(`recovered`); from the last fault of a round until every copy was equal (`settled`).",
        "",
    ]
    found = sorted(results.glob("crash-*.json"), reverse=True)
    if not found:
        return page([*lines, "No run has been committed yet."])
    head = ("date", "commit", "pairs", *(name.replace("_", " ") for name in (*_RUN, *_FOUND, *_TIMES)))
    rows = []
    for path in found:
        run = json.loads(path.read_text())
        counts = (f"{run[name]:,}" if name != "seed" else str(run[name]) for name in (*_RUN, *_FOUND))
        spreads = (run.get(name) for name in _TIMES)
        times = (f"{spread['p50']} / {spread['p99']} / {spread['max']}" if spread else "–" for spread in spreads)
        rows.append((run["began"][:10], run["commit"], _pairs(run["pairs"]), *counts, *times))
    return page([*lines, *table(head, rows)])


def _pairs(pairs: Sequence[str]) -> str:
    """Each once, where it was attacked in both ways to write."""
    ways = Counter(pair.rpartition(" ")[0] for pair in pairs)
    told = (name if ways[name] > 1 else pair for pair in pairs if (name := pair.rpartition(" ")[0]))
    return "<br>".join(dict.fromkeys(told))


def speed(results: Path = RESULTS) -> str:
    """What the committed results of `make bench` say: every figure and workload from the newest run that has it."""
    lines = [
        "# What `make bench` measured",
        "",
        "From the files in `bench/results`, whole runs only (`SCALE=full`). What each figure means, and how it is",
        "measured: [speed](../explain/speed.md). × is a ratio to the peer in the same run.",
        "",
    ]
    runs = [json.loads(path.read_text()) for path in results.glob("bench-*.json")]
    runs = sorted((run for run in runs if run["scale"] == "full"), key=lambda run: str(run["at"]))
    if not runs:
        return page([*lines, "No run has been committed yet."])
    newest: dict[str, Any] = {}
    for run in runs:
        for figure in run["figures"]:
            if figure["runs"] or figure["id"] not in newest:
                newest[figure["id"]] = _figure(figure, run)
    lines += table(("figure", "median", "bar", "aim", "runs", "against", "date", "commit"), newest.values())
    lines += [
        "",
        "## The cost of a million, by part",
        "",
        "Of a million changes, or rows copied: seconds of time, and seconds of a processor in the source server, in",
        "the program between (Tidegate's worker, or the peer) and in the target server; the most memory the program",
        "between had, in MB. Medians. –: there is none, or it was not measured.",
        "",
    ]
    outcomes = {name: repetitions for run in runs for name, repetitions in run["outcomes"].items()}
    costs = [
        (name, who, *_costs([repetition[who] for repetition in repetitions if who in repetition]))
        for name, repetitions in outcomes.items()
        if name not in _NOT_BY_PART
        for who in dict.fromkeys(who for repetition in repetitions for who in repetition)
        if who not in _ITSELF
    ]
    return page([*lines, *table(("workload", "who", "time", "source", "between", "target", "memory"), costs)])


_NOT_BY_PART = ("decode", "live")

_ITSELF = ("tidegate again",)

_A_MILLION = 1_000_000

_PARTS = ("wall_s", "source_cpu_s", "worker_cpu_s", "target_cpu_s")


def _figure(figure: Any, run: Any) -> tuple[str, ...]:
    middle, bar, aim = ("–" if figure[name] is None else f"{figure[name]:,.10g}" for name in ("median", "bar", "aim"))
    small = figure["aim"] is not None and figure["aim"] < figure["bar"]
    sign = "" if figure["bar"] is None else "≤ " if small else "≥ "
    values = ", ".join(f"{value:,.10g}" for value in figure["runs"]) or figure.get("why", "")
    measured = middle if figure["median"] is None else f"{middle} {figure['unit']}"
    return f"`{figure['id']}`", measured, sign + bar, aim, values, figure["against"], run["at"][:10], run["commit"]


def _costs(outcomes: Sequence[Any]) -> Iterable[str]:
    # Files from before amounts were kept have one workload only, of a million changes.
    millions = [(outcome.get("amount") or _A_MILLION) / _A_MILLION for outcome in outcomes]
    for name in _PARTS:
        cost = median(outcome[name] / amount for outcome, amount in zip(outcomes, millions, strict=True))
        yield f"{cost:.2f}" if cost else "–"
    memory_mb = median(outcome["memory_mb"] for outcome in outcomes)
    yield f"{memory_mb:.0f}" if memory_mb else "–"
