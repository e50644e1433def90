"""What a member's name tells of its meaning, in the English of invoices: guesses, where nothing better is known."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_AMOUNTS = (
    *("amount", "amt", "total", "price", "cost", "tax", "vat", "fee", "charge", "balance", "discount", "freight"),
    *("postage", "net", "gross", "rate", "percent", "percentage", "msrp", "due", "paid", "owed", "billed", "weight"),
)
_COUNTS = ("quantity", "qty", "count", "pages", "copies")
_REPLY = (
    *("page", "count", "next", "prev", "token", "cursor", "link", "meta", "paging", "paginat", "status", "success"),
    *("message", "error", "warning", "preamble", "more", "offset", "limit", "recordsfound", "header"),
    *("statuscode", "faultcode"),
)
_CHANGES = ("updated", "modified", "changed", "lastupdate", "lastchange", "lastmodified")


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: ``InvoiceNumber`` and ``invoice_number`` have the same two."""
    return [word.lower() for word in _WORD.findall(name)]


def snake(name: str) -> str:
    """Return the name in lower case with underscores; empty where it has no letter or digit of ASCII."""
    return "_".join(words(name))


def is_amount(name: str) -> bool:
    """Whether the name is that of an amount, price, rate or the like, which may have a fraction."""
    return _ends(name, _AMOUNTS)


def is_amount_or_count(name: str) -> bool:
    """Whether the name is that of an amount, or of something that is counted."""
    return _ends(name, (*_AMOUNTS, *_COUNTS))


def _ends(name: str, endings: tuple[str, ...]) -> bool:
    """Compared at the end, as some vendors write all of a name in lower case."""
    return name.lower().rstrip("s").endswith(tuple(ending.rstrip("s") for ending in endings))


def is_of_reply(name: str) -> bool:
    """Whether the name is one of those that stand beside records: paging, status, errors."""
    lower = name.lower()
    return lower in ("total", "totalrecords", "size") or any(word in lower for word in _REPLY)


def is_change(name: str) -> bool:
    """Whether the name is that of the moment when a record changed last."""
    joined = "".join(words(name))
    return any(word in joined for word in _CHANGES)


def key(names: list[str], title: str = "") -> str | None:
    """Return which of the names identifies a record: an invoice's number before another number or id."""
    of_record = f"(invoice|document|{re.escape(singular(snake(title)).replace('_', '') or 'invoice')})?"

    def rank(name: str) -> int:
        joined = "".join(words(name))
        if re.fullmatch(rf"{of_record}(ref)?(number|id|guid|uuid|no|key)", joined):
            return 0
        last = (words(name) or [""])[-1]
        return (1 if "invoice" in joined else 2) if last in ("number", "id", "guid", "uuid", "no", "key") else 9

    found = min(names, key=rank, default=None)
    return found if found is not None and rank(found) < 9 else None


def singular(name: str) -> str:
    """Return the name of one, for the name of several."""
    if name.endswith("ies"):
        return f"{name[:-3]}y"
    return name[:-1] if name.endswith("s") and not name.endswith("ss") else name


def is_one_of(one: str, several: str) -> bool:
    """Whether an element called ``one`` is an entry of a list called ``several``."""
    one, several = one.lower(), several.lower()
    usual = one in ("item", "string", "entry", "element", "row", "record", "int", "decimal")
    return (
        usual
        or several in (f"{one}s", f"arrayof{one}", f"{one}list")
        or singular(several) == one
        or (one != several and one.startswith(singular(several)))
    )
