"""Totals: exact whatever the digits, by currency, of what has an amount."""

from __future__ import annotations

from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare.model import Amount
from vendortap.sync.totals import Totals

AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6)
RECORDS = st.lists(st.tuples(st.sampled_from(["USD", "EUR", None]), st.none() | AMOUNTS))


@given(RECORDS)
def test_totals_are_exact_and_by_currency(rows: list[tuple[str | None, Decimal | None]]) -> None:
    totals = Totals(Amount("total", "currency"))
    totals.add({"currency": currency, "total": amount} for currency, amount in rows)
    wanted = {}
    with localcontext(Context(prec=200)):
        for currency in {currency for currency, amount in rows if amount is not None}:
            of = [amount for of, amount in rows if of == currency and amount is not None]
            wanted[currency] = (len(of), sum(of, Decimal(0)))
    told = totals.told()
    assert {entry["currency"]: (entry["records"], Decimal(entry["amount"])) for entry in told} == wanted
    assert not any("E" in entry["amount"] for entry in told)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"sums": {"due": Decimal("1.10")}, "lines": [{"currency": "USD"}, {"currency": "EUR"}]}, [("USD", "1.10")]),
        ({"sums": {"due": Decimal("1.10")}, "lines": []}, [(None, "1.10")]),
        ({"sums": {"due": Decimal("1.10")}, "lines": None}, [(None, "1.10")]),
        ({"sums": {"due": "1.10"}}, [(None, "1.10")]),  # an amount as text, the currency deselected
        ({"sums": {"due": 3}}, [(None, "3")]),
        ({"sums": {"due": None}, "lines": []}, []),
        ({"sums": None, "lines": []}, []),
        ({"lines": []}, []),
    ],
)
def test_amounts_are_found_where_the_declaration_says(record: dict[str, object], wanted: list[object]) -> None:
    totals = Totals(Amount("sums.due", "lines.currency"))
    totals.add([record])
    assert [(entry["currency"], entry["amount"]) for entry in totals.told()] == wanted


def test_what_cannot_be_added_up_exactly_is_not_added_up() -> None:
    totals = Totals(Amount("total"))
    totals.add({"total": Decimal(text)} for text in ("1e400", "1e-400", "1"))
    assert totals.told() == [{"currency": None, "records": 3, "amount": None}]
