"""The document of ``heaptide show --json`` (docs/json.md), with all stacks and all of time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from heaptide.views.document import document
from heaptide.views.treeoptions import TreeOptions

if TYPE_CHECKING:
    from ._export import Export


def write(export: Export) -> list[str]:
    profile, metric = export.profile, export.metric
    options = TreeOptions("callees", "line", hide=(), recursion="keep")
    tree = options.tree(profile, metric, 0.0)
    fold = profile.fold("function", metric, inclusive=True)
    made = document(profile, fold, tree=(tree, options), timeline=True)
    with export.path.open("x", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(made, file, indent=1)
        file.write("\n")
    return []
