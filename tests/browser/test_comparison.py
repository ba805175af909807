"""Ranges of time on the page of two recordings: each figure is the difference of both in them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from heaptide.profile import BLOCKS, METRICS, Metric, Profile, Selection, compare
from heaptide.profile.metrics import KEPT
from heaptide.recording import Recording
from heaptide.views import units
from heaptide.views.page import build
from tests.browser.conftest import Open, drag, until
from tests.support.building import PROGRAMS
from tests.support.recorded import HEAPTIDE

CHANGES = {
    "survived": KEPT,
    "live_end": METRICS["alive"],
    "live_end_blocks": BLOCKS["alive-blocks"],
    "allocated": METRICS["total"],
    "allocations": METRICS["allocations"],
    "temporary": METRICS["temporary"],
    "short_lived": METRICS["short-lived"],
    "copied": METRICS["copied"],
    "reallocations": BLOCKS["reallocations"],
}
"""Metrics of a range on the page, and what the command line calls them."""


class Compared(NamedTuple):
    old: Path
    new: Path
    page: Path


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """A program whose functions are known by when they allocate, and a faster one with more."""
    folder = tmp_path_factory.mktemp("compared")
    source = (PROGRAMS / "generations.py").read_text()
    old, new = folder / "old.tide", folder / "new.tide"
    for path, phase, blocks in ((old, "0.25", "70"), (new, "0.6", "50")):
        program = folder / path.stem / "generations.py"
        program.parent.mkdir()
        program.write_text(source.replace("= 0.4", f"= {phase}").replace("(50)", f"({blocks})"))
        run = [*HEAPTIDE, "run", "-q", "-o", str(path), sys.executable, str(program)]
        subprocess.run(run, check=True)
    page = folder / "page.html"
    with Recording.open(new) as newer, Recording.open(old) as older:
        page.write_bytes(build(Profile(newer), Profile(older)).html())
    return Compared(old, new, page)


def chart(page: Page, side: str) -> Any:
    return page.get_by_role("application", name=f"Live heap, {side}, from 0")


def covered(page: Page, which: str) -> list[int]:
    """From where to where the spans of a recording are that the range touches."""
    found: list[int] = page.evaluate(
        """which => {
          const { data, state } = window.__heaptide;
          const { start, end } = data.sides[which].bins;
          const rows = Array.from(start.keys()).filter(
            (row) => end[row] > state.range[0] && start[row] < state.range[1],
          );
          return [start[rows[0]], end[rows[rows.length - 1]]];
        }""",
        which,
    )
    return found


def within(page: Page, recording: Recording, which: str) -> Profile:
    """What the command line tells of the range."""
    start, end = (time / 1e9 for time in covered(page, which))
    return Profile(recording, Selection(start=start, end=end))


def by_function(profile: Profile, metric: Metric) -> Counter[str]:
    """The bytes that are charged to each function."""
    at = profile.locations
    found: Counter[str] = Counter()
    sizes = metric.of(profile.figures_for(metric))
    for site, size in zip(profile.context_site.tolist(), sizes.tolist()):
        found[at.texts[at.function[site]]] += size
    return found


def signed(size: int) -> str:
    sign = "" if not size else "\N{MINUS SIGN}" if size < 0 else "+"
    return sign + units.size(abs(size))


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_range_compares_both_in_it(open_page: Open, compared: Compared, side: str) -> None:
    page = open_page(compared.page, viewport={"width": 1280, "height": 900})
    chosen = drag(page, chart(page, side), 0.1, 0.36)
    assert covered(page, "new" if side == "after" else "base") == chosen
    for name in ("before", "after"):  # it is shown on both
        select = chart(page, name).locator(".u-select")
        assert select.evaluate("({ style }) => parseFloat(style.width)") > 20
    with Recording.open(compared.new) as newer, Recording.open(compared.old) as older:
        new, old = within(page, newer, "new"), within(page, older, "base")
        show = page.locator(".metric select")
        for change, metric in CHANGES.items():
            show.select_option(change)
            text = units.count if metric.unit != "bytes" else units.size
            totals = [text(profile.total_of(metric)) for profile in (old, new)]
            expect(page.get_by_role("navigation", name="Frames above")).to_contain_text(
                f"{totals[0]} before, {totals[1]} after"
            )
        show.select_option("allocated")
        page.get_by_role("tab", name="Functions", exact=True).click()
        before, after = (by_function(profile, METRICS["total"]) for profile in (old, new))
        changed = [name for name in ("early", "middle", "churn") if before[name] != after[name]]
        assert changed
        for function in changed:
            named = page.locator(".name", has_text=re.compile(rf"^{function}$"))
            row = page.get_by_role("grid").get_by_role("row").filter(has=named)
            expect(row).to_contain_text(signed(after[function] - before[function]))
    said = page.get_by_role("status").first.inner_text()
    assert re.search(r"before and after, allocated .* and .* \(.*\) in .* allocations, freed", said)
    other, which = ("older", "base") if side == "after" else ("newer", "new")
    apart = max(abs(one - two) for one, two in zip(covered(page, which), chosen))
    if apart == 0 or apart > 10e6:  # ns: else it depends on the rounding
        assert (f"Of the {other} recording it is " in said) == (apart > 0)
    again = open_page(compared.page, fragment="#" + page.url.partition("#")[2])
    assert again.evaluate("window.__heaptide.state") == page.evaluate("window.__heaptide.state")
    assert again.get_by_role("status").first.inner_text() == said


def test_blocks_are_compared_like_bytes(open_page: Open, compared: Compared) -> None:
    page = open_page(compared.page, fragment="#metric=peak-blocks&tab=functions")
    above = page.locator(".metric select")
    assert above.locator("option:checked").inner_text() == "blocks at peak"
    labels = above.locator("optgroup").evaluate_all("all => all.map((one) => one.label)")
    assert labels == ["in bytes", "in counts"]
    with Recording.open(compared.new) as newer, Recording.open(compared.old) as older:
        diff = compare(Profile(older), Profile(newer), "function", BLOCKS["peak-blocks"])
        step = int(diff.change[-1])
        totals = [sum(diff.metric.of(figures).tolist()) for figures in (diff.old, diff.new)]
    assert step < 0
    grid = page.get_by_role("grid")
    expect(grid).to_contain_text(f"\N{MINUS SIGN}{units.count(-step)}")
    above.select_option("alive-blocks")
    assert "metric=alive-blocks" in page.url
    above.select_option("peak-blocks")
    page.get_by_role("tab", name="Flame graph", exact=True).click()
    expect(page.get_by_role("navigation", name="Frames above")).to_contain_text(
        "all blocks at peak: {} before, {} after".format(*map(units.count, totals))
    )


def test_growth_is_of_both_ends(open_page: Open, compared: Compared) -> None:
    page = open_page(compared.page, fragment="#change=grown")
    drag(page, chart(page, "after"), 0.1, 0.45)
    sums = page.evaluate(
        """() => ['new', 'base'].map((which) => {
          const { data, state } = window.__heaptide;
          const { bins, column, exits } = data.sides[which];
          const live = (until) => {
            let sum = 0;
            for (let bin = 0; bin < bins.count && until(bin); bin++) {
              for (let i = bins.first[bin]; i < bins.first[bin + 1]; i++) {
                sum += column('change.bytes_in')[i] - column('change.bytes_out')[i];
              }
              for (let i = exits.first[bin]; i < exits.first[bin + 1]; i++) sum -= exits.bytes[i];
            }
            return sum;
          };
          const end = live((bin) => bins.start[bin] < state.range[1]);
          return end - live((bin) => bins.end[bin] <= state.range[0]);
        })"""
    )
    expect(page.get_by_role("navigation", name="Frames above")).to_contain_text(
        f"all growth in this range: {signed(sums[0] - sums[1])}"
    )


def test_a_range_behind_the_end_of_one(open_page: Open, compared: Compared) -> None:
    """There the older recording has what lived at its end, and changes nothing."""
    page = open_page(compared.page)
    older, newer = page.evaluate(
        """() => ['base', 'new'].map((which) => {
          const { end, count } = window.__heaptide.data.sides[which].bins;
          return end[count - 1];
        })"""
    )
    assert older < 0.9 * newer
    drag(page, chart(page, "before"), older / newer + 0.02, 0.97)
    said = page.get_by_role("status").first
    expect(said).to_contain_text("The older recording had ended at ")
    page.locator(".metric select").select_option("allocated")
    above = page.get_by_role("navigation", name="Frames above")
    expect(above).to_contain_text(re.compile(r"range: 0 B before, [1-9]"))
    page.locator(".metric select").select_option("live_end")
    with Recording.open(compared.old) as recording:
        alive = Profile(recording, Selection(end=older / 1e9))
        total = units.size(alive.total_of(METRICS["alive"]))
    expect(above).to_contain_text(f"range: {total} before, ")


def test_keys_and_rows_choose_a_range(open_page: Open, compared: Compared) -> None:
    page = open_page(compared.page)
    chart(page, "before").focus()
    page.keyboard.press("Shift+ArrowRight")
    until(page, "window.__heaptide.state.range !== null")
    page.keyboard.press("Escape")
    until(page, "window.__heaptide.state.range === null")
    page.get_by_role("button", name="as table").first.click()
    row = page.get_by_role("grid", name="Live heap over time").get_by_role("row").nth(2)
    row.click()
    until(page, "window.__heaptide.state.range !== null")
    assert covered(page, "new") == page.evaluate("window.__heaptide.state.range")


def test_a_renamed_program_is_the_same(open_page: Open, tmp_path: Path) -> None:
    """Its functions are those of before, at the newer one's lines, as ``heaptide diff`` says."""
    paths = []
    for name, above, blocks in (("a.py", 0, 3000), ("b.py", 2, 9000)):
        program = tmp_path / name
        program.write_text(
            "# one line more\n" * above
            + "def cache(n): return {i: bytes(1000) for i in range(n)}\n"
            + "def load(n): return [bytes(900) for i in range(n)]\n"
            + "def main():\n"
            + f"    return cache({blocks}), load({10_000 - blocks})\n"
            + "main()\n"
        )
        paths.append(tmp_path / f"{name}.tide")
        run = [*HEAPTIDE, "run", "-q", "-o", str(paths[-1]), sys.executable, str(program)]
        subprocess.run(run, check=True)
    file = tmp_path / "page.html"
    with Recording.open(paths[1]) as newer, Recording.open(paths[0]) as older:
        new, old = Profile(newer), Profile(older)
        file.write_bytes(build(new, old).html())
        diff = compare(old, new, "function", METRICS["peak"])
        steps = [signed(int(diff.change[row])) for row in (0, -1)]
        grew = new.function_of(int(diff.place[0]))
    page = open_page(file, viewport={"width": 1280, "height": 900})
    said = page.locator(".answer").inner_text()
    assert f"{steps[0]} in {grew.replace('<locals>.', '')}" in said
    assert re.search(r"mostly \S*b\.py:3;", said)
    assert steps[1] in said
    assert "a.py" not in said
