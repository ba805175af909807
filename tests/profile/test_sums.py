"""Sums without a table of all figures are the sums of that table."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.profile.random_recording import random_recording
from tests.recording.make import example

from heaptide.errors import UsageError
from heaptide.profile import EVERY_METRIC, METRICS, Profile, Selection
from heaptide.profile.sums import forget, summed
from heaptide.recording import Recording


@given(st.integers(0, 10**9), st.booleans())
@settings(max_examples=30, deadline=None)
def test_sums_of_all_figures(seed: int, part: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with random_recording(seed, Path(folder) / "a.tide") as recording:
            selection = Selection(processes=(0,)) if part else None
            expected = Profile(recording, selection)
            found = Profile(recording, selection)
            contexts = recording.contexts
            owners = {
                "function": (expected.context_site, len(expected.locations)),
                "thread": (contexts.thread.astype(np.int64), len(recording.threads)),
                "process": (contexts.process.astype(np.int64), len(recording.processes)),
            }
            for by, (owner, count) in owners.items():
                for metric in EVERY_METRIC.values():
                    figures = expected.figures_for(metric)
                    sums = np.zeros((count + 1, figures.shape[1]), np.int64)
                    np.add.at(sums, np.where(owner < 0, count, owner), figures)
                    assert summed(found, metric, by).tolist() == sums.tolist()
                    assert summed(expected, metric, by).tolist() == sums.tolist()
                    forget(found)


def test_of_a_range_of_time(tmp_path: Path) -> None:
    recording = Recording.open(example().write(tmp_path / "a.tide"))
    profile = Profile(recording, Selection(end=1.0))
    assert summed(profile, METRICS["total"], "thread").sum(axis=0).tolist() == (
        profile.totals.tolist()
    )


def test_metrics_that_samples_lack_are_refused(tmp_path: Path) -> None:
    build = example()
    build.meta["config"]["sample_interval"] = 524288
    profile = Profile(Recording.open(build.write(tmp_path / "a.tide")))
    with pytest.raises(UsageError, match="--sample"):
        summed(profile, METRICS["temporary"], "function")


def test_what_is_forgotten_is_read_again(tmp_path: Path) -> None:
    profile = Profile(Recording.open(example().write(tmp_path / "a.tide")))
    before = profile.totals.tolist(), profile.fold("line", METRICS["peak"]).figures.tolist()
    figures = profile.figures
    forget(profile)
    assert profile.figures is not figures
    assert (
        profile.totals.tolist(),
        profile.fold("line", METRICS["peak"]).figures.tolist(),
    ) == before
