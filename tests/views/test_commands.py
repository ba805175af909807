"""Commands as they stand in titles."""

from __future__ import annotations

import pytest

from heaptide.views.commands import short_command


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["/srv/venv/bin/python", "app.py", "300"], "python app.py 300"),
        (["/usr/bin/python3.11", "/home/u/app/tools/run.py", "/x"], "python3.11 tools/run.py /x"),
        (["/usr/bin/python3", "/home/v/run.py"], "python3 /home/v/run.py"),
        (["/srv/venv/bin/python", "/srv/venv/bin/gunicorn", "-w", "2"], "python gunicorn -w 2"),
        (["/srv/venv/bin/python", "-m", "http.server"], "python -m http.server"),
        (["./leak", "5"], "./leak 5"),
        (["build/leak", "/tmp/x"], "build/leak /tmp/x"),
        (["/home/u/app/leak"], "leak"),
        (["/"], "/"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_way_to_the_interpreter_is_left_out(words: list[str], expected: str) -> None:
    assert short_command(words, "/home/u/app") == expected
