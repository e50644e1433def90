"""The VisibleSCM sandbox on the wire, checked against the vendor's documents (through a real socket)."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import requests
from lxml import etree

from tap_visiblescm import sandbox
from vendortap.sandbox.serve import serving as served

if TYPE_CHECKING:
    from collections.abc import Iterator

BEARER = {"Authorization": f"Bearer {sandbox.TOKEN}"}
LIST = "/api/Invoice/InvoiceList"
XML = {"Accept": "application/xml"}
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
# The help page's table: JSON name → XML name, and XML item names of the lists.
RENAMED = {"Summaries": "InvoiceSummaries", "Averages": "InvoiceTotalAverages"}
ITEMS = {
    "Summaries": "InvoiceSummaryResponse",
    "Averages": "InvoiceTotalAveragesResponse",
    "List": "InvoiceListResponse",
}
# https://api.visiblescm.com/Help, GET api/Invoice/InvoiceList: InvoiceListPageResponse.
PAGE_NAMES = [
    "IsSuccessful",
    "Message",
    "PagePublishedAmount",
    "TotalPublishedAmount",
    "PageDiscountAmount",
    "TotalDiscountAmount",
    "PageInvoicedAmount",
    "TotalInvoicedAmount",
    "TotalInvoiceAmountOwed",
    "Page",
    "Count",
    "TotalPage",
    "TotalCount",
    "List",
]


class Client:
    """One sandbox, its base address and a session that is let in."""

    def __init__(self, app: Any, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> requests.Response:
        return self.session.get(self.base + path, params=params, headers=headers, timeout=10)

    def json(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def xml(self, path: str, **params: Any) -> etree._Element:
        return etree.fromstring(self.get(path, XML, **params).content)

    def rows(self, **params: Any) -> list[Any]:
        rows: list[Any] = []
        page = first_page = self.json(LIST)["Page"]
        while True:
            found = self.json(LIST, PageNumber=page, PageSize=37, **params)
            rows += found["List"]
            page += 1
            if page - first_page >= found["TotalPage"]:
                return rows


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    with served(sandbox.app(**options)) as server, requests.Session() as session:
        session.headers.update(BEARER)
        yield Client(server.app, server.url, session)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 120 invoices that no test changes."""
    with serving(invoices=120) as running:
        yield running


@pytest.fixture(scope="module")
def details(client: Client) -> list[dict[str, Any]]:
    """Every invoice of the shared sandbox, fetched over the wire."""
    return [client.json(f"/api/Invoice/{row['InvoiceRefNumber']}") for row in client.rows()]


def sample(name: str) -> bytes:
    return (files("tap_visiblescm") / "samples" / name).read_bytes()


def stamp(text: str) -> datetime:
    at, _, fraction = text.removesuffix("+00:00").partition(".")
    return datetime.fromisoformat(at) + timedelta(microseconds=int(f"{fraction:0<6}"[:6]))


def agree(value: Any, element: Any) -> None:
    """The XML element says what the JSON value says, under the names that the page has for XML."""
    if isinstance(value, dict):
        value = {name: member for name, member in value.items() if name != "ChargeTypeDisplay"}
        names = {name: RENAMED.get(name, name) for name in value}
        present = [name for name, member in value.items() if member is not None or name.endswith("Date")]
        assert [child.tag for child in element] == [names[name] for name in present]
        for name in present:
            child = element.find(names[name])
            agree(value[name], child)
            assert {item.tag for item in child} <= {ITEMS.get(name)}
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


def shape(value: Any) -> Any:
    """Names in order, and the kind of every value; a list has the shape of its first item."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_json_has_the_samples_names_order_and_types(details: list[dict[str, Any]]) -> None:
    wanted = dict(shape(json.loads(sample("invoice.json"), parse_float=Decimal)))
    seen = set()
    for invoice in details:
        assert list(invoice) == list(wanted)
        for name, member in invoice.items():
            if isinstance(member, list):
                kinds = dict(wanted[name][0])
                for item in member:
                    assert list(item) == list(kinds)
                    assert all(shape(value) == kinds[key] for key, value in item.items() if value is not None)
            elif member is not None:
                assert shape(member) == wanted[name], name
            if member:
                seen.add(name)
    assert seen == set(wanted) - {"Message"}


def test_list_has_the_pages_names_in_order_and_its_odd_integer(client: Client, details: list[dict[str, Any]]) -> None:
    page = client.json(LIST, PageSize=10)
    assert list(page) == PAGE_NAMES
    integers = {name for name, value in page.items() if type(value) is int}
    assert integers == {"TotalPublishedAmount", "Page", "Count", "TotalPage", "TotalCount"}
    names = list(details[0])[2:-2]
    assert (names[0], names[-1]) == ("InvoiceRefNumber", "InvoiceAmountOwed")
    assert [[row[name] for name in names] for row in client.rows()] == [
        [invoice[name] for name in names] for invoice in details
    ]
    assert all(list(row) == names for row in page["List"])


def test_xml_and_json_of_every_invoice_agree(client: Client, details: list[dict[str, Any]]) -> None:
    for invoice in details:
        element = client.xml(f"/api/Invoice/{invoice['InvoiceRefNumber']}")
        assert element.tag == "InvoiceResponse"
        agree(invoice, element)
    page = client.xml(LIST, PageSize=7, PageNumber=2)
    assert page.tag == "InvoiceListPageResponse"
    agree(client.json(LIST, PageSize=7, PageNumber=2), page)


def test_agreement_holds_for_the_vendors_own_samples() -> None:
    document = json.loads(sample("invoice.json"), parse_float=Decimal)
    agree(document, etree.fromstring(sample("invoice.xml")))


def test_charge_type_display_is_computed(details: list[dict[str, Any]]) -> None:
    rows = [row for invoice in details for row in invoice["Summaries"]]
    for row in rows:
        parts = (row["ChargeType"], row["Category"], row["SubCategory"] or "")
        assert row["ChargeTypeDisplay"] == " - ".join(parts)
    events = {"Fulfillment", "InvoiceAdjustment", "Logistics", "Production", "Shipping", "Storage", "VolumeDiscount"}
    assert {row["BillingEventType"] for row in rows} == events


def test_amounts_add_up(details: list[dict[str, Any]]) -> None:
    for invoice in details:
        for name in ("TotalPublishedAmount", "TotalDiscountAmount", "TotalInvoicedAmount"):
            assert invoice[name] == sum(row[name] for row in invoice["Summaries"])
        assert invoice["TotalPublishedAmount"] - invoice["TotalDiscountAmount"] == invoice["TotalInvoicedAmount"]
        if invoice["Averages"] is not None:
            assert invoice["TotalInvoiceLinesCount"] == sum(row["Quantity"] for row in invoice["Averages"])
        owed = {"Paid": 0, "Draft": 0}.get(invoice["InvoiceFriendlyStatus"], invoice["TotalInvoicedAmount"])
        assert invoice["InvoiceAmountOwed"] == owed or invoice["InvoiceFriendlyStatus"] == "Partially Paid"


def test_page_and_total_sums(client: Client, details: list[dict[str, Any]]) -> None:
    for params in ({}, {"InvoiceStatus": "paid"}):
        every = [d for d in details if not params or d["InvoiceFriendlyStatus"] == "Paid"]
        page = client.json(LIST, PageSize=9, PageNumber=2, **params)
        for kind in ("Published", "Discount", "Invoiced"):
            name = f"Total{kind}Amount"
            assert page[f"Page{kind}Amount"] == sum(row[name] for row in page["List"])
            whole = sum(invoice[name] for invoice in every)
            assert page[name] == (int(whole) if kind == "Published" else whole)
        assert page["TotalInvoiceAmountOwed"] == sum(invoice["InvoiceAmountOwed"] for invoice in every)
        assert (page["Page"], page["Count"], page["TotalCount"]) == (2, 9, len(every))
        assert page["TotalPage"] == -(-len(every) // 9)


def test_totals_and_invoices_are_what_the_wire_says(client: Client, details: list[dict[str, Any]]) -> None:
    total = sum((invoice["TotalInvoicedAmount"] for invoice in details), Decimal(0))
    assert client.state.totals() == {"": (120, total)}
    assert list(client.state.invoices()) == details


def test_decimals_keep_their_digits(client: Client) -> None:
    huge = client.get("/api/Invoice/TM700007")
    assert '"TotalInvoicedAmount":1234567890123456.78,' in huge.text
    assert client.xml("/api/Invoice/TM700007").findtext("TotalInvoicedAmount") == "1234567890123456.78"
    assert client.json("/api/Invoice/TM700013")["TotalInvoicedAmount"] * 100 == 2**53 + 1


def test_data_has_the_shapes_that_clients_stumble_over(details: list[dict[str, Any]]) -> None:
    assert {0, 1, 2} <= {len(invoice["Summaries"]) for invoice in details}
    assert {invoice["Averages"] is None for invoice in details} == {True, False}
    drafts = [invoice for invoice in details if invoice["InvoiceFriendlyStatus"] == "Draft"]
    assert len(drafts) == 10
    assert [d for d in details if d["IssuedDate"] is None] == drafts
    assert any(invoice["StartDate"] is None for invoice in details)
    assert any(invoice["TotalInvoicedAmount"] < 0 for invoice in details)
    text = json.dumps(details, default=str, ensure_ascii=False)
    assert all(part in text for part in ("&", "<", '\\"', "é", "Ö", "™"))
    issued = [invoice["IssuedDate"] for invoice in details if invoice["IssuedDate"]]
    assert {text.endswith("+00:00") for text in issued} == {True, False}
    assert {0, 3, 6, 7} <= {len(text.removesuffix("+00:00").partition(".")[2]) for text in issued}
    moments = [stamp(text) for text in issued]
    assert moments == sorted(moments)


def test_same_seed_same_bytes_other_seed_other_bytes(client: Client) -> None:
    with serving(invoices=120) as again, serving(invoices=120, seed=2) as other:
        for path in (LIST, "/api/Invoice/TM700001"):
            assert again.get(path).content == client.get(path).content
            assert other.get(path).content != client.get(path).content


def test_sample_is_served_verbatim_but_not_listed(client: Client) -> None:
    path = f"/api/Invoice/{sandbox.SAMPLE_INVOICE}"
    assert client.get(path).content == sample("invoice.json")
    assert client.get(path, XML).content == sample("invoice.xml")
    assert json.loads(sample("invoice.json"))["InvoiceRefNumber"] == "sample string 3"
    assert sandbox.SAMPLE_INVOICE not in {row["InvoiceRefNumber"] for row in client.rows()}


# --- pages and filters -------------------------------------------------------------------------------


def test_pages(client: Client) -> None:
    default = client.json(LIST)
    assert (default["Page"], default["Count"], default["TotalPage"]) == (1, 100, 2)
    assert client.json(LIST, pageNumber=1, PAGESIZE=5000) == default
    beyond = client.json(LIST, PageNumber=3)
    assert (beyond["IsSuccessful"], beyond["List"], beyond["Count"], beyond["TotalCount"]) == (True, [], 0, 120)
    assert "<List/>" in client.get(LIST, XML, PageNumber=3).text
    numbers = [row["InvoiceRefNumber"] for row in client.rows()]
    assert len(numbers) == 120
    assert numbers == sorted(set(numbers))


def test_first_page_and_size_are_options(client: Client) -> None:
    with serving(invoices=120, first_page=0, max_page_size=40) as other:
        page = other.json(LIST, PageSize=41)
        assert (page["Page"], page["Count"], page["TotalPage"]) == (0, 40, 3)
        assert other.json(LIST, PageNumber=2)["Count"] == 40
        assert other.json(LIST, PageNumber=3)["List"] == []
        assert other.rows() == client.rows()


def test_filters(client: Client) -> None:
    rows = client.rows()
    for status in ("Draft", "partially paid", "Past Due"):
        wanted = [row for row in rows if row["InvoiceFriendlyStatus"].lower() == status.lower()]
        assert 0 < len(wanted) < len(rows)
        assert client.rows(InvoiceStatus=status) == wanted
    assert client.rows(InvoiceStatus="none such") == []
    for name, member in (("IssuedDate", "IssuedDate"), ("InvoiceDate", "EndDate")):
        dated = [row for row in rows if row[member]]
        day = datetime(2022, 1, 4)
        within = [row for row in dated if day.date() == stamp(row[member]).date()]
        assert 0 < len(within) < len(dated)
        text = f"{day:%Y-%m-%d}"
        assert client.rows(**{f"{name}Start": text, f"{name}End": text}) == within
        since = [row for row in dated if stamp(row[member]) >= day]
        assert client.rows(**{f"{name}Start": text}) == since
        assert client.rows(**{f"{name}Start": "2022-01-04T01:00:00+01:00"}) == since
        exact = stamp(since[0][member]).isoformat()
        assert client.rows(**{f"{name}Start": exact, f"{name}End": exact})[0] == since[0]
        assert client.rows(**{f"{name}End": "9999-12-31"}) == dated


def test_a_query_that_says_nothing_is_answered_without_success(client: Client) -> None:
    for query in ({"PageNumber": 0}, {"PageSize": "x"}, {"PageSize": 0}, {"IssuedDateStart": "yesterday"}):
        page = client.json(LIST, **query)
        assert list(page) == PAGE_NAMES
        assert not page.pop("IsSuccessful")
        assert page.pop("Message")
        assert page.pop("List") is None
        assert set(page.values()) == {0}


@pytest.mark.parametrize("number", ["TM700120", "TM0700001", "700001", "TM", "tm700001", "none such"])
def test_unknown_invoice_is_a_success_of_http_only(client: Client, number: str) -> None:
    document = client.json(f"/api/Invoice/{number}")
    names = list(json.loads(sample("invoice.json")))
    assert list(document) == names
    agree(document, client.xml(f"/api/Invoice/{number}"))
    assert number in document["Message"]
    filled = {name: value for name, value in document.items() if value is not None and name != "Message"}
    assert filled.pop("IsSuccessful") is False
    assert set(filled) == {name for name in names if name.startswith("Total") or name.endswith("Owed")}
    assert set(filled.values()) == {0}


# --- authentication and refusals ---------------------------------------------------------------------

BASIC = requests.auth._basic_auth_str(sandbox.USER.encode(), sandbox.PASSWORD.encode())
STATIC = {
    "bearer": BEARER,
    "header": {sandbox.HEADER_NAME: sandbox.HEADER_VALUE},
    "basic": {"Authorization": BASIC},
}
ACCOUNT = {
    "apiKey": sandbox.API_KEY,
    "apiSecret": sandbox.API_SECRET,
    "userName": sandbox.USER,
    "password": sandbox.PASSWORD,
}


@pytest.mark.parametrize("auth", ["bearer", "header", "basic", "account_token"])
def test_each_scheme_lets_in_its_own_and_any_lets_in_all(client: Client, auth: str) -> None:
    with serving(invoices=1, auth=auth) as strict:
        for at, let_in in ((strict, {auth}), (client, {*STATIC, "account_token"})):
            token = requests.post(f"{at.base}/Account/Token", json=ACCOUNT, timeout=10).json()["token"]
            tokens = [{"Authorization": token}, {"Authorization": f"Bearer {token}"}]
            for scheme, headers in [*STATIC.items(), *(("account_token", token) for token in tokens)]:
                response = requests.get(at.base + LIST, headers=headers, timeout=10)
                assert response.status_code == (200 if scheme in let_in else 401), (auth, scheme)


def test_anything_else_is_refused_in_web_apis_form(client: Client) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": sandbox.TOKEN}, {"X-Api-Key": "wrong"}):
        response = requests.get(client.base + LIST, headers=headers, timeout=10)
        message = "Authorization has been denied for this request."
        assert (response.status_code, response.json()) == (401, {"Message": message})
    in_xml = requests.get(client.base + LIST, headers=XML, timeout=10)
    assert (in_xml.status_code, in_xml.text) == (401, f"<Error><Message>{message}</Message></Error>")
    for changes in ({"password": "wrong"}, {"apiKey": None}):
        response = requests.post(f"{client.base}/Account/Token", json={**ACCOUNT, **changes}, timeout=10)
        assert (response.status_code, response.json()) == (401, {"Message": message})
    assert requests.post(f"{client.base}/Account/Token", data="{", timeout=10).status_code == 400


def test_revoked_tokens_are_refused() -> None:
    with serving(invoices=1, auth="account_token") as client:
        token = requests.post(f"{client.base}/Account/Token", json=ACCOUNT, timeout=10).json()["token"]
        assert client.get(LIST, {"Authorization": token}).status_code == 200
        client.state.revoke_tokens()
        assert client.get(LIST, {"Authorization": token}).status_code == 401
        assert client.state.requests == {"token": 1, "list": 2}


def test_limit_faults_and_latency() -> None:
    with serving(invoices=4, rate=0.01, latency_ms=60) as client:
        start = time.monotonic()
        client.state.fail(1, 500)
        client.state.fail(1, 503, {"Retry-After": "2"})
        answers = [client.get("/api/Invoice/TM700001") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [500, 503, 200, 429]
        assert answers[0].json() == {"Message": "An error has occurred."}
        assert (answers[1].json(), answers[1].headers["Retry-After"]) == ({"Message": "Service Unavailable"}, "2")
        assert answers[3].json() == {"Message": "Too Many Requests"}
        assert 0 < int(answers[3].headers["Retry-After"]) <= 100
        assert time.monotonic() - start >= 0.24
        assert client.state.requests == {"detail": 4, "429": 1}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("text/json", "text/json"),
        ("text/xml", "text/xml"),
        ("image/png", "application/json"),
    ],
)
def test_accept_chooses_the_format(client: Client, accept: str, content_type: str) -> None:
    for path in (LIST, "/api/Invoice/TM700001", f"/api/Invoice/{sandbox.SAMPLE_INVOICE}", "/nowhere"):
        response = client.get(path, {"Accept": accept})
        assert response.headers["Content-Type"] == f"{content_type}; charset=utf-8"
        assert response.content.startswith(b"<" if "xml" in content_type else b"{")


# --- changes -----------------------------------------------------------------------------------------


def test_touch_issues_a_draft() -> None:
    with serving(invoices=20) as client:
        assert client.rows(IssuedDateStart="2030-01-01") == []
        before = client.json("/api/Invoice/TM700003")
        client.state.touch("TM700003", datetime(2030, 1, 2, 12, tzinfo=timezone(timedelta(hours=2))))
        [row] = client.rows(IssuedDateStart="2030-01-01")
        assert (row["InvoiceFriendlyStatus"], row["IssuedDate"]) == ("Published", "2030-01-02T10:00:00")
        after = client.json("/api/Invoice/TM700003")
        assert {name for name in after if after[name] != before[name]} == {
            "InvoiceFriendlyStatus",
            "DueDate",
            "IssuedDate",
            "InvoiceAmountOwed",
        }
        with pytest.raises(LookupError):
            client.state.touch("TM700020", datetime(2030, 1, 2))


def test_add_appends_invoices_issued_after_all_others() -> None:
    with serving(invoices=20) as client:
        client.state.touch("TM700003", datetime(2031, 5, 6))
        before = client.rows()
        client.state.add(4)
        after = client.rows()
        assert after[:20] == before
        assert [row["InvoiceRefNumber"] for row in after[20:]] == [f"TM7000{n}" for n in range(20, 24)]
        assert client.rows(IssuedDateStart="2031-05-06T00:00:01") == after[20:]
        assert client.state.totals()[""][0] == 24
