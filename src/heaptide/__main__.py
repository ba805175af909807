"""``python -m heaptide`` is the command ``heaptide``."""

from __future__ import annotations

from heaptide.cli.main import main

if __name__ == "__main__":
    main()
