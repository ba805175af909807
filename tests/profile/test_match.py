"""Files and functions of two builds, two checkouts, two environments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.profile.match import function_key, match_paths, match_renamed, python_key


@pytest.mark.parametrize(
    "one, other",
    [
        ("app::load::h0123456789abcdef", "app::load::hfedcba9876543210"),
        ("grow.constprop.0", "grow.part.1.isra.0"),
        ("grow.cold", "grow"),
        ("work.llvm.12345", "work"),
        ("0x1234 in libx.so", "0x99 in libx.so"),
        ("app::Index::add", "<app::Index>::add"),
        ("app::Index<T>::add::{{closure}}", "<app::Index<T>>::add::{closure#2}"),
        ("grow(int) [clone .constprop.0]", "grow(int)"),
        ("main::$_0::operator()(int) const", "main::$_3::operator()(int) const"),
        ("main::{lambda(int)#1}::operator()(int)", "main::{lambda(int)#2}::operator()(int)"),
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
        ("<app::Index as core::fmt::Debug>::fmt", "app::Index as core::fmt::Debug::fmt"),
        ("<[u8]>::to_vec", "[u8]::to_vec"),
        ("<&str as A>::f", "<&str as B>::f"),
        ("main::{lambda(int)#1}::operator()(int)", "main::{lambda(char)#1}::operator()(char)"),
        ("<lambda>", "lambda"),
        ("<", ""),
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


@pytest.mark.parametrize(
    "old, new",
    [
        ("/usr/lib/libfoo.so.1.2.3", "/usr/lib/libfoo.so.1.3.0"),
        ("/a/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so", "/b/_json.cpython-312-aarch64.so"),
        ("/usr/lib/libpython3.11.so.1.0", "/opt/lib/libpython3.13.so.1.0"),
        ("/usr/bin/python3.11", "/usr/bin/python3.12"),
        ("/usr/include/c++/12/bits/new.h", "/opt/gcc/include/c++/13/bits/new.h"),
        ("/rustc/0123abc/library/core/src/a.rs", "/rustc/fedc987/library/core/src/a.rs"),
        (
            "/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/serde-1.0.1/src/de.rs",
            "/home/u/.cargo/registry/src/github.com-1ecc6299db9ec823/serde-1.0.190/src/de.rs",
        ),
        ("<frozen importlib.util>", "/usr/lib/python3.9/importlib/util.py"),
        ("/usr/lib/python3/dist-packages/attr/_make.py", "/v/site-packages/attr/_make.py"),
        ("app.py", "/srv/app.py"),
    ],
)
def test_versions_and_places_do_not_matter(old: str, new: str) -> None:
    assert match_paths([old, "/x/unrelated.py"], [new, "/y/other.py"]) == {old: new}
    assert match_paths([new], [old]) == {new: old}


def test_the_way_of_most_files_is_that_of_all() -> None:
    """A copy elsewhere has as long an end in common, but its neighbours are not there."""
    old = ["/ci/1/app/a.py", "/ci/1/app/b.py", "/ci/1/app/c.py"]
    new = ["/home/u/app/a.py", "/home/u/app/b.py", "/home/u/app/c.py", "/home/u/vendor/app/a.py"]
    assert match_paths(old, new) == dict(zip(old, new))


def test_two_environments_in_one_recording() -> None:
    old = ["/v1/lib/python3.11/site-packages/p/x.py", "/v2/lib/python3.11/site-packages/p/x.py"]
    assert match_paths(old, old[1:]) == {old[1]: old[1]}
    assert match_paths(old, ["/v3/lib/python3.12/site-packages/p/x.py"]) == {}


def test_methods_named_like_suffixes_are_python_functions() -> None:
    for name in ("Tensor.clone", "Fridge.cold", "Score.part"):
        assert python_key(name, bare=False, inlined=False) == name


def test_renamed_files() -> None:
    old = {"/a/v1.py": {"<module>", "load", "save"}, "/a/util.py": {"<module>", "help"}}
    new = {"/a/v2.py": {"<module>", "load", "save", "more"}, "/a/tool.py": {"<module>", "x"}}
    assert match_renamed(old, new) == {"/a/v1.py": "/a/v2.py"}
    assert match_renamed({"/a/v1.cpp": {"load"}}, {"/a/v2.py": {"load"}}) == {}
    # What every file has tells nothing, unless there is only one.
    assert match_renamed({"/a/x.py": {"<module>"}}, {"/a/y.py": {"<module>"}}) == {
        "/a/x.py": "/a/y.py"
    }
    both = {"/a/x.py": {"<module>"}, "/a/z.py": {"<module>"}}
    assert match_renamed(both, {"/a/y.py": {"<module>"}}) == {}


def test_what_fits_two_files_fits_none() -> None:
    twice = {"/a/p.py": {"f", "g"}, "/a/q.py": {"f", "g"}}
    assert match_renamed({"/a/x.py": {"f", "g"}}, twice) == {}


def test_thousands_of_files_that_look_alike() -> None:
    """Each could be any other: no answer, and no hours to find that out."""
    old = {f"/old/{i}.py": {"f", "g"} for i in range(3000)}
    new = {f"/new/{i}.py": {"f", "g"} for i in range(3000, 6000)}
    assert match_renamed(old, new) == {}
    ours, theirs = ([f"/{side}/{i % 60}/{i}/x.py" for i in range(3000)] for side in ("a", "b"))
    assert len(set(match_paths(ours, theirs).values())) <= 3000


@given(st.text(st.characters(exclude_characters=".[{#$<:"), max_size=80))
def test_plain_names_are_their_own_keys(name: str) -> None:
    assert function_key(f"x{name}") == f"x{name}"


_SLOW = (
    "f" + ".cold" * 20_000 + "x",
    "f" + " [clone .a]" * 9_000 + "]",
    "<" * 50_000,
    "{{" * 50_000,
    "[0123456789abcdef]" * 5_000,
    "{lambda(" * 9_000,
    "::h" * 30_000,
)


@pytest.mark.parametrize("name", _SLOW, ids=lambda name: name[-8:])
def test_names_made_to_be_slow_are_not(name: str) -> None:
    """A second for one would be hours for a recording: none takes a hundredth of that."""
    assert isinstance(function_key(name), str)
    path = "/" + name.replace("/", "") + "/x.cpython-" + "1" * 50_000 + ".s"
    assert match_paths([path], [path + "o"]) == {}
