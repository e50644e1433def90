"""A decoder of ``application/edi-x12`` (RFC 1767): invoices, which are transaction set 810 of ANSI ASC X12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from vendortap.declare import Decoder, Reply, hookimpl

Segment = Sequence[str]
"""Its identifier and its elements."""
ISA_LENGTH = 106
"""The interchange header has a fixed length, and says by its places what separates all else."""


@hookimpl
def register_decoders() -> Mapping[str, Decoder]:
    """Bring the format."""
    return {"application/edi-x12": invoices}


def invoices(reply: Reply) -> dict[str, Any]:
    """Return ``{"invoices": [...]}``: of each its number, date, currency, total and lines.

    Raises:
        ValueError: not an interchange of X12, or cut short.
    """
    found: list[dict[str, Any]] = []
    for segment in segments(reply.body.decode("ascii")):
        match segment:
            case ["ST", "810", *_]:
                found.append({"lines": []})
            case ["BIG", day, number, *_]:
                found[-1] |= {"number": number, "date": f"{day[:4]}-{day[4:6]}-{day[6:]}"}
            case ["CUR", _, currency, *_]:
                found[-1]["currency"] = currency
            case ["IT1", line, quantity, _, price, _, _, sku, *_]:
                amounts = {"quantity": amount(quantity), "price": amount(price)}
                found[-1]["lines"].append({"line": line, "sku": sku, **amounts})
            case ["TDS", total, *_]:
                found[-1]["total"] = amount(total).scaleb(-2)  # two decimals are implied (data type N2)
    return {"invoices": found}


def segments(text: str) -> Iterator[Segment]:
    """Yield the segments of an interchange, which ends with IEA.

    Raises:
        ValueError: it does not begin or end as an interchange does.
    """
    if not text.startswith("ISA") or len(text) < ISA_LENGTH:
        raise ValueError("it does not begin with an interchange header")
    element, end = text[3], text[ISA_LENGTH - 1]
    *whole, rest = text.split(end)
    if rest.strip() or not whole[-1].strip().startswith("IEA"):
        raise ValueError("the interchange has no trailer")
    for segment in whole:
        yield segment.strip().split(element)


def amount(text: str) -> Decimal:
    """Read a number.

    Raises:
        ValueError: it is none; its text is not shown.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("an amount is no number") from None
