"""The end that a signal asks for, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, time, weakref
from vendortap.support import signals

signal.signal(signal.SIGTERM, lambda number, _: signals.end(number))


class Thing:
    pass


def callback(_):
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(1000):
        pass  # the handler runs here, and what it raises is dropped


thing = Thing()
kept = weakref.ref(thing, callback)
{what}
time.sleep(30)
"""


@pytest.mark.parametrize(
    "what", ["del thing", "os.kill(os.getpid(), signal.SIGTERM)"], ids=["in a callback", "anywhere"]
)
def test_a_signal_ends_the_program_wherever_it_comes(what: str) -> None:
    """Python drops what is raised in a callback of the garbage collector: a signal was lost there."""
    program = PROGRAM.replace("{what}", what)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")
