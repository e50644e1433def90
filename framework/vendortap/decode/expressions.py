"""What the ways have in common that match records against an expression made of their schema (verbatim, xml_rows)."""

from __future__ import annotations

import sys

ONCE = "+" if sys.version_info >= (3, 11, 5) else ""
"""Keeps a repetition from being tried again with less, which is never of use here; wrong before (gh-106052)."""

WORTH = 2
"""The page of a stream from which on making an expression is worth it: many a list has only one."""

CREDIT = 3
"""Pages more that may be tried in vain than were read; then no page of the stream is tried any more."""


class Trial:
    """Counts the pages of a stream that were tried. Threads may disagree by a page, which does no harm."""

    def __init__(self) -> None:
        self._pages = 0
        self._credit = CREDIT

    def is_due(self) -> bool:
        """Count a page, and tell whether it is to be tried."""
        self._pages += 1
        return self._pages >= WORTH and self._credit >= 0

    def note(self, *, was_read: bool) -> None:
        """Take down how a page went that was tried."""
        self._credit += 1 if was_read else -1

    def give_up(self) -> None:
        """Try no page any more."""
        self._credit = -1
