"""Whose code a frame is: real names from real programs."""

from __future__ import annotations

import pytest

from heaptide.profile import origin
from heaptide.profile.names import bare, qualified
from heaptide.profile.origin import Origin
from heaptide.recording import Language

OWN, LIBRARY, INTERPRETER, ALLOCATOR = (
    Origin.OWN,
    Origin.LIBRARY,
    Origin.INTERPRETER,
    Origin.ALLOCATOR,
)


@pytest.mark.parametrize(
    ("filename", "function", "expected"),
    [
        ("/home/u/app/main.py", "main", OWN),
        ("app.py", "<module>", OWN),
        ("<string>", "<module>", OWN),
        ("<stdin>", "f", OWN),
        ("<ipython-input-3-abc>", "<module>", OWN),
        ("<string>", "Point.__init__", LIBRARY),
        ("<attrs generated init app.Point>", "__init__", LIBRARY),
        ("<frozen importlib._bootstrap>", "_find_and_load", INTERPRETER),
        ("/home/u/.venv/lib/python3.11/site-packages/flask/app.py", "run", LIBRARY),
        ("/usr/lib/python3/dist-packages/apt/cache.py", "open", LIBRARY),
        ("/usr/lib/python3.11/json/decoder.py", "decode", LIBRARY),
        ("/usr/lib64/python3.12/os.py", "walk", LIBRARY),
        ("/opt/py/lib/python3.13t/json/__init__.py", "loads", LIBRARY),
        ("/home/u/.venv/bin/flask", "<module>", LIBRARY),
        ("/home/u/bin/job.py", "<module>", OWN),
        ("/home/u/library/python/tool.py", "f", OWN),
    ],
)
def test_python(filename: str, function: str, expected: Origin) -> None:
    assert expected == origin.of_python(filename, function)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/u/app/target/release/app", OWN),
        ("/home/u/app/build/libengine.so", OWN),
        ("/usr/bin/redis-server", OWN),  # what was run
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", LIBRARY),
        ("/lib64/ld-linux-x86-64.so.2", LIBRARY),
        ("/nix/store/abc-zlib-1.3/lib/libz.so.1", LIBRARY),
        ("/opt/app/engine.so", OWN),
        ("/opt/intel/mkl/lib/libmkl_rt.so", LIBRARY),
        ("[vdso]", LIBRARY),
        ("", LIBRARY),
        ("/home/u/.venv/lib/python3.11/site-packages/numpy/_core.so", LIBRARY),
        ("/home/u/conda/lib/libmkl_core.so.2", LIBRARY),  # came with the interpreter
        ("/home/u/conda/bin/python3.11", INTERPRETER),
        ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", INTERPRETER),
        ("/usr/bin/python3.13t", INTERPRETER),
        ("/usr/bin/python3-dbg", INTERPRETER),
        ("/x/heaptide/libheaptide.so", ALLOCATOR),
    ],
)
def test_module(path: str, expected: Origin) -> None:
    executables = {"/usr/bin/redis-server", "/home/u/conda/bin/python3.11"}
    assert expected == origin.of_module(path, executables, {"/home/u/conda"})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/u/conda/bin/python3.11", "/home/u/conda"),
        ("/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0", "/usr"),
        ("/usr/bin/pythonic", None),
        ("/home/u/app", None),
    ],
)
def test_interpreter_prefix(path: str, expected: str | None) -> None:
    assert expected == origin.interpreter_prefix(path)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("/home/u/app/src/main.rs", OWN),
        ("src/main.c", OWN),
        ("/usr/src/app/main.c", OWN),  # where images of containers are built
        ("/usr/src/debug/zlib-1.3/inflate.c", LIBRARY),
        ("", OWN),
        ("/rustc/90b35a6239c3d8bdabc530a6a0816f7ff89a0aaf/library/alloc/src/vec/mod.rs", LIBRARY),
        ("/home/u/.rustup/toolchains/x/lib/rustlib/src/rust/library/core/src/ops.rs", LIBRARY),
        (
            "/home/u/.cargo/registry/src/index.crates.io-6f17d22bba15001f/serde-1.0/src/de.rs",
            LIBRARY,
        ),
        ("/usr/include/c++/12/bits/new_allocator.h", LIBRARY),
        ("/opt/gcc-13/include/c++/13.2.0/bits/stl_map.h", LIBRARY),
    ],
)
def test_source(file: str, expected: Origin) -> None:
    assert expected == origin.of_source(file)


C, CPP, RUST, UNKNOWN = Language.C, Language.CPP, Language.RUST, Language.UNKNOWN


@pytest.mark.parametrize(
    ("function", "language", "expected"),
    [
        ("main", C, OWN),
        ("load_items", UNKNOWN, OWN),
        ("0x1234 in app", UNKNOWN, OWN),
        ("malloc", UNKNOWN, ALLOCATOR),
        ("__libc_malloc", C, ALLOCATOR),
        ("malloc@plt", UNKNOWN, ALLOCATOR),
        ("realloc@@GLIBC_2.2.5", UNKNOWN, ALLOCATOR),
        ("sysmalloc.part.0", UNKNOWN, ALLOCATOR),
        ("load.constprop.0.isra.0", UNKNOWN, OWN),
        ("xcalloc", C, ALLOCATOR),
        ("zmalloc", C, ALLOCATOR),
        ("ztrymalloc_usable_internal", C, ALLOCATOR),
        ("g_malloc0", C, ALLOCATOR),
        ("mallocate_things", C, OWN),
        ("operator new(unsigned long)", CPP, ALLOCATOR),
        ("operator new[](unsigned long, std::nothrow_t const&)", CPP, ALLOCATOR),
        ("std::__new_allocator<int>::allocate(unsigned long, void const*)", CPP, ALLOCATOR),
        (
            "std::_Vector_base<int, std::allocator<int> >::_M_allocate(unsigned long)",
            CPP,
            ALLOCATOR,
        ),
        ("void std::vector<int>::_M_realloc_insert<int>(int&&)", CPP, LIBRARY),
        ("std::map<int, std::string>::operator[](int const&)", CPP, LIBRARY),
        ("std::vector<int, std::allocator<int> > app::make<int>(int)", CPP, OWN),
        ("app::Table::operator<<(int)", CPP, OWN),
        ("app::Loader::load(std::string const&)", CPP, OWN),
        ("(anonymous namespace)::helper(int)", CPP, OWN),
        ("main::{lambda(int)#1}::operator()(int) const", CPP, OWN),
        ("core::Engine::run()", CPP, OWN),  # anybody's namespace
        ("core::fmt::format", RUST, LIBRARY),
        ("core::ptr::drop_in_place<app::Node>", RUST, LIBRARY),
        ("<alloc::string::String as core::fmt::Write>::write_str", RUST, LIBRARY),
        ("<T as alloc::string::ToString>::to_string", RUST, LIBRARY),
        ("<[u8]>::to_vec", RUST, LIBRARY),
        ("<str as alloc::borrow::ToOwned>::to_owned", RUST, LIBRARY),
        ("alloc::vec::Vec<T,A>::push", UNKNOWN, LIBRARY),
        ("alloc::raw_vec::RawVec<T,A>::grow_one", RUST, ALLOCATOR),
        ("alloc::alloc::exchange_malloc", RUST, ALLOCATOR),
        ("__rust_alloc", RUST, ALLOCATOR),
        ("__rdl_realloc", RUST, ALLOCATOR),
        ("__rustc[35ae43a9f2f5fd3a]::__rust_alloc", RUST, ALLOCATOR),
        ("std::rt::lang_start::<()>::{closure#0}", RUST, LIBRARY),
        ("app::build_tree", RUST, OWN),
        ("<app::Node as core::clone::Clone>::clone", RUST, OWN),
        ("_start", UNKNOWN, INTERPRETER),
        ("__libc_start_call_main", C, INTERPRETER),
        ("start_thread", C, INTERPRETER),
        ("_PyObject_GC_New", C, ALLOCATOR),
        ("PyMem_Malloc", C, ALLOCATOR),
        ("PyInit_engine", C, OWN),
    ],
)
def test_native(function: str, language: Language, expected: Origin) -> None:
    assert expected == origin.of_native(function, language)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", "main"),
        ("app::load(int, char const*)", "app::load"),
        ("std::map<int, std::string> app::load<int>(int)", "app::load<int>"),
        ("app::(anonymous namespace)::f(int)", "app::(anonymous namespace)::f"),
        ("app::X::operator()(int) const", "app::X::operator()"),
        ("app::operator<<(std::ostream&, app::X const&)", "app::operator<<"),
        ("operator new(unsigned long)", "operator new"),
        ("char* app::name()", "app::name"),
        ("broken<(", "broken<("),
        ("", ""),
    ],
)
def test_qualified(name: str, expected: str) -> None:
    assert expected == qualified(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app::load(int, char const*)", "app::load"),
        ("std::map<int, std::map<int, X<3> > > app::load<int>(int)", "app::load"),
        ("app::(anonymous namespace)::f(int)", "app::{anonymous}::f"),
        ("app::X::operator()(int) const", "app::X::operator()"),
        ("char* app::name()", "app::name"),
        ("", ""),
    ],
)
def test_bare(name: str, expected: str) -> None:
    assert expected == bare(name)
