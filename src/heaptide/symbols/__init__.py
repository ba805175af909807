"""From addresses and bytecode offsets to functions, files and lines."""

from __future__ import annotations

from heaptide.symbols._resolve import Progress, Symbols, resolve

__all__ = ["Progress", "Symbols", "resolve"]
