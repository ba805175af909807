"""What is written is what PyYAML, and Prometheus, read."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from heaptide.errors import UsageError
from heaptide.rules import Settings, Watched, as_yaml, document, matcher

pytestmark = pytest.mark.interpreters

KEYS = st.from_regex(r"[a-z][a-z_]{2,9}", fullmatch=True).filter(
    lambda key: key not in ("yes", "off", "true", "false", "null")
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text('ab" \\\n#:-{}|>', max_size=12),
    st.sampled_from(["", "yes", "No", "null", "~", "5m", "1e3", "0x1", "12:30:00", "a: b", "- a"]),
)
NODES: Any = st.recursive(
    TEXTS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, NODES, max_size=4))
def test_round_trip(node: dict[str, Any]) -> None:
    assert yaml.safe_load(as_yaml(node)) == node


@given(st.lists(st.text(st.characters(categories=["L", "P", "Zs"])), max_size=3))
def test_comments_are_no_content(lines: list[str]) -> None:
    comments = [line for line in lines if line.isprintable()]
    assert yaml.safe_load(as_yaml({"a": "b"}, comments=comments)) == {"a": "b"}


def test_as_people_write_it() -> None:
    """Words and times bare, several lines and quotes as they are."""
    node: dict[str, Any] = {
        "groups": [{"name": "a b", "rules": [{"expr": 'x{a="b"}\n  > 1', "for": "5m"}]}]
    }
    assert as_yaml(node, comments=["why"]) == (
        "# why\n"
        "groups:\n"
        '  - name: "a b"\n'
        "    rules:\n"
        "      - expr: |-\n"
        '          x{a="b"}\n'
        "            > 1\n"
        "        for: 5m\n"
    )


def test_json_is_the_same() -> None:
    """JSON is YAML too: either may be given to Prometheus."""
    node: dict[str, Any] = {"a": ["x", 'y"\n', {"b": "\x7f\u2028\ufeff"}]}
    assert yaml.safe_load(as_yaml(node)) == json.loads(json.dumps(node))


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("web-(", True),
        ("web)", True),
        ("*", True),
        ("a**", True),
        ("[a", True),
        ("[z-a]", True),
        ("a{2,1}", True),
        ("a\\", True),
        ("(?=a)b", True),
        ("(?<!a)b", True),
        (r"(a)\1", True),
        ("(?P<x>a)(?P=x)", True),
        ("web-.*|api", False),
        (r"\pL+\z", False),
        ("[[:alpha:]]", False),
        (r"\Qweb(\E", False),
        (r"[(?=]\(?=x", False),
        ("(?i)web", False),
        ("é{3}", False),
    ],
)
def test_regular_expressions(pattern: str, wrong: bool, tmp_path: Path) -> None:
    """What is let through is let through by Prometheus, and what is not would not be."""
    if wrong:
        with pytest.raises(UsageError):
            matcher(f"pod=~{pattern}")
        label = f"pod=~{json.dumps(pattern)}"
    else:
        label = matcher(f"pod=~{pattern}")
    path = tmp_path / "rules.yml"
    path.write_text(as_yaml(document([Watched("x", matchers=(label,))], Settings())))
    done = subprocess.run(["promtool", "check", "rules", path], capture_output=True)
    assert (done.returncode != 0) == wrong, done.stdout + done.stderr
