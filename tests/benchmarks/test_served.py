"""What is served is what the generator says, in both formats, at every port."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import invoices, server
from benchmarks.check import check
from benchmarks.dataset import FORMS, Dataset, Form, Truth, build
from benchmarks.paths import PLUGIN
from vendortap.declare.model import Connector, RecordSelector, Reply
from vendortap.decode.reader import Reader
from vendortap.decode.structs import as_dict
from vendortap.decode.values import dates
from vendortap.plugins import validation

COUNT = 30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a few invoices in both formats."""
    folder = tmp_path_factory.mktemp("data")
    for form in FORMS:
        build(folder, form, COUNT)
    return folder


@pytest.fixture(scope="module")
def served(data: Path) -> Iterator[server.Served]:
    """The server with these."""
    with server.serving(data, FORMS) as found:
        yield found


@pytest.fixture(scope="module")
def connector() -> Iterator[Connector]:
    """The plugin of the benchmarks, imported from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PLUGIN))
        from tap_bench import BENCH

        yield BENCH


def fetch(url: str, form: Form = "json") -> bytes:
    """Return a body."""
    asked = Request(url, headers={"Accept": f"application/{form}"})  # noqa: S310 - the server above
    with urlopen(asked) as reply:  # noqa: S310 - likewise
        body: bytes = reply.read()
    return body


def loads(body: bytes) -> Any:
    return json.loads(body, parse_float=Decimal)


@given(st.integers(0, 10**8 - 1))
def test_json_keeps_every_digit_of_an_invoice(index: int) -> None:
    document = invoices.invoice(index)
    text = invoices.as_json(document)
    assert loads(text) == document
    assert f'"Total":{document["Total"]:f}'.encode() in text
    assert document["Total"].as_tuple().exponent == -2


def test_the_declaration_of_the_plugin_is_sound(connector: Connector) -> None:
    validation.check(connector)


def test_both_formats_give_the_same_records(data: Path, served: server.Served, connector: Connector) -> None:
    stream = connector.stream("invoices")
    assert isinstance(stream.record_selector, RecordSelector)
    reader = Reader(
        validation.shapes(connector)["invoices"].row, stream.record_selector, stream.keys, dates("UTC", None)
    )
    read = {}
    for form in FORMS:
        body = fetch(f"{served.plain}/{COUNT}/invoices?page=1&size=20", form)
        page = reader.read(Reply(200, {"content-type": f"application/{form}"}, body, datetime.now(UTC)))
        assert page.more["next"] == 2
        read[form] = [as_dict(row) for row in page.records]
    assert read["json"] == read["xml"]
    assert [row["Total"] for row in read["xml"]] == [invoices.invoice(index)["Total"] for index in range(20)]


def test_pages_end_with_the_last_invoice(served: server.Served) -> None:
    last = loads(fetch(f"{served.plain}/{COUNT}/invoices?page=2&size=20"))
    assert [row["InvoiceNumber"] for row in last["Invoices"]] == [invoices.number(index) for index in range(20, 30)]
    assert last["NextPage"] is None
    assert b'<NextPage xsi:nil="true"/>' in fetch(f"{served.plain}/{COUNT}/invoices?page=2&size=20", "xml")


def test_the_index_leads_to_the_documents(served: server.Served) -> None:
    index = loads(fetch(f"{served.plain}/25/index?page=1&size=25"))
    assert index["NextPage"] is None
    number = index["Invoices"][24]["InvoiceNumber"]
    assert loads(fetch(f"{served.plain}/25/invoices/{number}")) == invoices.invoice(24)


def test_what_is_not_there_is_not_found(served: server.Served) -> None:
    with pytest.raises(HTTPError, match="404"):
        fetch(f"{served.plain}/nothing/here/at/all")


def test_beyond_the_capacity_invoices_repeat_with_numbers_of_their_own(data: Path) -> None:
    dataset = Dataset(data, "json")
    found = loads(b"[%s]" % dataset.documents(COUNT - 5, 2 * COUNT))
    assert [row["InvoiceNumber"] for row in found] == [
        invoices.number(index) for index in range(COUNT - 5, 3 * COUNT - 5)
    ]
    assert found[7]["Total"] == invoices.invoice(2)["Total"]


@pytest.mark.parametrize("count", [0, 1, COUNT, COUNT + 7, 3 * COUNT])
def test_the_truth_is_the_sum_of_what_is_served(data: Path, count: int) -> None:
    for form in FORMS:
        served = [invoices.invoice(index % COUNT) for index in range(count)]
        prices = [line["Price"] for document in served for line in document["InvoiceLines"]]
        total = sum((document["Total"] for document in served), Decimal(0))
        assert Dataset(data, form).truth(count) == Truth(count, total, sum(prices, Decimal(0)))


def test_a_limited_port_lets_a_burst_through_and_says_no_to_the_next(served: server.Served) -> None:
    url = served.limited[0]
    server.reset(url)
    for _ in range(server.BURST):
        fetch(f"{url}/1/index")
    refused = []
    for _ in range(2 * server.BURST):
        try:
            fetch(f"{url}/1/index")
        except HTTPError as error:
            refused.append((error.code, error.headers["Retry-After"]))
            error.close()
    assert set(refused) == {(429, "1")}
    assert server.reset(url)["429"] == len(refused)
    fetch(f"{url}/1/index")
    assert server.reset(url) == {"200": 1}


# --- the check of what comes out ---------------------------------------------------------------------


def messages(documents: list[dict[str, Any]], *, airbyte: bool = False) -> list[bytes]:
    lines = [b'{"type":"SCHEMA","stream":"invoices"}']
    for document in documents:
        record = invoices.as_json(document)
        wrapped = b'{"stream":"invoices","data":%s}' % record if airbyte else record
        lines.append(b'{"type":"RECORD","stream":"invoices","record":%s}' % wrapped)
    return lines


@pytest.mark.parametrize("airbyte", [False, True])
def test_the_check_accepts_all_invoices_and_nothing_else(data: Path, tmp_path: Path, *, airbyte: bool) -> None:
    documents = [invoices.invoice(index) for index in range(COUNT)]
    rounded = {**documents[3], "Total": documents[3]["Total"] + Decimal("0.01")}
    line = {**documents[4]["InvoiceLines"][0], "Price": Decimal(0)}
    cases = {
        "all": (documents, True, True),
        "one missing": (documents[1:], False, False),
        "one twice": ([*documents[1:], documents[1]], False, False),
        "a cent more": ([*documents[:3], rounded, *documents[4:]], True, False),
        "a price lost": ([*documents[:4], {**documents[4], "InvoiceLines": [line]}, *documents[5:]], True, False),
    }
    path, truth = tmp_path / "messages", Dataset(data, "json").truth(COUNT)
    for case, (given_documents, complete, exact) in cases.items():
        path.write_bytes(b"\n".join(messages(given_documents, airbyte=airbyte)))
        found = check(path, truth)
        assert (found.complete, found.exact) == (complete, exact), case


def test_the_check_takes_a_record_of_another_shape_for_none(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "messages"
    path.write_bytes(b'{"type":"RECORD","stream":"invoices","record":{"InvoiceNumber":{"#text":"1"}}}')
    assert not check(path, Dataset(data, "json").truth(1)).complete
