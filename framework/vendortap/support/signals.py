"""The end that a signal asks for."""

from __future__ import annotations

import os
import sys
import threading
from typing import NoReturn

_SOON = 0.01
"""By then the main thread has left what swallowed the exit; if not, it is sent once more."""


class _End(SystemExit):
    """An exit that a signal asks for."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def end(number: int) -> NoReturn:
    """End the program from inside a signal's handler, with 128 and the signal's number.

    Python drops what is raised inside a destructor or a callback of the garbage collector (``sys.unraisablehook``). A
    signal that comes at such a moment would be lost, so it is sent again.
    """
    global _before
    if sys.unraisablehook is not _send_again:
        _before, sys.unraisablehook = sys.unraisablehook, _send_again
    raise _End(number)


_before = sys.unraisablehook


def _send_again(dropped: sys.UnraisableHookArgs) -> None:
    if not isinstance(dropped.exc_value, _End):
        _before(dropped)
        return
    again = threading.Timer(_SOON, os.kill, (os.getpid(), dropped.exc_value.number))
    again.daemon = True
    again.start()
