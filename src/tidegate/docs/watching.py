"""Pages of what is measured and alerted on, and the files that Prometheus and Grafana take."""

from __future__ import annotations

from tidegate.docs.page import page, table
from tidegate.model.alert import ALARMS, DEFAULT_RULES, UNITS, Alarm, Reads
from tidegate.model.diagnosis import DIAGNOSES
from tidegate.model.lifecycle import STATES
from tidegate.watch import monitoring
from tidegate.watch.messenger import SERVICES
from tidegate.watch.metrics import METRICS, From, Of

_OF = {
    Of.TASK: ("Of a task", "One value for each run of a task; history is kept of these."),
    Of.TABLE: (
        "Of a table",
        "One value for each source table in a run: `tidegate tables`, `GET /tasks/{task}/tables`.",
    ),
    Of.GROUP: ("Of a resource group", "Of what all its tasks hold together."),
}


def metrics() -> str:
    """Every metric."""
    lines = [
        "# Metrics",
        "",
        "What is measured of tasks, tables and resource groups. `tidegate metrics TASK` and the API at",
        "`/tasks/{task}/metrics` show them, now and as history in steps of 10 s, 1 min and 1 h; how long each is kept",
        "is one of the [settings](settings.md). `GET /metrics` gives those of tasks and resource groups to Prometheus,",
        "by a token with `server.metrics`, or the admin token; a dashboard for Grafana and alert rules are in",
        "[docs/monitoring](../monitoring/README.md).",
        "",
        "A change has three moments: the source committed it, it was read from the source's log, the target held it.",
        "Read delay is from the first to the second, transmission delay from the second to the third, business delay",
        "from the first to the third. A source at rest has no delay. A counter only grows within a run, also when the",
        "worker is replaced, and begins with 0 in the next. Many points of history become one as *rolls up* says.",
    ]
    for of in Of:
        title, about = _OF[of]
        lines += ["", f"## {title}", "", about, ""]
        head = ("name", "unit", "kind", "rolls up", *(() if of is Of.TABLE else ("Prometheus",)), "what it is")
        lines += table(
            head,
            (
                (
                    f"`{one.name}`",
                    one.unit.value,
                    one.kind.value,
                    f"rate of `{one.rate_of}`" if one.source is From.RATE else one.roll.value,
                    *(() if of is Of.TABLE else (f"`{one.prometheus}`",)),
                    one.help,
                )
                for one in METRICS
                if one.of is of
            ),
        )
    return page(lines)


def alerts() -> str:
    """What can be alerted on, the rules there are from the start, and the services messages can be sent by."""
    lines = [
        "# Alerts",
        "",
        "What a rule may have a condition on. *Looks back*: a figure must have been beyond its threshold for the whole",
        "of the window, a speed is the average over it, and events are counted within it. Outside of *while* an alert",
        "does not hold. A figure that is not known neither fires an alert nor ends one. How rules are written:",
        "[operating](../guide/operating.md#alerts).",
        "",
    ]
    rows = [
        (
            f"`{alarm.name}`",
            alarm.form.value,
            ", ".join(f"`{unit}`" for unit in dict.fromkeys((alarm.unit, *UNITS[alarm.unit])) if unit),
            _looks_back(alarm),
            ", ".join(dict.fromkeys(STATES[state].status for state in alarm.within)),
            alarm.says,
        )
        for alarm in ALARMS
    ]
    lines += table(("metric", "compared", "units", "looks back", "while", "what it is"), rows)
    lines += ["", "## Rules of the project `default` from the start", ""]
    standing = [
        (f"`{rule.alert_rule}`", rule.severity.value, "; ".join(map(str, rule.conditions)), rule.description)
        for rule in DEFAULT_RULES
    ]
    lines += table(("rule", "severity", "fires when any of these", "why"), standing)
    lines += ["", "## Services that a channel of kind `apprise` sends by", ""]
    lines += table(("address begins with", "service"), ((f"`{name}://`", SERVICES[name]) for name in SERVICES))
    return page(lines)


def _looks_back(alarm: Alarm) -> str:
    if alarm.reads is Reads.STATE:
        return ""
    default = f"`{alarm.window_s:g}s`" if alarm.window_s else "no"
    return f"{default}, always" if alarm.fixed else f"{default}, or as the rule says"


def monitoring_guide() -> str:
    """How to watch Tidegate with them."""
    return page(monitoring.readme())


def log_diagnoses() -> str:
    """The ready-made searches of the log."""
    lines = [
        "# Quick diagnosis",
        "",
        "Ready-made keywords for what usually goes wrong: `tidegate logs TASK --diagnose NAME`, or `diagnosis=NAME` at",
        "`/api/v1/tasks/TASK/logs`. With keywords of your own, both must fit. What lines are, and how keywords are",
        "written: [logs](../guide/logs.md).",
        "",
    ]
    rows = [(f"`{one.name}`", one.says, f"`{one.search}`") for one in DIAGNOSES]
    return page(lines + table(("name", "what it is about", "keywords"), rows))
