"""How a vendor writes the number of a document that was asked for by it: what ``Keyed.same`` is made of."""

from __future__ import annotations


def ignoring_case(key: str, number: str) -> bool:
    """Whether two numbers are the same but for the case of their letters, as GUIDs are (RFC 9562, 4)."""
    return key.casefold() == number.casefold()


def ignoring_marks(key: str, number: str) -> bool:
    """Whether two numbers have the same letters and digits: ``40-MKTRW-11`` and ``40MKTRW11``."""
    return _bare(key) == _bare(number)


def _bare(number: str) -> str:
    return "".join(filter(str.isalnum, number)).casefold()
