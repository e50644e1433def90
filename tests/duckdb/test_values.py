"""Amounts that are too long for any column: refused at once, with a sentence that says why."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from vendortap.duckdb.columns import Column
from vendortap.duckdb.values import InvalidValue, converter

CONVERT = converter(Column("DECIMAL", precision=38, scale=9), strict=True, notice=lambda *_: None)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1e99999999999999999999", "is a number with an exponent beyond all reason"),
        ("1e999999999", "has more than 29 digits before the point"),
        ("1e-999999999", "has more than 9 digits after the point"),
        (Decimal("1e999999999999999999"), "has more than 29 digits before the point"),
        (10**4000, "has more than 29 digits before the point"),
        ("1" * 300_000 + "x", "is a string that is not a decimal number"),
        ("1" * 300_000 + "." + "1" * 300_000 + "e", "is a string that is not a decimal number"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_amount_that_is_too_long_is_refused_at_once(value: Any, why: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidValue, match=why):
        CONVERT(value)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("value", ["0e-999999999", "0e999999999", Decimal("0e-999999999999999999")])
def test_a_zero_is_one_whatever_its_exponent(value: Any) -> None:
    assert CONVERT(value) == "0.000000000"
