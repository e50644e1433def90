"""Standard streams that whoever started the program has closed."""

from __future__ import annotations

import os
import sys

from vendortap.errors import UsageError


def replace_closed() -> None:
    """Have the null device in place of each standard stream that is closed.

    Else the next file that is opened would get the stream's number, and with it what children write to the stream.

    Raises:
        UsageError: it is standard output: what is written there must not be lost.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:  # in this order: a file gets the lowest number that is free
        file = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 - it stays open until the program ends
        os.set_inheritable(file.fileno(), True)
        setattr(sys, name, file)
    if "stdout" in closed:
        raise UsageError(f"standard output is closed; open it, or send it to {os.devnull} if nobody is to read it")


def is_replaced(name: str) -> bool:
    """Whether a standard stream was closed: the real one of a program is called like ``<stdin>``."""
    return getattr(getattr(sys, name), "name", None) == os.devnull
