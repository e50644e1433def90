"""A few fixed histories of each connector, and that the soak's own parts are what they say."""

from __future__ import annotations

from decimal import Decimal
from xml.etree.ElementTree import Element

import pytest

from tests.soak.histories import CONNECTORS, HAS_XML, Event, History, draw
from tests.soak.hostile import Hostile
from tests.soak.oracle import Oracle, Outcome, Rows, judge
from tests.soak.runs import play
from tests.soak.vendors import VENDORS
from tests.soak.wire import Answer, Asked, nodes, parse, to_json

SEEDS = (101, 102)


def quiet(connector: str, *events: Event, xml: bool = False) -> History:
    """A history in which nothing happens but this."""
    return History(connector, 1, 3, 61, 7, xml, 1, True, True, False, False, events)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("connector", CONNECTORS)
def test_every_invoice_that_a_hostile_vendor_served_is_there_or_named(connector: str, seed: int) -> None:
    verdict, _ = play(draw(connector, seed))
    assert verdict.problems == [], draw(connector, seed)


@pytest.mark.parametrize("connector", CONNECTORS)
def test_a_vendor_that_does_nothing_wrong_is_read_in_full(connector: str) -> None:
    for xml in (False, True)[: 1 + (connector in HAS_XML)]:
        verdict, outcomes = play(quiet(connector, xml=xml))
        assert (verdict.problems, verdict.unseen) == ([], set())
        assert [outcome.code for outcome in outcomes] == [0, 0, 0]
        assert len(outcomes[-1].tables[VENDORS[connector].listed[0]]) == 61


def test_the_same_seed_gives_the_same_history() -> None:
    assert draw("scansource", 7) == draw("scansource", 7)
    assert len({draw("scansource", seed).events for seed in range(30)}) > 20


@pytest.mark.parametrize("connector", CONNECTORS)
def test_the_oracle_reads_every_amount_that_is_served(connector: str) -> None:
    hostile = Hostile(quiet(connector))
    hostile.begin()
    vendor = VENDORS[connector]
    for invoice in hostile.book.held.values():
        answer = Answer(200, to_json(vendor.document(invoice, invoice.number)).encode())
        hostile._kept(invoice.number, answer)
    found = {amount for _, amount in Oracle(hostile).pairs}
    assert {invoice.amount for invoice in hostile.book.held.values()} <= found


def test_an_invoice_that_is_nowhere_fails_a_clean_run_and_not_one_that_failed() -> None:
    hostile = Hostile(quiet("scansource"))
    held = frozenset(hostile.book.held)
    hostile.begin()
    tables: dict[str, Rows] = {"invoices": {}, "invoice_details": {}}
    failed = Outcome(1, "", "scansource: the list has no rows", held, tables)
    clean = Outcome(0, "", "", held, tables)
    assert {problem.run for problem in judge(hostile, [failed, clean]).problems} == {1}
    assert {problem.what for problem in judge(hostile, [clean]).problems} == {"absent after exit 0"}
    named = Outcome(3, " ".join(held), "", held, tables)
    assert judge(hostile, [named]).problems == []


def test_an_amount_that_no_reply_had_is_found() -> None:
    hostile = Hostile(quiet("scansource"))
    hostile.begin()
    number = min(hostile.book.held)
    outcome = Outcome(3, "", "", frozenset(), {"invoices": {number: (Decimal("0.5"), None)}})
    assert [problem.what for problem in judge(hostile, [outcome]).problems] == ["never served"]


@pytest.mark.parametrize("what", ["bom", "latin-1 by header", "latin-1 by declaration", "utf-16"])
def test_the_oracle_reads_xml_in_every_charset_that_is_served(what: str) -> None:
    hostile = Hostile(quiet("scansource", Event(0, "list", what), xml=True))
    hostile.begin()
    asked = Asked("GET", "/summary", {"customerNumber": "1000012345", "page": "1", "pageSize": "3"}, b"")
    tree = parse(hostile.answer(asked))
    assert isinstance(tree, Element)
    assert len([node for node in nodes(tree) if node.tag == "InvoiceSummary"]) == 3
