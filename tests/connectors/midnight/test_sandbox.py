"""The Midnight sandbox on the wire, checked against the vendor's documents (through a real socket)."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import requests
from lxml import etree

from tap_midnight import sandbox
from vendortap.sandbox.serve import serving as served

if TYPE_CHECKING:
    from collections.abc import Iterator

LOGIN = "/v1/Token/UserAuthentication"
REFRESH = "/v1/Token/RegenerateAuthToken"
LIST = "/v1/Generic/InvoiceList"
DETAIL = "/v2/invoice/detail"
CREDENTIALS = {
    "DomainName": sandbox.DOMAIN,
    "UserName": sandbox.USER,
    "Password": sandbox.PASSWORD,
    "IsPasswordEncrypted": False,
}
XML = {"Accept": "application/xml"}
DENIED = "Authorization has been denied for this request."
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
NIL = {
    "InvoiceDate",
    "InvoiceDueDate",
    "PaymentBilledDateTime",
    "ParentInvoiceLineID",
    "ParentInvoiceLineGuid",
    "ContactID",
}
"""What the samples show to be nullable values: xsi:nil, where a null text is left out."""
ITEMS = {
    "InvoiceLine": "InvoiceLineSelectResponse",
    "InvoiceLineItem": "InvoiceLineItemSelectResponse",
    "InvoiceLineTypes": "string",
}
# https://api.vsmidnight.com/Help, POST v1/Generic/InvoiceList: the members of one row and their types.
ROW = {
    "Guid": str,
    "InvoiceID": int,
    "InvoiceNumber": str,
    "InvoiceNumberExt": str,
    "InvoiceNumberPlusExt": str,
    "InvoiceDate": str,
    "CustomerName": str,
    "InvoiceDueDate": str,
    "InvoiceStatus": str,
    "InvoiceAmount": Decimal,
    "CustomerNumber": int,
    "InvoiceTitle": str,
    "TermsCode": str,
    "CustomerPaymentID": int,
    "InvoiceAmountPaid": Decimal,
    "OrderID": int,
    "OrderNumber": str,
    "CreatedBy": str,
    "InvoiceLineTypes": list,
    "ContactID": int,
    "PaymentStatus": str,
    "InvoiceBalance": Decimal,
    "RequestType": str,
    "Active": bool,
    "TotalRecords": int,
}


class Client:
    """One sandbox, its base address and a session that has logged in."""

    def __init__(self, app: Any, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> requests.Response:
        return self.session.post(self.base + path, json=body, headers=headers, timeout=10)

    def json(self, path: str, body: object) -> Any:
        response = self.post(path, body)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def xml(self, path: str, body: object) -> etree._Element:
        return etree.fromstring(self.post(path, body, XML).content)

    def login(self) -> dict[str, Any]:
        pair: dict[str, Any] = self.json(LOGIN, CREDENTIALS)
        self.session.headers["Authorization"] = f"Bearer {pair['access_token']}"
        return pair

    def rows(self, *, size: int = 37, paid: bool = True, inactive: bool = True, **model: Any) -> list[Any]:
        rows: list[Any] = []
        while True:
            page = {"First": len(rows), "Rows": size, **model}
            body = {"ShowPaid": paid, "ShowInactive": inactive, "tableFilterModel": page}
            found = self.json(LIST, body)
            rows += found
            if len(found) < size:
                assert {row["TotalRecords"] for row in rows} <= {len(rows)}
                return rows


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    with served(sandbox.app(**options)) as server, requests.Session() as session:
        client = Client(server.app, server.url, session)
        client.login()
        server.app.state.requests.clear()
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 120 invoices that no test changes."""
    with serving(invoices=120) as running:
        yield running


@pytest.fixture(scope="module")
def rows(client: Client) -> list[dict[str, Any]]:
    return client.rows()


@pytest.fixture(scope="module")
def details(client: Client, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every invoice of the shared sandbox once, fetched over the wire."""
    return [client.json(DETAIL, {"Guid": guid}) for guid in dict.fromkeys(row["Guid"] for row in rows)]


def sample(name: str) -> bytes:
    return (files("tap_midnight") / "samples" / name).read_bytes()


def agree(value: Any, element: Any) -> None:
    """The XML element says what the JSON value says: null is nil or absent, a list is its children."""
    if isinstance(value, dict):
        present = [name for name, member in value.items() if member is not None or name in NIL]
        assert [child.tag for child in element] == present
        for name, child in zip(present, element, strict=True):
            agree(value[name], child)
            if isinstance(value[name], list):
                assert {item.tag for item in child} <= {ITEMS[name]}
    elif isinstance(value, list):
        assert len(value) == len(element)
        for item, child in zip(value, element, strict=True):
            agree(item, child)
    elif value is None:
        assert element.get(XSI_NIL) == "true"
    elif isinstance(value, str | bool):
        assert (element.text or "") == (value if isinstance(value, str) else str(value).lower())
    else:
        assert Decimal(element.text) == value


# --- shape and content -------------------------------------------------------------------------------


def check(value: Any, wanted: Any, seen: set[str]) -> None:
    """A value has the sample's names, order and types; null and an empty list have none."""
    if isinstance(value, dict):
        assert list(value) == list(wanted)
        for name, member in value.items():
            check(member, wanted[name], seen)
            if member:
                seen.add(name)
    elif isinstance(value, list):
        for item in value:
            check(item, wanted[0], seen)
    elif value is not None:
        assert type(value) is type(wanted)


def names_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(names_of, value.values()))
    return names_of(value[0]) if isinstance(value, list) else set()


def test_json_has_the_samples_names_order_and_types(details: list[dict[str, Any]]) -> None:
    wanted = json.loads(sample("invoice.json"), parse_float=Decimal)
    seen: set[str] = set()
    for invoice in details:
        check(invoice, wanted, seen)
    always_zero = {"TempInvoiceLineID", "ParentObjectID", "OrderVersionDetailID", "PaymentAccountID", "IsMerged"}
    always_zero |= {"OrderVersionPostageID", "AmountApplied", "PreviouslyInvoiced", "PreviouslyInvoicedBalance"}
    assert names_of(wanted) - seen == always_zero | {"PostageTaxTotal"}


def test_rows_have_the_pages_names_order_and_types(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert list(row) == list(ROW)
        assert all(type(value) is ROW[name] for name, value in row.items() if value is not None)
    assert {name for row in rows for name, value in row.items() if value is None} == {
        "InvoiceNumberExt",
        "InvoiceDate",
        "InvoiceDueDate",
        "OrderNumber",
        "ContactID",
    }


def test_xml_and_json_of_every_invoice_agree(client: Client, details: list[dict[str, Any]]) -> None:
    for invoice in details:
        element = client.xml(DETAIL, {"Guid": invoice["GUID"]})
        assert element.tag == "InvoiceSelectResponse"
        agree(invoice, element)
    body = {"ShowPaid": True, "ShowInactive": True, "tableFilterModel": {"First": 90, "Rows": 30}}
    element = client.xml(LIST, body)
    assert element.tag == "ArrayOfInvoiceListResponse"
    assert {child.tag for child in element} == {"InvoiceListResponse"}
    agree(client.json(LIST, body), element)


def test_agreement_holds_for_the_vendors_own_samples() -> None:
    agree(json.loads(sample("invoice.json"), parse_float=Decimal), etree.fromstring(sample("invoice.xml")))


def test_amounts_add_up(details: list[dict[str, Any]]) -> None:
    for invoice in details:
        lines = invoice["InvoiceLine"]
        assert invoice["SubTotal"] == sum(line["LineSubTotal"] for line in lines)
        assert invoice["SubTotal"] == invoice["ServiceTotal"] + invoice["PostageTotal"]
        assert invoice["InvoiceTaxAmount"] == sum(line["Tax"] for line in lines)
        assert invoice["InvoiceTaxAmount"] == invoice["ServiceTaxTotal"] + invoice["PostageTaxTotal"]
        assert (
            invoice["TotalBilledAmount"]
            == invoice["SubTotal"] + invoice["InvoiceTaxAmount"] - invoice["DiscountAmount"]
        )
        assert invoice["Balance"] == invoice["TotalBilledAmount"] - invoice["AmountReceived"]
        for line in lines:
            assert line["Quantity"] * line["Rate"] == line["AmountBilled"] == line["LineSubTotal"]
            if line["InvoiceLineItem"]:
                assert sum(item["Amount"] for item in line["InvoiceLineItem"]) == line["AmountBilled"]
                assert sum(item["Tax"] for item in line["InvoiceLineItem"]) == line["Tax"]


def test_list_and_detail_agree(rows: list[dict[str, Any]], details: list[dict[str, Any]]) -> None:
    by_guid = {invoice["GUID"]: invoice for invoice in details}
    same = {
        "Guid": "GUID",
        "InvoiceAmount": "TotalBilledAmount",
        "InvoiceAmountPaid": "AmountReceived",
        "InvoiceBalance": "Balance",
        "CustomerNumber": "CustomerId",
        "CustomerName": "Company",
        "InvoiceTitle": "Title",
        "CreatedBy": "UserName",
    }
    same |= {name: name for name in ROW if name.startswith("Invoice") and name in details[0]}
    assert len(same) == 14
    for row in rows:
        invoice = by_guid[row["Guid"]]
        assert {name: row[name] for name in same} == {name: invoice[other] for name, other in same.items()}
        assert (row["ContactID"] or 0) == invoice["ContactId"]
        assert set(row["InvoiceLineTypes"]) == {line["InvoiceLineType"] for line in invoice["InvoiceLine"]}
    for guid, invoice in by_guid.items():
        orders = {row["OrderID"] for row in rows if row["Guid"] == guid}
        assert orders == ({line["OrderID"] for line in invoice["InvoiceLine"]} or {0})


def test_an_invoice_repeats_once_for_each_of_its_orders(rows: list[dict[str, Any]]) -> None:
    assert len(rows) == 120 + 12 + 24
    assert Counter(Counter(row["Guid"] for row in rows).values()) == {1: 96, 2: 12, 3: 12}
    assert len({(row["Guid"], row["OrderID"]) for row in rows}) == len(rows)
    assert {row["TotalRecords"] for row in rows} == {len(rows)}


def test_totals_and_invoices_are_what_the_wire_says(client: Client, details: list[dict[str, Any]]) -> None:
    total = sum((invoice["TotalBilledAmount"] for invoice in details), Decimal(0))
    assert client.state.totals() == {"": (120, total)}
    assert list(client.state.invoices()) == details


def test_decimals_keep_their_digits(client: Client, rows: list[dict[str, Any]]) -> None:
    [row] = [row for row in rows if row["InvoiceID"] == 20007]
    body = {"Guid": row["Guid"]}
    assert '"TotalBilledAmount":1234567890123456.78,' in client.post(DETAIL, body).text
    assert client.xml(DETAIL, body).findtext("TotalBilledAmount") == "1234567890123456.78"
    assert row["InvoiceAmount"] == Decimal("1234567890123456.78")
    assert 2**53 + 1 in {row["InvoiceAmount"] * 100 for row in rows}


def test_data_has_the_shapes_that_clients_stumble_over(details: list[dict[str, Any]]) -> None:
    assert {0, 1, 2} <= {len(invoice["InvoiceLine"]) for invoice in details}
    lines = [line for invoice in details for line in invoice["InvoiceLine"]]
    assert {len(line["InvoiceLineItem"]) for line in lines} == {0, 1, 2}
    assert {line["GroupBilling"] is None for line in lines} == {True, False}
    assert {line["ParentInvoiceLineID"] is None for line in lines} == {True, False}
    assert any(invoice["TotalBilledAmount"] < 0 for invoice in details)
    for name in ("InvoiceDate", "InvoiceDueDate", "PaymentBilledDateTime"):
        assert {invoice[name] is None for invoice in details} == {True, False}, name
    for name in ("InvoiceDueDate", "PaymentBilledDateTime"):
        assert "0001-01-01T00:00:00" in {invoice[name] for invoice in details}
    dates = [invoice["InvoiceDate"] for invoice in details if invoice["InvoiceDate"]]
    assert {text.endswith("+00:00") for text in dates} == {True, False}
    assert {0, 3, 6, 7} <= {len(text.removesuffix("+00:00").partition(".")[2]) for text in dates}
    text = json.dumps(details, default=str, ensure_ascii=False)
    assert all(part in text for part in ("&", "<", '\\"', "é", "Å", "№", "™"))


def test_same_seed_same_bytes_other_seed_other_bytes(client: Client) -> None:
    with serving(invoices=120) as again, serving(invoices=120, seed=2) as other:
        body = {"ShowPaid": True, "ShowInactive": True}
        assert again.post(LIST, body).content == client.post(LIST, body).content
        assert other.post(LIST, body).content != client.post(LIST, body).content
        assert {row["Guid"] for row in other.rows()}.isdisjoint(row["Guid"] for row in client.rows())


def test_sample_is_served_verbatim_but_not_listed(client: Client, rows: list[dict[str, Any]]) -> None:
    request = {"Guid": sandbox.SAMPLE_GUID}
    assert client.post(DETAIL, request).content == sample("invoice.json")
    assert client.post(DETAIL, request, XML).content == sample("invoice.xml")
    assert json.loads(sample("invoice.json"))["GUID"] == "sample string 1"
    assert sandbox.SAMPLE_GUID not in {row["Guid"] for row in rows}


# --- requests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8"])
def test_detail_takes_the_pages_xml_request(client: Client, rows: list[dict[str, Any]], content_type: str) -> None:
    # The sample of the page, with a Guid of ours.
    body = (
        '<InvoiceSelectRequest xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xsd="http://www.w3.org/2001/XMLSchema">\n'
        f"  <Guid>{rows[0]['Guid'].upper()}</Guid>\n</InvoiceSelectRequest>"
    )
    headers = {"Content-Type": content_type}
    response = client.session.post(client.base + DETAIL, data=body, headers=headers, timeout=10)
    assert response.content == client.post(DETAIL, {"Guid": rows[0]["Guid"]}).content


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", '{"Guid": "none"}', 400),
        ("application/json", '{"Guid": null}', 400),
        ("application/json", "[]", 400),
        ("application/json", "{", 400),
        ("application/xml", "<Guid/>", 400),
        ("application/xml", "<InvoiceSelectRequest>", 400),
        ("application/x-www-form-urlencoded", "Guid=1", 415),
    ],
)
def test_a_request_that_does_not_bind(client: Client, content_type: str, body: str, status: int) -> None:
    headers = {"Content-Type": content_type}
    response = client.session.post(client.base + DETAIL, data=body, headers=headers, timeout=10)
    assert (response.status_code, list(response.json())) == (status, ["Message"])


UNKNOWN = ["00000000-0000-0000-0000-000000000000", "11111111-1111-4111-8111-000000000001"]


@pytest.mark.parametrize("guid", UNKNOWN)
def test_unknown_guid_is_404_or_a_blank_document(client: Client, guid: str) -> None:
    response = client.post(DETAIL, {"Guid": guid})
    assert (response.status_code, response.json()) == (404, {"Message": "Invoice not found."})
    in_xml = client.post(DETAIL, {"Guid": guid}, XML)
    assert (in_xml.status_code, in_xml.text) == (404, "<Error><Message>Invoice not found.</Message></Error>")
    with serving(invoices=1, missing="empty") as other:
        document = other.json(DETAIL, {"Guid": guid})
        assert list(document) == list(json.loads(sample("invoice.json")))
        assert document["GUID"] is None
        assert not any(document.values())
        agree(document, other.xml(DETAIL, {"Guid": guid}))


def test_pages(client: Client, rows: list[dict[str, Any]]) -> None:
    body: dict[str, Any] = {"ShowPaid": True, "ShowInactive": True}
    assert client.json(LIST, body) == rows
    assert client.json(LIST, {**body, "tableFilterModel": {"First": 10, "Rows": 5}}) == rows[10:15]
    assert client.json(LIST, {**body, "tableFilterModel": {"First": 150, "Rows": 100}}) == rows[150:]
    assert client.json(LIST, {**body, "tableFilterModel": {"First": 156, "Rows": 100}}) == []
    assert client.rows(size=1) == rows


def without_total(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "TotalRecords"} for row in rows]


def test_paid_and_inactive_are_hidden_unless_asked_for(client: Client, rows: list[dict[str, Any]]) -> None:
    paid = [row for row in rows if row["PaymentStatus"] == "Paid"]
    inactive = [row for row in rows if not row["Active"]]
    assert paid
    assert inactive
    for show_paid in (True, False):
        for show_inactive in (True, False):
            wanted = [row for row in rows if (show_paid or row not in paid) and (show_inactive or row not in inactive)]
            assert without_total(client.rows(paid=show_paid, inactive=show_inactive)) == without_total(wanted)
    assert without_total(client.json(LIST, {})) == without_total(wanted)


@pytest.mark.parametrize("field", ["InvoiceDate", "InvoiceAmount", "CustomerName", "ContactID", "Active"])
def test_sort(client: Client, rows: list[dict[str, Any]], field: str) -> None:
    def key(row: dict[str, Any]) -> Any:
        return row[field] is not None, row[field]

    assert client.rows(SortField=field) == sorted(rows, key=key)
    assert client.rows(SortField=field, SortOrder=-1) == sorted(rows, key=key, reverse=True)
    by_two = client.rows(MultiSortMeta=[{"Field": field, "Order": 1}, {"Field": "InvoiceID", "Order": -1}])
    assert by_two == sorted(sorted(rows, key=lambda row: -row["InvoiceID"]), key=key)


def test_filters(client: Client, rows: list[dict[str, Any]]) -> None:
    def found(**filters: tuple[str, Any]) -> list[Any]:
        model = {name: {"matchMode": mode, "value": value} for name, (mode, value) in filters.items()}
        return [row["InvoiceID"] for row in client.rows(Filters=model)]

    def wanted(test: Any) -> list[Any]:
        return [row["InvoiceID"] for row in rows if test(row)]

    assert found(InvoiceNumber=("equals", "20009")) == [20009] * 3
    assert found(InvoiceID=("equals", 20009)) == [20009] * 3
    assert found(InvoiceAmount=("equals", "1234567890123456.780")) == [20007]
    assert found(InvoiceAmount=("equals", "none")) == []
    assert found(Active=("equals", False)) == wanted(lambda row: not row["Active"])
    assert found(CustomerName=("contains", "CHARITIES")) == wanted(lambda row: "Charities" in row["CustomerName"])
    assert found(InvoiceLineTypes=("equals", "Postage")) == wanted(lambda row: "Postage" in row["InvoiceLineTypes"])
    both = found(CustomerName=("contains", "é"), PaymentStatus=("equals", "Unpaid"))
    assert both == wanted(lambda row: "é" in row["CustomerName"].lower() and row["PaymentStatus"] == "Unpaid")
    assert both


@pytest.mark.parametrize(
    "model",
    [
        {"SortField": "LastModified"},
        {"SortField": "InvoiceID", "SortOrder": 0},
        {"Filters": {"Nothing": {"matchMode": "equals", "value": 1}}},
        {"Filters": {"InvoiceID": {"matchMode": "between", "value": 1}}},
        {"Filters": {"InvoiceID": {"matchMode": "equals"}}},
        {"Filters": {"InvoiceID": 1}},
        {"MultiSortMeta": [{"Field": "InvoiceID"}]},
        {"First": -1},
        {"Rows": "x"},
    ],
)
def test_a_table_filter_that_says_nothing_is_400(client: Client, model: dict[str, Any]) -> None:
    response = client.post(LIST, {"tableFilterModel": model})
    assert (response.status_code, response.json()) == (400, {"Message": "The request is invalid."})


# --- authentication and refusals ---------------------------------------------------------------------


def test_login_answers_with_a_pair(client: Client) -> None:
    pair = requests.post(client.base + LOGIN, json=CREDENTIALS, timeout=10).json()
    assert list(pair) == ["access_token", "refresh_token", "token_type", "expires_in"]
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 3600)
    for changes in ({"Password": "wrong"}, {"DomainName": "x"}, {"UserName": "x"}, {"IsPasswordEncrypted": True}):
        response = requests.post(client.base + LOGIN, json={**CREDENTIALS, **changes}, timeout=10)
        assert (response.status_code, response.json()) == (401, {"Message": DENIED})
    for name in CREDENTIALS:
        body = {key: value for key, value in CREDENTIALS.items() if key != name}
        assert requests.post(client.base + LOGIN, json=body, timeout=10).status_code == 400


def test_a_refresh_token_gives_a_new_pair_once() -> None:
    with serving(invoices=1) as client:
        old = client.login()
        body = {"AuthToken": old["access_token"], "RefreshToken": old["refresh_token"]}
        for wrong in ({"AuthToken": "x"}, {"RefreshToken": "x"}):
            assert client.post(REFRESH, {**body, **wrong}).status_code == 401
        new = client.json(REFRESH, body)
        assert list(new) == list(old)
        assert new["access_token"] != old["access_token"]
        assert new["refresh_token"] != old["refresh_token"]
        assert client.post(LIST, {}).status_code == 401
        assert client.post(LIST, {}, {"Authorization": f"bearer {new['access_token']}"}).status_code == 200
        again = client.post(REFRESH, body)
        assert (again.status_code, again.json()) == (401, {"Message": DENIED})
        assert client.post(REFRESH, {"AuthToken": new["access_token"]}).status_code == 400
        assert client.state.requests == {"token": 1, "refresh": 5, "list": 2}


def test_expired_and_revoked_tokens_are_refused_but_can_be_refreshed() -> None:
    with serving(invoices=1, token_seconds=0.2) as client:
        pair = client.login()
        assert pair["expires_in"] == 0
        time.sleep(0.25)
        assert client.post(LIST, {}).status_code == 401
        pair = client.json(REFRESH, {"AuthToken": pair["access_token"], "RefreshToken": pair["refresh_token"]})
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        assert client.post(LIST, {}, bearer).status_code == 200
        client.state.revoke_tokens()
        assert client.post(LIST, {}, bearer).status_code == 401
        body = {"AuthToken": pair["access_token"], "RefreshToken": pair["refresh_token"]}
        client.state.revoke_tokens(refresh=True)
        assert client.post(REFRESH, body).status_code == 401


def test_calls_need_a_bearer_token_and_may_have_a_mis_key(client: Client, rows: list[dict[str, Any]]) -> None:
    good = str(client.session.headers["Authorization"])
    for path, body in ((LIST, {}), (DETAIL, {"Guid": rows[0]["Guid"]})):
        for refused in ({}, {"Authorization": "Bearer x"}, {"Authorization": good.removeprefix("Bearer ")}):
            response = requests.post(client.base + path, json=body, headers=refused, timeout=10)
            assert (response.status_code, response.json()) == (401, {"Message": DENIED})
        assert client.post(path, body, {"MISKEY": sandbox.MIS_KEY}).status_code == 200
        in_xml = client.post(path, body, {"MISKEY": "wrong", **XML})
        assert (in_xml.status_code, in_xml.text) == (401, f"<Error><Message>{DENIED}</Message></Error>")


def test_limit_faults_and_latency() -> None:
    with serving(invoices=4, rate=0.01, latency_ms=60) as client:
        start = time.monotonic()
        client.state.fail(1, 500)
        client.state.fail(1, 429, {"Retry-After": "7"})
        client.login()
        answers = [client.post(LIST, {}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [500, 429, 200, 429]
        assert answers[0].json() == {"Message": "An error has occurred."}
        assert (answers[1].json(), answers[1].headers["Retry-After"]) == ({"Message": "Too Many Requests"}, "7")
        assert 0 < int(answers[3].headers["Retry-After"]) <= 100
        assert time.monotonic() - start >= 0.24
        assert client.state.requests == {"token": 1, "list": 4, "429": 2}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("text/json", "text/json"),
        ("text/xml", "text/xml"),
        ("image/png", "application/json"),
    ],
)
def test_accept_chooses_the_format(client: Client, rows: list[dict[str, Any]], accept: str, content_type: str) -> None:
    for guid in (rows[0]["Guid"], sandbox.SAMPLE_GUID, UNKNOWN[0]):
        response = client.post(DETAIL, {"Guid": guid}, {"Accept": accept})
        assert response.headers["Content-Type"] == f"{content_type}; charset=utf-8"
        assert response.content.startswith(b"<" if "xml" in content_type else b"{")


# --- changes -----------------------------------------------------------------------------------------


def test_touch_pays_an_invoice() -> None:
    with serving(invoices=20) as client:
        [row] = [row for row in client.rows() if row["InvoiceID"] == 20000]
        assert row["PaymentStatus"] == "Unpaid"
        before, total = client.json(DETAIL, {"Guid": row["Guid"]}), client.state.totals()
        client.state.touch(row["Guid"], datetime(2030, 1, 2, 12, tzinfo=UTC))
        [paid] = [row for row in client.rows() if row["InvoiceID"] == 20000]
        assert {name for name in paid if paid[name] != row[name]} == {
            "CustomerPaymentID",
            "InvoiceAmountPaid",
            "PaymentStatus",
            "InvoiceBalance",
        }
        after = client.json(DETAIL, {"Guid": row["Guid"]})
        assert (after["PaymentBilledDateTime"], after["Balance"]) == ("2030-01-02T12:00:00+00:00", 0)
        assert before["TotalBilledAmount"] == after["AmountReceived"] == after["TotalBilledAmount"]
        assert client.state.totals() == total
        with pytest.raises(LookupError):
            client.state.touch(UNKNOWN[1], datetime(2030, 1, 2))


def test_add_appends_invoices_dated_after_all_others() -> None:
    with serving(invoices=20) as client:
        before = client.rows()
        client.state.touch(before[0]["Guid"], datetime(2031, 5, 6))
        client.state.add(4)
        new = [row for row in client.rows() if row["InvoiceID"] >= 20020]
        assert list(dict.fromkeys(row["InvoiceNumber"] for row in new)) == ["20020", "20021", "20022", "20023"]
        assert all(row["InvoiceDate"] > "2031-05-06" for row in new)
        assert client.state.totals()[""][0] == 24
