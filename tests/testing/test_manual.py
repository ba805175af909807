"""docs/testing.md names all there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from heaptide.testing import plugin
from heaptide.testing._measures import MEASURES
from heaptide.testing._results import TestResult
from heaptide.testing._settings import Settings

MANUAL = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text()
OPTIONS = [field.name for field in fields(Settings) if field.name != "limits"]


@pytest.mark.parametrize("name", [*MEASURES, *OPTIONS, *plugin._INI])
def test_limits_options_and_settings(name: str) -> None:
    assert f"`{name}`" in MANUAL


@pytest.mark.parametrize("name", [*plugin._OPTIONS, "limit", "all", "update", "json", "top"])
def test_command_line(name: str) -> None:
    assert f"`--memory-{name}" in MANUAL


@pytest.mark.parametrize("field", fields(TestResult), ids=lambda field: field.name)
def test_keys_of_a_result(field: object) -> None:
    assert f"`{field.name}`" in MANUAL  # type: ignore[attr-defined]


def test_the_marker_names_them_too() -> None:
    """In pytest --markers."""
    assert all(f"{name}=" in plugin._MARKER for name in [*MEASURES, *OPTIONS])
