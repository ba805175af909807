"""The file of rules: a group a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from heaptide._printable import printable

from ._alerts import Alert, Settings, alerts, not_watched
from ._promql import Watched, duration
from ._yaml import Node


def document(
    jobs: Sequence[Watched], settings: Settings, *, runbook: str | None = None
) -> Mapping[str, Node]:
    """As Prometheus reads it. ``runbook``: an address of docs/rules.md, or of a page like it."""
    groups: list[Node] = [
        {
            "name": f"heaptide-{watched.job}" if watched.job else "heaptide",
            "rules": [_rule(alert, watched, runbook) for alert in alerts(watched, settings)],
        }
        for watched in jobs
    ]
    return {"groups": groups}


def _rule(alert: Alert, watched: Watched, runbook: str | None) -> Node:
    annotations = {"summary": alert.summary, "description": alert.description}
    if runbook:
        annotations["runbook_url"] = _literal(f"{runbook}#{alert.name.lower()}")
    rule: dict[str, Node] = {"alert": alert.name, "expr": alert.expr}
    if alert.hold:
        rule["for"] = duration(alert.hold)
    # Without its job, which the figures have as well, the rule would be another's to promtool.
    alone = watched.job and not watched.job.startswith("~")  # a regular expression
    job = {"job": _literal(watched.job)} if alone else {}
    return {**rule, "labels": {"severity": alert.severity, **job}, "annotations": annotations}


def _literal(text: str) -> str:
    """In a template, where two braces begin something."""
    return text.replace("{{", '{{ "{{" }}')


def header(jobs: Sequence[Watched]) -> list[str]:
    """What to know before one trusts the rules, a line each: for comments."""
    lines = ["Rules of alerts on memory for Prometheus, written by heaptide rules."]
    for watched in jobs:
        if not watched.budgets:
            whose = f" for {watched.job}" if watched.job else ""
            lines.append(f"There are no budgets{whose}: see docs/budgets.md, or say --budget.")
        missing = not_watched(watched)
        if missing:
            of = f" of {watched.job}" if watched.job else ""
            lines.append(f"Only a recording tells{of}, see heaptide check: {', '.join(missing)}")
    return [printable(line) for line in lines]
