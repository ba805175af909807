"""Whatever a foreign file holds, reading it ends soon, in a recording or in one line of error."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heaptide.errors import HeaptideError
from heaptide.formats import open_recording
from heaptide.profile import Profile, default_metric, summarize
from tests.formats.files import DATA
from tests.formats.mutate import mutated
from tests.formats.seeds import seeds

SEEDS = seeds()
ROUNDS = 25
SLOW = 20.0  # seconds that no file of this size takes; a second is much


@pytest.mark.parametrize("name", SEEDS)
@given(number=st.integers(0, 1 << 40))
@settings(
    max_examples=ROUNDS,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_mutated_files(tmp_path: Path, name: str, number: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(mutated(SEEDS[name], number))
    began = time.monotonic()
    try:
        with open_recording(file, unpickle=True) as recording:
            profile = Profile(recording)
            summary = summarize(profile)
            assert summary.total_bytes >= 0 or "total_bytes" in recording.lacks
            profile.fold("line", default_metric(recording))
    except HeaptideError as error:
        assert error.message.isprintable() and "\n" not in error.message
    assert time.monotonic() - began < SLOW


@pytest.mark.parametrize("name", SEEDS)
def test_cut_files(tmp_path: Path, name: str) -> None:
    """At any length: what there is, or a line."""
    data = SEEDS[name]
    rng = random.Random(name)
    file = tmp_path / "file"
    for _ in range(20):
        file.write_bytes(data[: rng.randrange(1, len(data))])
        try:
            with open_recording(file, unpickle=True) as recording:
                summarize(Profile(recording))
        except HeaptideError as error:
            assert error.message.isprintable()


_SNAPSHOT = (
    b"desc: a\ncmd: a\ntime_unit: i\nsnapshot=0\ntime=1\nmem_heap_B=5\nmem_heap_extra_B=0\n"
    b"mem_stacks_B=0\nheap_tree=peak\n"
)
_TOO_MUCH = (
    b'{"dhatFileVersion":2,"mode":"heap","verb":"Allocated","cmd":"a","tu":"s","te":1,'
    b'"ftbl":["[root]","a"],"pps":[{"tb":4611686018427387900,"tbk":1,"fs":[1]},'
    b'{"tb":4611686018427387900,"tbk":1,"fs":[1]}]}'
)


@pytest.mark.parametrize(
    "text",
    [
        b"v 10400 3\n" + b"a ffffffffffffffff 0\n+ 0\n+ 0\n",
        b"v 10400 3\nX " + b"a" * (17 << 20),
        b"v 10400 3\ns ffffffff a\n",
        b"heap profile: 1: 1 [1: 1] @ heap_v2/9999999999999999999\n",
        b"heap_v2/524288\n@ " + b"0x1 " * 70_000 + b"\n  t*: 1: 1 [1: 1]\n",
        b"heap_v2/524288\n@ 0x1\n  t*: 4611686018427387903: 1 [0: 0]\n",
        _SNAPSHOT + b"".join(b" " * i + b"n1: 5 0x1: f (a.c:1)\n" for i in range(6000)),
        b'{"dhatFileVersion":2,' + b"[" * 100_000,
        _TOO_MUCH,
        b";" * 200_000 + b" 1\n",
        b"a 9" + b"9" * 5000 + b"\n",
    ],
    ids=range(11),
)
def test_hostile_files(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    began = time.monotonic()
    with pytest.raises(HeaptideError) as caught:
        open_recording(file)
    assert caught.value.message.isprintable() and len(caught.value.message) < 1000
    assert time.monotonic() - began < SLOW


@pytest.mark.parametrize("name", sorted(path.name for path in (DATA / "found").iterdir()))
def test_what_fuzzing_has_found(name: str) -> None:
    try:
        with open_recording(DATA / "found" / name) as recording:
            summarize(Profile(recording))
    except HeaptideError as error:
        assert error.message.isprintable()
