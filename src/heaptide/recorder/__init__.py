"""Starting a program under the agent, and talking to the collector that records it.

``resolve`` turns a command line into the program to start, refusing what cannot be recorded;
``record`` runs it to its end. Below that, ``Session`` owns the shared memory and the collector
process, and ``Child`` runs a program like a shell would.
"""

from __future__ import annotations

from heaptide.recorder.child import Child, Ended, end_like
from heaptide.recorder.output import default_output
from heaptide.recorder.record import Outcome, record
from heaptide.recorder.session import Config, Live, Session
from heaptide.recorder.target import Target, resolve
from heaptide.recorder.wrappers import is_shell_alone, parent_of_meant

__all__ = [
    "Child",
    "Config",
    "Ended",
    "Live",
    "Outcome",
    "Session",
    "Target",
    "default_output",
    "end_like",
    "is_shell_alone",
    "parent_of_meant",
    "record",
    "resolve",
]
