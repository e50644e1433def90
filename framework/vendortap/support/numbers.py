"""How long a number may be: one of ten characters, with an exponent, can take gigabytes to be written out."""

from __future__ import annotations

from decimal import Clamped, Context, Decimal, InvalidOperation, Overflow, Rounded

MOST_DIGITS = 100
"""Digits that a number may have where it is written plainly, those before and behind the point together.

``1e99`` has a hundred, and so has ``1e-99``, as a zero stands before its point.
"""
_BEYOND: int = 10**MOST_DIGITS
_plainly = Context(prec=MOST_DIGITS, Emax=MOST_DIGITS - 1, Emin=0, traps=[Clamped, InvalidOperation, Overflow, Rounded])

LongNumber = (Clamped, InvalidOperation, Overflow, Rounded)
"""What ``hold`` raises."""
hold = _plainly.plus
"""Return a Decimal as it is; raises ``LongNumber`` where it is too long, and takes no time where it is far too long.

What is not finite passes, unless it is a signalling NaN.
"""


def is_short(number: Decimal | int) -> bool:
    """Tell whether a number is finite, and has ``MOST_DIGITS`` digits at the most."""
    if isinstance(number, int):
        return -_BEYOND < number < _BEYOND
    try:
        return hold(number).is_finite()
    except LongNumber:
        return False


def plain(number: Decimal) -> str:
    """Write a number without an exponent.

    Raises:
        ValueError: it is not finite, or too long.
    """
    if not is_short(number):
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return f"{number:f}"
