"""Files and functions of two builds, two checkouts, two environments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.profile.match import function_key, match_paths


@pytest.mark.parametrize(
    "one, other",
    [
        ("app::load::h0123456789abcdef", "app::load::hfedcba9876543210"),
        ("grow.constprop.0", "grow.part.1.isra.0"),
        ("grow.cold", "grow"),
        ("work.llvm.12345", "work"),
        ("0x1234 in libx.so", "0x99 in libx.so"),
    ],
)
def test_two_builds_of_one_function(one: str, other: str) -> None:
    assert function_key(one) == function_key(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ("app::load::habc", "app::load"),  # a function called habc
        ("a.b", "a.c"),
        ("0x1 in libx.so", "0x1 in liby.so"),
        ("Outer.<locals>.<lambda>", "Outer.<lambda>"),
        ("f.cold.x", "f"),
    ],
)
def test_two_functions(one: str, other: str) -> None:
    assert function_key(one) != function_key(other)


def test_what_has_no_name_is_one_for_each_object() -> None:
    assert function_key("0x12 in libx.so") == "[no symbols] libx.so"


def test_equal_paths_match_first() -> None:
    """A better end elsewhere does not take a file away from itself."""
    old = ["/a/app/x.py", "/b/app/x.py"]
    assert match_paths(old, ["/b/app/x.py"]) == {"/b/app/x.py": "/b/app/x.py"}


@pytest.mark.parametrize(
    "old, new",
    [
        ("/ci/build1/app/models/user.py", "/home/u/app/models/user.py"),
        (
            "/v1/lib/python3.11/site-packages/flask/app.py",
            "/v2/lib/python3.12/site-packages/flask/app.py",
        ),
        ("/usr/lib/python3.11/json/decoder.py", "/opt/lib/python3.13/json/decoder.py"),
        ("/one/main.cpp", "/two/main.cpp"),
    ],
)
def test_the_same_file_elsewhere(old: str, new: str) -> None:
    assert match_paths([old, "/x/unrelated.py"], [new, "/y/other.py"]) == {old: new}


def test_namesakes_are_told_apart_by_their_directories() -> None:
    old = ["/a/app/__init__.py", "/a/app/api/__init__.py", "/a/lib/__init__.py"]
    new = ["/b/app/api/__init__.py", "/b/app/__init__.py", "/b/tools/__init__.py"]
    assert match_paths(old, new) == {
        "/a/app/__init__.py": "/b/app/__init__.py",
        "/a/app/api/__init__.py": "/b/app/api/__init__.py",
    }


def test_what_could_be_either_is_neither() -> None:
    assert match_paths(["/a/app/x.py"], ["/b/app/x.py", "/c/app/x.py"]) == {}
    assert match_paths(["/b/app/x.py", "/c/app/x.py"], ["/a/app/x.py"]) == {}


def test_names_that_are_no_paths_match_as_they_are() -> None:
    old = ["<string>", "<frozen os>", "[vdso]", ""]
    new = ["<string>", "x/<frozen os>", "x/[vdso]", "x/"]
    assert match_paths(old, new) == {"<string>": "<string>"}


def test_environments_with_hundreds_of_namesakes() -> None:
    old = [f"/v1/lib/python3.11/site-packages/p{i}/__init__.py" for i in range(700)]
    new = [f"/v2/lib/python3.12/site-packages/p{i}/__init__.py" for i in range(700)]
    assert match_paths(old, new) == dict(zip(old, new))


_PATHS = st.lists(
    st.lists(st.sampled_from(["a", "b", "app"]), max_size=4).map(
        lambda p: "/" + "/".join([*p, "x.py"])
    ),
    max_size=8,
)


@given(_PATHS, _PATHS)
def test_no_two_files_become_one(old: list[str], new: list[str]) -> None:
    found = match_paths(old, new)
    assert set(found) <= set(old)
    assert set(found.values()) <= set(new)
    assert len(set(found.values())) == len(found)
    assert all(found[path] == path for path in set(old) & set(new))
    back = match_paths(new, old)
    assert {b: a for a, b in found.items()} == back
