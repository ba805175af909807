"""Figures as people read them: 1.2 MB (decimal), 1,234,567, 37.0 %, 3.2 s."""

from __future__ import annotations

_DECIMAL = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def _scaled(amount: int, base: int, units: tuple[str, ...]) -> str:
    value, step = float(abs(amount)), 0
    # 999.95 would be rounded up to a four-digit 1000.0 of the unit below.
    while value >= base - 0.05 and step < len(units) - 1:
        value, step = value / base, step + 1
    sign = "-" if amount < 0 else ""
    return f"{sign}{value:.0f} {units[0]}" if step == 0 else f"{sign}{value:.1f} {units[step]}"


def size(amount: int) -> str:
    """Bytes in decimal units: ``1.2 MB`` is 1,200,000 bytes."""
    return _scaled(amount, 1000, _DECIMAL)


def binary_size(amount: int) -> str:
    """Bytes in units of 1024: ``1.1 MiB``."""
    return _scaled(amount, 1024, _BINARY)


def both_sizes(amount: int) -> str:
    """Both, where a limit is compared: people set limits in MB and kernels in MiB."""
    return f"{size(amount)} ({binary_size(amount)})" if abs(amount) >= 1000 else size(amount)


def size_unit(largest: int) -> tuple[int, str]:
    """The unit for an axis that goes up to ``largest`` bytes: (bytes in it, its name)."""
    factor, step = 1, 0
    while largest >= factor * 1000 and step < len(_DECIMAL) - 1:
        factor, step = factor * 1000, step + 1
    return factor, _DECIMAL[step]


def count(number: int) -> str:
    """With separators: ``1,234,567``."""
    return f"{number:,}"


def some(number: int, one: str, many: str) -> str:
    """``1 block``, ``2 blocks``."""
    return f"{number:,} {one if number == 1 else many}"


def percent(part: float) -> str:
    """A part of 1 as ``37.0 %``; what is more than nothing is never shown as 0."""
    if 0 < part < 0.0005:
        return "<0.1 %"
    return f"{part * 100:.1f} %"


def duration(seconds: float) -> str:
    """Three significant digits below a minute; minutes and seconds, hours and minutes above."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds == 0:
        return "0 s"
    for factor, unit in ((1e6, "µs"), (1e3, "ms"), (1, "s")):
        value = seconds * factor
        if value < 999.5 and (unit != "s" or value < 59.95):
            decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{decimals}f} {unit}"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"
