"""Records one run: ``heaptide run`` in a process whose environment, directory and modules are ours
until it begins, and the program's from then on.

Its only argument is JSON: ``cwd``, ``env`` (changes), ``words`` (the arguments of heaptide run).
"""

from __future__ import annotations

import json
import os
import sys

from heaptide.cli.main import run

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    os.environ.update(told["env"])
    os.chdir(told["cwd"])
    sys.exit(run(["run", *told["words"]]))
