"""Totals: exact whatever the digits, by currency, of what has an amount."""

from __future__ import annotations

import json
from decimal import Context, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendortap.declare.model import Amount
from vendortap.sync.totals import CURRENCIES, OTHERS, Totals

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
    told = totals.snapshot()
    assert {entry["currency"]: (entry["records"], Decimal(entry["amount"])) for entry in told} == wanted
    assert not any("E" in entry["amount"] for entry in told)


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"sums": {"due": Decimal("1.10")}, "lines": [{"currency": "USD"}, {"currency": "EUR"}]}, [("USD", "1.10")]),
        ({"sums": {"due": Decimal("1.10")}, "lines": []}, [(None, "1.10")]),
        ({"sums": {"due": Decimal("1.10")}, "lines": None}, [(None, "1.10")]),
        ({"sums": {"due": "1.10"}, "lines": []}, [(None, "1.10")]),  # an amount as text
        ({"sums": {"due": 3}, "lines": []}, [(None, "3")]),
        ({"sums": {"due": 0.1}, "lines": []}, [(None, "0.1")]),  # as a stream map makes one, and it is written
        ({"sums": {"due": None}, "lines": []}, []),
        ({"sums": None, "lines": []}, []),
        ({"lines": []}, []),
        ({"sums__due": Decimal("1.10"), "lines": '[{"currency": "USD"}]'}, [("USD", "1.10")]),  # flattened
        ({"sums": '{"due": 1.10}', "lines": '[{"currency": "USD"}]'}, [("USD", "1.10")]),  # nested as JSON
        ({"sums": None, "lines": '[{"currency": "USD"}]'}, []),
    ],
)
def test_amounts_are_found_where_the_declaration_says(record: dict[str, object], wanted: list[object]) -> None:
    totals = Totals(Amount("sums.due", "lines.currency"))
    totals.add([record])
    assert [(entry["currency"], entry["amount"]) for entry in totals.snapshot()] == wanted


@pytest.mark.parametrize(
    "hidden",
    [
        {"sums": {"due": 3}},  # the currency is deselected: a sum of several would be of none
        {"sums": {"due": 3}, "lines": [{}]},
        {"sums": {"due": 3}, "lines": "5d41402abc4b2a76b9719d911017c592"},
        {"sums": {"due": 3}, "lines": [{"currency": {"of": "USD"}}]},
        {"sums": {"due": "5d41402abc4b2a76b9719d911017c592"}, "lines": []},
        {"sums": {"due": "Infinity"}, "lines": []},
        {"sums": {"due": True}, "lines": []},
        {"sums": {"due": [3]}, "lines": []},
    ],
)
def test_no_total_is_told_where_an_amount_or_its_currency_is_hidden(hidden: dict[str, object]) -> None:
    totals = Totals(Amount("sums.due", "lines.currency"))
    totals.add([{"sums": {"due": 1}, "lines": [{"currency": "USD"}]}, hidden])
    totals.add([{"sums": {"due": 1}, "lines": [{"currency": "USD"}]}])
    assert totals.snapshot() == []


@pytest.mark.parametrize("gone", [{}, {"sums": {}}, {"sums": "5d41402abc4b2a76b9719d911017c592"}, {"sums": 5}])
def test_what_is_removed_does_not_count(gone: dict[str, object]) -> None:
    totals = Totals(Amount("sums.due"))
    totals.add([gone, {"sums": {"due": 1}}])
    assert [(entry["records"], entry["amount"]) for entry in totals.snapshot()] == [(1, "1")]


def test_names_are_joined_as_the_operator_wishes() -> None:
    totals = Totals(Amount("a.b.c"), ".")
    totals.add([{"a.b.c": 1}, {"a.b": '{"c": 1}'}, {"a": {"b.c": 1}}, {"a": {"b": {"c": 1}}}, {"a.b": None}])
    assert [(entry["records"], entry["amount"]) for entry in totals.snapshot()] == [(4, "4")]


def test_what_cannot_be_added_up_exactly_is_not_added_up() -> None:
    totals = Totals(Amount("total"))
    totals.add({"total": Decimal(text)} for text in ("1e400", "1e-400", "1"))
    assert totals.snapshot() == [{"currency": None, "records": 3, "amount": None}]


@pytest.mark.parametrize("text", ["1e999999", "-1e3000000000", "1e-999999", "0e-999999999", "9" * 101])
def test_amounts_that_are_too_long_are_not_added_up(text: str) -> None:
    for amount in (Decimal(text), text):
        totals = Totals(Amount("total", "currency"))
        totals.add({"total": amount, "currency": currency} for currency in ("USD", "EUR"))
        totals.add([{"total": 1, "currency": "USD"}])
        assert [(entry["records"], entry["amount"]) for entry in totals.snapshot()] == [(2, None), (1, None)]


@pytest.mark.promise(
    "A report does not grow with what a vendor makes up: currencies and digits are bounded, the rest is counted"
)
def test_currencies_without_end_are_counted_under_one_name() -> None:
    totals = Totals(Amount("total", "currency"))
    names = [*(f"C{number}" for number in range(1, 10_000)), "x" * 11, "x" * 1_000_000, OTHERS]
    totals.add([{"total": 1, "currency": None}, {"total": 1, "currency": OTHERS}])
    totals.add({"total": Decimal("9" * 100), "currency": name} for name in [*names, *names])
    told = totals.snapshot()
    assert [entry["currency"] for entry in told] == [None, *names[:CURRENCIES], OTHERS]
    assert [entry["records"] for entry in told] == [1, *[2] * CURRENCIES, 2 * (len(names) - CURRENCIES) + 1]
    assert told[-1]["amount"] is None
    assert {entry["amount"] for entry in told[1:-1]} == {str(2 * int("9" * 100))}
    assert len(json.dumps(told)) < 50_000
