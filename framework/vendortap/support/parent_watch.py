"""Lets a tap end with the run that started it, even where that run is killed and can tell nobody.

The run holds one end of a pipe, the tap the other. When the run is gone, in whatever way, the system closes its end.
"""

from __future__ import annotations

import os
import signal
import threading

ENVIRONMENT = "VENDORTAP_PARENT_WATCH"
"""The environment variable that tells a tap the number of its descriptor; unset, it lives by itself."""


def follow() -> None:
    """End this process as SIGTERM does, when the other end of the pipe is closed."""
    if number := os.environ.get(ENVIRONMENT):
        threading.Thread(target=_wait, args=(int(number),), name="parent-watch", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 1):  # nothing is ever written
        pass
    os.kill(os.getpid(), signal.SIGTERM)
