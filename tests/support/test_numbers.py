"""How long a number is, told without writing it out."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.support.numbers import MOST_DIGITS, is_short, plain


@given(
    st.decimals(allow_nan=False, allow_infinity=False)
    | st.builds(Decimal, st.from_regex(r"[0-9]{1,60}E[+-]?[0-9]{1,3}", fullmatch=True))
)
def test_a_number_is_as_long_as_it_is_when_it_is_written_out(number: Decimal) -> None:
    digits = sum(character.isdigit() for character in f"{number:f}")
    zero_with_exponent = not number and number.adjusted() > 0  # which is written as 0
    if not zero_with_exponent:
        assert is_short(number) == (digits <= MOST_DIGITS)
    if is_short(number):
        assert Decimal(plain(number)) == number


@pytest.mark.parametrize(
    "text", ["1e100", "1e-100", "1e3000000000", "0e-3000000000", "1e999999999999999999", "NaN", "sNaN", "-Infinity"]
)
def test_what_is_too_long_or_no_number_is_told_at_once(text: str) -> None:
    began = time.process_time()
    assert not is_short(Decimal(text))
    with pytest.raises(ValueError, match="more than 100 digits"):
        plain(Decimal(text))
    assert time.process_time() - began < 1


def test_integers_have_as_many_digits() -> None:
    assert all(map(is_short, (10**100 - 1, 1 - 10**100, 0)))
    assert not any(map(is_short, (10**100, -(10**100), 10**4000)))
