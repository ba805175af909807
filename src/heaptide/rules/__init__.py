"""Alert rules for Prometheus and a dashboard for Grafana, made of budgets.

``alerts`` says what is watched of a job, ``document`` makes the file of rules of it, and
``dashboard`` the panels. docs/rules.md has every alert.
"""

from ._alerts import Alert, Settings, alerts, not_watched
from ._dashboard import dashboard
from ._document import document, header
from ._promql import Watched, matcher
from ._yaml import as_yaml

__all__ = [
    "Alert",
    "Settings",
    "Watched",
    "alerts",
    "as_yaml",
    "dashboard",
    "document",
    "header",
    "matcher",
    "not_watched",
]
