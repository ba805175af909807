"""Names in symbol tables become the names in the source."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heaptide.recording import Language
from heaptide.symbols import _demangle, _rust
from heaptide.symbols._demangle import demangle
from tests.support.building import Builder

CORE = "CsgEmfK2I1SDS_4core"
RUST = [
    ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
    ("_RNvC6_123foo3bar", "123foo::bar"),
    ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
    ("_RINvCs1_1c1fmE", "c::f::<u32>"),
    ("_RNCNvC1c4main0", "c::main::{closure#0}"),
    ("_RNCNvC1c4mains_0", "c::main::{closure#1}"),
    ("_RNSNvC1c4main6vtable", "c::main::{shim:vtable#0}"),
    ("_RNvMs_C1cNtB4_5Shelf4make", "<c::Shelf>::make"),
    ("_RNvXC1cNtB2_5ShelfNtB2_5Trait4make", "<c::Shelf as c::Trait>::make"),
    ("_RNvYNtC1c5ShelfNtB4_5Trait4make", "<c::Shelf as c::Trait>::make"),
    ("_RINvC1c1fAhj7_E", "c::f::<[u8; 7]>"),
    ("_RINvC1c1fKj7_Kb1_Kc41_Kan80_E", "c::f::<7, true, 'A', -128>"),
    ("_RINvC1c1fTmeEE", "c::f::<(u32, str)>"),
    ("_RINvC1c1fTmEuzE", "c::f::<(u32,), (), !>"),
    ("_RINvC1c1fRmQePhOtE", "c::f::<&u32, &mut str, *const u8, *mut u16>"),
    ("_RINvC1c1fFmEeE", "c::f::<fn(u32) -> str>"),
    ("_RINvC1c1fFUKCmEuE", 'c::f::<unsafe extern "C" fn(u32)>'),
    ("_RINvC1c1fDNtC1c5TraitEL_E", "c::f::<dyn c::Trait>"),
    ("_RINvC1c1fDG_INtC1c2FnTRL0_mEEp6OutputbEL_E",
     "c::f::<dyn for<'a> c::Fn<(&'a u32,), Output = bool>>"),
    ("_RINvC1c1fDNtC1c1APpEL_E", None),
    ("_RNvC1cu8gdel_5qa", "c::gödel"),
    ("_RNvC1c3foo.llvm.123456", "c::foo"),
    ("_RNvC1c3foo.cold", "c::foo"),
    ("_RINvC1c1fKRe616263_E", 'c::f::<"abc">'),
    ("_RINvC1c1fKVNtC1c1SS1aj5_1bb0_EE", "c::f::<c::S { a: 5, b: false }>"),
    ("_ZN3foo3bar17h05af221e174051e9E", "foo::bar"),
    (
        "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h05af221e174051e9E",
        "<Test + 'static as foo::Bar<Test>>::bar",
    ),
    (
        "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE.llvm.99",
        "core::ptr::drop_in_place<alloc::string::String>",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("symbol", "expected"), RUST)
def test_rust(symbol: str, expected: str | None) -> None:
    name, language = demangle(symbol)
    assert name == (expected or symbol)
    assert language == Language.RUST


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("_ZN2ns5outerEi", "ns::outer(int)"),
        ("_ZN2ns5outerEi.cold", "ns::outer(int)"),
        ("_ZN2ns5outerEi.constprop.0.isra.1", "ns::outer(int)"),
        ("_Znwm", "operator new(unsigned long)"),
        (
            "_ZNSt6vectorIiSaIiEE9push_backEOi",
            "std::vector<int, std::allocator<int> >::push_back(int&&)",
        ),
        ("_ZZN2ns1fEvENKUlvE_clEv", "ns::f()::{lambda()#1}::operator()() const"),
        ("_Znot_a_name", "_Znot_a_name"),
        ("_ZN3foo3bar17hE", "_ZN3foo3bar17hE"),
    ],
)
def test_cxx(symbol: str, expected: str) -> None:
    assert demangle(symbol) == (expected, Language.CPP)


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("main", "main"),
        ("main.cold", "main"),
        ("malloc@@GLIBC_2.2.5", "malloc"),
        ("_PyEval_EvalFrameDefault.cold", "_PyEval_EvalFrameDefault"),
        ("_R", "_R"),
        ("_Rust_like", "_Rust_like"),
        ("a.b", "a.b"),
        ("", ""),
    ],
)
def test_not_mangled(symbol: str, expected: str) -> None:
    assert demangle(symbol)[0] == expected


def test_without_a_cxx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without libstdc++ shows what it has."""
    demangle.cache_clear()
    monkeypatch.setattr(_demangle, "_demangler", lambda: None)
    assert demangle("_ZN2ns5outerEi") == ("_ZN2ns5outerEi", Language.CPP)
    demangle.cache_clear()


@pytest.mark.parametrize(
    ("dwarf", "symbol", "file", "expected"),
    [
        ("c", Language.UNKNOWN, "a.cpp", Language.C),
        ("cpp", Language.UNKNOWN, "", Language.CPP),
        ("rust", Language.UNKNOWN, "", Language.RUST),
        ("swift", Language.UNKNOWN, "", Language.OTHER),
        ("unknown", Language.RUST, "a.c", Language.RUST),
        ("unknown", Language.UNKNOWN, "/x/a.c", Language.C),
        ("unknown", Language.UNKNOWN, "/x/a.HPP", Language.CPP),
        ("unknown", Language.UNKNOWN, "", Language.UNKNOWN),
    ],
)
def test_language(dwarf: str, symbol: Language, file: str, expected: Language) -> None:
    assert _demangle.language(dwarf, symbol, file) == expected


@given(st.text("_RNvICsKBMXYTASL0123abcehijmpuE", max_size=60).map(lambda text: "_R" + text))
def test_any_rust_name(symbol: str) -> None:
    """No name takes for ever, grows without end, or raises."""
    name = _rust.demangle(symbol)
    assert name is None or len(name) <= 1 << 16


def test_name_that_explodes() -> None:
    """Back references that double the name at each step are given up in time."""
    assert _rust.demangle(_doubling(2)) == "c::f::<(u32, u32), ((u32, u32), (u32, u32))>"
    assert _rust.demangle(_doubling(40)) is None


def _doubling(steps: int) -> str:
    """A function of types, each a pair of the one before it."""
    name, part = "INvC1c1f", "TmmE"
    for _ in range(steps):
        reference = f"B{_base62(len(name))}"
        name, part = name + part, f"T{reference}{reference}E"
    return f"_R{name}E"


def _base62(number: int) -> str:
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if number == 0:
        return "_"
    number -= 1
    text = digits[number % 62]
    while number >= 62:
        number //= 62
        text = digits[number % 62] + text
    return text + "_"


def test_beside_another_allocator(build: Builder) -> None:
    """Names that the C++ runtime has allocated go back to the allocator they come from."""
    allocator = build("own_allocator.c", "-O1", "-fPIC", "-shared", "-fno-builtin")
    program = (
        "from heaptide.symbols._demangle import demangle\n"
        "for number in range(10, 1000): demangle(f'_Z1f{number}' + 'x' * number + 'v')\n"
        "print(demangle('_Z1fv')[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "LD_PRELOAD": str(allocator),
        },
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "f()\n"), done.stderr
