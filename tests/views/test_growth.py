"""What the verdict on leaks is made of."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.profile.test_leaks import SHAPES, recorded

from heaptide.profile import LEAKED, Profile
from heaptide.recording import Recording
from heaptide.views.growth import growth_of


def test_leaks_are_looked_for_however_long_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long-running server's is the one that matters most."""
    monkeypatch.setattr(Recording, "delta_rows", 10**9)
    profile = Profile(recorded(tmp_path / "a.tide", *SHAPES.values()))
    found = growth_of(profile)
    assert found is not None
    assert found.bytes == profile.total_of(LEAKED) > 0
    assert found.place.startswith("f")
