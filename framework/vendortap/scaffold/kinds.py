"""From what was seen in a place to what a schema declares there."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Literal

from vendortap.scaffold import names
from vendortap.scaffold.notes import Notes
from vendortap.scaffold.observations import NATIVE, Leaf, Observations

LeafKind = Literal["string", "number", "integer", "boolean", "date-time", "date"]

MIXED = "left out, as no type of a schema takes all the kinds of values that were seen"
UNKNOWN = "never a value in the samples; taken for text"
UNKNOWN_ENTRIES = "always an empty list in the samples; its entries are taken for text"
AMOUNT = "whole in all samples; an amount or quantity by its name, so a number"
AMOUNT_AS_TEXT = "digits in quotes; an amount or quantity by its name, so a number"
DIGITS = "digits in XML; left as text, which loses nothing. Say 'integer' or 'number' where it counts"
ONE_OR_MANY = "one entry in some samples, a list in others; declared as a list"
SOMETIMES_TEXT = "a number in some samples, text in others; declared as text"
QUOTED = "in quotes in some samples; RecordSelector(any_type=True) says that this is no drift"
REPAIRED = (AMOUNT_AS_TEXT, SOMETIMES_TEXT, QUOTED)
"""What is said of values that the decoders repair, which a vendor that is known for it need not be told each time."""
OWN_DATES = "reads like a date in a form of the vendor's own; give the connector date_format and declare date-time"


def leaf(seen: Observations, name: str, notes: Notes, path: str) -> LeafKind | None:
    """Return the kind of a place without inner structure; ``None`` where no kind takes all that was seen."""
    classes = seen.leaves.keys()
    if not classes:
        notes.say(UNKNOWN, path)
        return "string"
    if classes == {"own-date"}:
        notes.say(OWN_DATES, path)
    if not classes & NATIVE:
        return _of_texts(classes, seen, name, notes, path)
    kind = joined(classes)
    if kind == "integer" and names.is_amount(name):
        notes.say(AMOUNT, path)
        kind = "number"
    if kind == "string":
        notes.say(SOMETIMES_TEXT, path)
    elif kind is not None:
        say_quoted(seen, notes, path)
    return kind


def say_quoted(seen: Observations, notes: Notes, path: str) -> None:
    """Say that values which are no texts have been written as some."""
    if seen.strings and seen.leaves.keys() - NATIVE:
        notes.say(QUOTED, path)


def joined(classes: Iterable[str]) -> LeafKind | None:
    """Return the narrowest kind whose decoders take all of these, be they leaves that were seen or declared kinds."""
    found = set(classes)
    if "boolean" in found:
        return "boolean" if found <= {"boolean", "truth"} else None
    if found <= {"integer", "whole"}:
        return "integer"
    if found <= {"integer", "number", "whole", "decimal"}:
        return "number"
    if found == {"date"}:
        return "date"
    return "date-time" if found <= {"date", "date-time"} else "string"


def _of_texts(classes: Set[Leaf], seen: Observations, name: str, notes: Notes, path: str) -> LeafKind:
    """Texts: in JSON they were meant as such, but for amounts; in XML everything is text."""
    if classes <= {"date", "date-time"}:
        return joined(classes) or "string"
    if classes <= {"whole", "decimal"} and names.is_amount_or_count(name):
        if seen.strings:
            notes.say(AMOUNT_AS_TEXT, path)
        elif "decimal" not in classes:
            notes.say(AMOUNT, path)
        return "number"
    return "string" if seen.strings else _of_markup(classes, notes, path)


def _of_markup(classes: Set[Leaf], notes: Notes, path: str) -> LeafKind:
    if classes == {"truth"}:
        return "boolean"
    if classes == {"whole"}:
        notes.say(DIGITS, path)
        return "string"
    return "number" if classes <= {"whole", "decimal"} else "string"
