"""Functions and files where room is short."""

from __future__ import annotations

import pytest

from heaptide.recording import Language
from heaptide.views.places import short_function, short_path, short_place


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/u/app/api/views.py", "api/views.py"),
        ("/home/u/other.py", "/home/u/other.py"),
        ("relative.c", "relative.c"),
        ("<string>", "<string>"),
        ("/home/u/app/.venv/lib/python3.11/site-packages/flask/app.py", "flask/app.py"),
        ("/usr/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/rustc/90b35a623/library/alloc/src/vec/mod.rs", "library/alloc/src/vec/mod.rs"),
        (
            "/home/u/.cargo/registry/src/index.crates.io-6f/serde-1.0/src/de.rs",
            "serde-1.0/src/de.rs",
        ),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert short_path(path, "/home/u/app") == expected


@pytest.mark.parametrize(
    ("name", "language", "width", "expected"),
    [
        ("app::load(int)", Language.CPP, 20, "app::load"),
        ("app::load(int, char const*)", Language.CPP, 20, "app::load"),
        ("app::Map<int, std::string>::at(int)", Language.CPP, 32, "app::Map<int, std::string>::at"),
        ("app::Map<int, std::string>::at(int)", Language.CPP, 20, "app::Map<>::at"),
        (
            "<app::Tree<u8> as Walk>::go::<u8>",
            Language.RUST,
            9,
            "<app::Tree<u8> as Walk>::go::<>",
        ),
        ("Service.handler.<locals>.f", Language.PYTHON, 9, "Service.handler.f"),
        ("app::operator<<(std::ostream&, app::X<int> const&)", Language.CPP, 20, "app::operator<<"),
        ("strange<<>", Language.CPP, 4, "strange<<>"),
    ],
)
def test_functions(name: str, language: Language, width: int, expected: str) -> None:
    short = short_function(name, language, width)
    assert short == expected


@pytest.mark.parametrize(
    ("where", "width", "expected"),
    [
        ("<frozen importlib._bootstrap>:241", 33, "<frozen importlib._bootstrap>:241"),
        ("<frozen importlib._bootstrap>:241", 32, "importlib._bootstrap:241"),
        ("<string>:1", 5, "<string>:1"),
        ("json/decoder.py:353", 5, "json/decoder.py:353"),
    ],
)
def test_places(where: str, width: int, expected: str) -> None:
    assert short_place(where, width) == expected
