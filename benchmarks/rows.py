"""The programs that are compared with their unprofiled run, each with the ways to record it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.variants import HEAPTRACK, OBJECTS, TRACEMALLOC, Variant, heaptide, memray


@dataclass(frozen=True)
class Row:
    """A program, and the variants of its runs. Arguments: for runs that are compared, most of
    them of half a second: they are many; for a long one, whose recording is looked at; and for a
    benchmark in a hurry."""

    title: str
    program: str
    arguments: tuple[str, ...]
    long: tuple[str, ...]
    quick: tuple[str, ...]
    variants: tuple[Variant, ...]


ROWS = (
    Row(
        "Python, json loop",
        "py_json.py",
        ("8000",),
        ("25000",),
        ("4000",),
        (
            heaptide(goal=1.5),
            heaptide("--native", "all", goal=2.4),
            memray(OBJECTS),
            memray(OBJECTS, "--native"),
            TRACEMALLOC,
        ),
    ),
    Row(
        "Python, json loop, no objects",
        "py_json.py",
        ("25000",),
        ("25000",),
        ("4000",),
        (heaptide("--no-python-objects", goal=1.06), memray(), memray("--native")),
    ),
    Row(
        "Python, instances and methods",
        "py_instances.py",
        ("800000",),
        ("2500000",),
        ("400000",),
        (heaptide(goal=1.45), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "Python, dict of lists of strings",
        "py_groups.py",
        ("2500000",),
        ("4000000",),
        ("800000",),
        (heaptide(goal=1.3), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "Python, dict of lists of records",
        "py_records.py",
        ("1200000",),
        ("6000000",),
        ("1000000",),
        (heaptide(goal=1.3), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "Python, dict and list churn",
        "py_containers.py",
        ("2200000",),
        ("6000000",),
        ("1000000",),
        (heaptide(goal=1.3), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "NumPy, small and large arrays",
        "py_numpy.py",
        ("100000", "1000000", "460"),
        ("200000", "1000000", "460"),
        ("40000", "1000000", "460"),
        (heaptide(goal=1.05), memray(OBJECTS), memray()),
    ),
    Row(
        "NumPy, mostly small arrays",
        "py_numpy.py",
        ("150000", "8000", "20"),
        ("250000", "8000", "20"),
        ("40000", "8000", "20"),
        (heaptide(goal=1.05), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "Python, recursive fib",
        "py_fib.py",
        ("33",),
        ("35",),
        ("29",),
        (heaptide(goal=1.02), memray(OBJECTS), memray(), TRACEMALLOC),
    ),
    Row(
        "C++, map and string churn",
        "cpp_churn.cpp",
        ("2000000",),
        ("2000000",),
        ("300000",),
        (heaptide(goal=1.8, all_cpu_goal=2.2), HEAPTRACK),
    ),
    Row(
        "Rust, strings, maps, vectors",
        "rust_churn.rs",
        ("80",),
        ("80",),
        ("12",),
        (heaptide(goal=2.0, all_cpu_goal=2.5), HEAPTRACK),
    ),
    Row(
        "C++, 2 threads",
        "mt_churn.cpp",
        ("30000000", "2"),
        ("60000000", "2"),
        ("4000000", "2"),
        (heaptide(goal=2.5), HEAPTRACK),
    ),
    Row(
        "C++, 4 threads",
        "mt_churn.cpp",
        ("15000000", "4"),
        ("30000000", "4"),
        ("2000000", "4"),
        (heaptide(goal=4.0), HEAPTRACK),
    ),
    Row(
        "sampled, json loop, no objects",
        "py_json.py",
        ("25000",),
        ("25000",),
        ("4000",),
        (heaptide("--sample", "512KiB", "--no-python-objects", goal=1.03),),
    ),
    Row(
        "sampled, json loop",
        "py_json.py",
        ("25000",),
        ("25000",),
        ("4000",),
        (heaptide("--sample", "512KiB", goal=1.08),),
    ),
    Row(
        "sampled, C++ churn",
        "cpp_churn.cpp",
        ("2000000",),
        ("2000000",),
        ("300000",),
        (heaptide("--sample", "512KiB", goal=1.03),),
    ),
)
