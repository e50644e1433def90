"""The ScanSource sandbox on the wire, checked against the vendor's documents (through a real socket)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
import requests
import uvicorn
from lxml import etree

from tap_scansource import sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.applications import Starlette

FIRST, SECOND = sandbox.CUSTOMER_NUMBERS
KEY = {"Ocp-Apim-Subscription-Key": sandbox.SUBSCRIPTION_KEY}
GATEWAY = "/scsc/invoice/v1"
XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
# http://webapitest.scansource.com/Help, GET invoice/summary: the members of one row.
SUMMARY_NAMES = [
    "OrderNumber",
    "InvoiceNumber",
    "PONumber",
    "DocType",
    "Total",
    "ShippingOption",
    "ShippingOptionDescription",
    "DateEntered",
    "LastChanged",
]
TOKEN_FORM = {
    "grant_type": "client_credentials",
    "client_id": sandbox.CLIENT_ID,
    "client_secret": sandbox.CLIENT_SECRET,
    "scope": sandbox.SCOPE,
}


class Client:
    """One sandbox, its base address and a session with the subscription key."""

    def __init__(self, app: Starlette, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> requests.Response:
        return self.session.get(self.base + path, params=params, headers=headers, timeout=10)

    def json(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def xml(self, path: str, **params: Any) -> etree._Element:
        response = self.get(path, {"Accept": "application/xml"}, **params)
        assert response.status_code == 200, response.text
        return etree.fromstring(response.content)

    def token(self, **changes: str) -> requests.Response:
        form = {name: value for name, value in {**TOKEN_FORM, **changes}.items() if value}
        return requests.post(self.base + sandbox.TOKEN_PATH, data=form, timeout=10)

    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token().json()['access_token']}"}

    def summaries(self, customer: str, **params: Any) -> list[Any]:
        rows: list[Any] = []
        page = 0
        while True:
            page += 1
            found = self.json(f"/invoice/summary/{customer}", page=page, pageSize=37, **params)
            rows += found
            if not found:
                return rows


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    app = sandbox.app(**options)
    # asyncio switches Nagle's delay (40 ms a request) off only on sockets that name their protocol.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener, requests.Session() as session:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        session.headers.update(KEY)
        config = uvicorn.Config(app, log_level="error", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket already listens: a request sent before uvicorn accepts just waits for it.
            yield Client(app, f"http://127.0.0.1:{listener.getsockname()[1]}", session)
        finally:
            session.close()
            while not server.started:
                time.sleep(0.01)
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 120 invoices that no test changes."""
    with serving(invoices=120) as running:
        yield running


@pytest.fixture(scope="module")
def details(client: Client) -> list[dict[str, Any]]:
    """Every invoice of the shared sandbox, fetched over the wire, with its customer."""
    return [
        {"CustomerNumber": customer, **client.json(f"/invoice/detail/{customer}/{row['InvoiceNumber']}")}
        for customer in sandbox.CUSTOMER_NUMBERS
        for row in client.summaries(customer)
    ]


def sample(name: str) -> bytes:
    return (files("tap_scansource") / "samples" / name).read_bytes()


def stamp(text: str) -> datetime:
    """A vendor stamp of at most six fraction digits, on the vendor's wall clock."""
    text = text.removesuffix("-05:00")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f" if "." in text else "%Y-%m-%dT%H:%M:%S")


# ---------------------------------------------------------------------------------------- shape and content


def shape(value: Any) -> Any:
    """Names in order, and the kind of every value; a list has the shape of its first item."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_json_has_the_samples_names_order_and_types(details: list[dict[str, Any]]) -> None:
    wanted = dict(shape(json.loads(sample("invoice.json"), parse_float=Decimal)))
    seen: set[str] = set()
    for invoice in details:
        found = shape(invoice)[1:]
        assert [name for name, _ in found] == list(wanted)
        for name, kind in found:
            if invoice[name] not in (None, []) and name not in (
                "InvoiceLines",
                "BillingAddress",
                "ShippingAddress",
            ):
                assert kind == wanted[name], name
                seen.add(name)
        for address in (invoice["BillingAddress"], invoice["ShippingAddress"]):
            assert address is None or list(address) == [name for name, _ in wanted["BillingAddress"]]
        for line in invoice["InvoiceLines"]:
            kinds = dict(wanted["InvoiceLines"][0])
            assert list(line) == list(kinds)
            assert all(shape(value) == kinds[name] for name, value in line.items() if value not in (None, []))
    assert seen == set(wanted) - {"InvoiceLines", "BillingAddress", "ShippingAddress"}


def test_summary_has_the_pages_names_in_order(client: Client) -> None:
    rows = client.json(f"/invoice/summary/{FIRST}")
    assert all(list(row) == SUMMARY_NAMES for row in rows)
    assert all(isinstance(row["Total"], Decimal) for row in rows)
    element = client.xml(f"/invoice/summary/{FIRST}", pageSize=3)
    assert element.tag == "ArrayOfInvoiceSummary"
    assert [row.tag for row in element] == ["InvoiceSummary"] * 3
    agree(rows[:3], list(element))


def agree(value: Any, element: Any) -> None:
    """The XML element says what the JSON value says: null is nil or absent, a list is its children."""
    if isinstance(value, dict):
        assert [child.tag for child in element if child.tag != "Id"] == [
            name for name, member in value.items() if member is not None or element.find(name) is not None
        ]
        for name, member in value.items():
            agree(member, element.find(name))
    elif isinstance(value, list):
        assert len(value) == len(element)
        for item, child in zip(value, element, strict=True):
            agree(item, child)
    elif value is None:
        assert element is None or element.get(XSI_NIL) == "true"
    elif isinstance(value, str):
        assert (element.text or "") == value
    else:
        assert Decimal(element.text) == value


def test_xml_and_json_of_every_invoice_agree(client: Client, details: list[dict[str, Any]]) -> None:
    nil: Counter[str] = Counter()
    for invoice in details:
        document = dict(invoice)
        element = client.xml(f"/invoice/detail/{document.pop('CustomerNumber')}/{document['InvoiceNumber']}")
        agree(document, element)
        nil.update(str(child.tag) for child in element.iter() if child.get(XSI_NIL))
    assert set(nil) == {"POLineNumber", "DeliveryLineNumber", "Cancelled"}


def test_xml_has_the_samples_root_order_and_id(client: Client) -> None:
    known = etree.fromstring(sample("invoice.xml"))
    names = [child.tag for child in known]
    line_names = [child.tag for child in known.iterfind("InvoiceLines/InvoiceLine[1]/*")]
    found = client.xml(f"/invoice/detail/{FIRST}/40000000")
    assert (found.tag, found.nsmap) == (known.tag, known.nsmap)
    assert [child.tag for child in found] == [n for n in names if found.find(n) is not None]
    for number, line in enumerate(found.iterfind("InvoiceLines/InvoiceLine"), 1):
        assert [child.tag for child in line] == [n for n in line_names if line.find(n) is not None]
        assert line.findtext("Id") == str(number)
        assert all(serial.tag == "string" for serial in line.iterfind("SerialNumbers/*"))
    body = client.get(f"/invoice/detail/{FIRST}/40000005", {"Accept": "text/xml"}).text
    assert body.startswith("<Invoice xmlns:xsd=")  # as in the sample, without a declaration
    assert "<InvoiceLines/>" in body
    assert "ShippingAddress" not in body
    assert '<Cancelled xsi:nil="true"/>' in body


def test_decimals_keep_their_digits(client: Client) -> None:
    huge = client.get(f"/invoice/detail/{SECOND}/40000007")
    assert '"Total":1234567890123456.78,' in huge.text
    assert '"LineNumber":1.0,' in huge.text
    assert '"FreightAmount":0.00,' in huge.text
    row = client.get(f"/invoice/summary/{SECOND}", invoiceNumber=40000007)
    assert '"Total":1234567890123456.78,' in row.text
    in_xml = client.xml(f"/invoice/detail/{SECOND}/40000007")
    assert in_xml.findtext("Total") == "1234567890123456.78"
    assert in_xml.findtext("InvoiceLines/InvoiceLine/LineNumber") == "1"
    beyond = client.json(f"/invoice/detail/{FIRST}/40000013")["Total"]
    assert beyond * 100 == 2**53 + 1


def test_amounts_add_up(details: list[dict[str, Any]]) -> None:
    for invoice in details:
        lines = [line["Shipped"] * line["Price"] for line in invoice["InvoiceLines"]]
        extras = invoice["FreightAmount"] + invoice["TaxAmount"] + invoice["InsuranceAmount"]
        assert sum(lines, extras) == invoice["Total"]
        assert invoice["Total"].as_tuple().exponent == -2
        assert "-0.00" not in {str(v) for v in invoice.values()}
        assert invoice["Total"] <= 0 if invoice["DocType"] == "Credit" else invoice["Total"] >= 0


def test_totals_are_the_sums_over_the_wire(client: Client, details: list[dict[str, Any]]) -> None:
    sums: dict[str, tuple[int, Decimal]] = {}
    for invoice in details:
        count, total = sums.get(invoice["Currency"], (0, Decimal(0)))
        sums[invoice["Currency"]] = count + 1, total + invoice["Total"]
    assert client.state.totals() == sums
    assert {"USD", "CAD", "EUR", "GBP"} == set(sums)
    by_customer = Counter(invoice["CustomerNumber"] for invoice in details)
    assert by_customer == {FIRST: 90, SECOND: 30}


def test_summary_agrees_with_detail(client: Client, details: list[dict[str, Any]]) -> None:
    rows = [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]
    for row, invoice in zip(rows, details, strict=True):
        assert row["OrderNumber"] == invoice["SalesOrderNumber"]
        for name in set(SUMMARY_NAMES) - {"OrderNumber", "DateEntered", "LastChanged"}:
            assert row[name] == invoice[name]


def test_invoices_are_what_the_wire_says(client: Client, details: list[dict[str, Any]]) -> None:
    by_number = {invoice["InvoiceNumber"]: invoice for invoice in client.state.invoices()}
    assert len(by_number) == len(details)
    assert all(by_number[invoice["InvoiceNumber"]] == invoice for invoice in details)


def test_data_has_the_shapes_that_clients_stumble_over(details: list[dict[str, Any]]) -> None:
    sizes = {len(invoice["InvoiceLines"]) for invoice in details}
    assert {0, 1, 2} <= sizes
    assert max(sizes) <= 12
    lines = [line for invoice in details for line in invoice["InvoiceLines"]]
    assert any(not line["SerialNumbers"] for line in lines)
    assert any(line["Price"].as_tuple().exponent == -4 for line in lines)
    assert any(line["LineNumber"] % 1 for line in lines)
    text = json.dumps(details, default=str, ensure_ascii=False)
    assert all(part in text for part in ("&", "<", '\\"', "é", "ñ", "™"))
    assert any(invoice["DocType"] == "Credit" and invoice["Total"] < 0 for invoice in details)
    for name in ("EndUserPO", "ShippingAddress", "Cancelled", "TrackingNumbers"):
        assert {invoice[name] is None for invoice in details} == {True, False}, name
    ships = [invoice["ShipDate"] for invoice in details]
    assert "0001-01-01T00:00:00" in ships
    assert any(ship.endswith("-05:00") for ship in ships)
    fractions = {len(ship.removesuffix("-05:00").partition(".")[2]) for ship in ships}
    assert {0, 3, 7} <= fractions


def test_stamps_are_texts_of_one_clock_with_a_few_ties(client: Client) -> None:
    rows = [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]
    changes = Counter(stamp(row["LastChanged"]) for row in rows)
    assert len(rows) * 9 // 10 < len(changes) < len(rows)
    assert all(stamp(row["DateEntered"]) <= stamp(row["LastChanged"]) for row in rows)
    assert max(stamp(row["LastChanged"]) - stamp(row["DateEntered"]) for row in rows) > timedelta(days=20)
    first = [stamp(row["LastChanged"]) for row in client.summaries(FIRST)]
    assert first != sorted(first)
    assert {row["LastChanged"].endswith("-05:00") for row in rows} == {True, False}
    assert not any(row["LastChanged"].removesuffix("-05:00").endswith(".0") for row in rows)


def test_same_seed_same_bytes_other_seed_other_bytes(client: Client) -> None:
    paths = [f"/invoice/summary/{FIRST}?pageSize=30", f"/invoice/detail/{FIRST}/40000001"]
    with serving(invoices=60) as again, serving(invoices=60, seed=2) as other:
        for path in paths:
            assert again.get(path).content == client.get(path).content
            assert other.get(path).content != client.get(path).content


# ------------------------------------------------------------------------------------ the document's sample


def test_sample_is_served_verbatim_but_not_listed(client: Client) -> None:
    path = f"/api/invoice/detail/{FIRST}/{sandbox.SAMPLE_INVOICE}"
    assert client.get(path).content == sample("invoice.json")
    assert client.get(path, {"Accept": "application/xml"}).content == sample("invoice.xml")
    assert client.get(f"/invoice/detail/{SECOND}/{sandbox.SAMPLE_INVOICE}").status_code == 404
    assert client.json(f"/invoice/summary/{FIRST}", invoiceNumber=sandbox.SAMPLE_INVOICE) == []
    assert json.loads(sample("invoice.json"))["InvoiceNumber"] == "sample string 1"


# ------------------------------------------------------------------------------------- paths and parameters


def test_both_path_forms_with_and_without_prefix_give_the_same(client: Client) -> None:
    bearer = client.bearer()
    number = "40000001"
    documented = f"/invoice/detail/{FIRST}/{number}"
    wanted = client.get(documented).content
    assert client.get(f"/api{documented}").content == wanted
    for prefix in ("", GATEWAY):
        for names in (("customerNumber", "InvoiceNumber"), ("CUSTOMERNUMBER", "invoicenumber")):
            query: dict[str, Any] = dict(zip(names, (FIRST, number), strict=True))
            assert client.get(f"{prefix}/detail", bearer, **query).content == wanted
    rows = client.get(f"/invoice/summary/{FIRST}", PAGESIZE=5).content
    assert len(json.loads(rows)) == 5
    assert client.get(f"/api/invoice/summary/{FIRST}", pageSize=5).content == rows
    assert client.get("/summary", customerNumber=FIRST, pageSize=5).content == rows
    assert client.get(f"{GATEWAY}/summary", bearer, customerNumber=FIRST, pagesize=5).content == rows


def test_exclude_serial_tracking_empties_both_lists(client: Client) -> None:
    path = f"/invoice/detail/{FIRST}/40000000"
    full = client.json(path, excludeSerialTracking="False")
    without = client.json(path, excludeSerialTracking="true")
    assert any(line["SerialNumbers"] for line in full["InvoiceLines"])
    full["TrackingNumbers"] = []
    for line in full["InvoiceLines"]:
        line["SerialNumbers"] = []
    assert without == full


def test_pages() -> None:
    with serving(invoices=1500) as client:
        path = f"/invoice/summary/{FIRST}"
        default = client.json(path)
        assert len(default) == 100
        assert client.json(path, page=1, pageSize=100, unknown="x") == default
        most = client.json(path, pageSize=5000)
        assert len(most) == 1000
        assert most[:100] == default
        last = client.json(path, page=2, pageSize=1000)
        assert len(last) == 1500 * 3 // 4 - 1000
        assert client.json(path, page=3, pageSize=1000) == []
        numbers = [row["InvoiceNumber"] for row in most + last]
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    "query",
    [{"page": "0"}, {"page": "x"}, {"pageSize": "-1"}, {"fromDate": "yesterday"}, {"toDate": "2021-13-01"}],
)
def test_a_parameter_that_does_not_bind_is_400(client: Client, query: dict[str, Any]) -> None:
    response = client.get(f"/invoice/summary/{FIRST}", **query)
    assert (response.status_code, response.json()) == (400, {"Message": "The request is invalid."})


def test_number_filters(client: Client) -> None:
    rows = client.summaries(FIRST)
    for row in rows[::17]:
        assert client.summaries(FIRST, invoiceNumber=row["InvoiceNumber"]) == [row]
        assert client.summaries(FIRST, salesOrderNumber=row["OrderNumber"]) == [row]
        same_order = [other for other in rows if other["PONumber"] == row["PONumber"]]
        assert len(same_order) > 1
        assert client.summaries(FIRST, poNumber=row["PONumber"]) == same_order
    assert client.summaries(FIRST, invoiceNumber=rows[0]["InvoiceNumber"], poNumber="another") == []
    assert client.summaries(SECOND, invoiceNumber=rows[0]["InvoiceNumber"]) == []


@pytest.mark.parametrize(("option", "name"), [("entered", "DateEntered"), ("changed", "LastChanged")])
def test_date_filters(option: str, name: str) -> None:
    with serving(invoices=1000, date_filter=option) as client:
        rows = client.summaries(FIRST)
        day = stamp(rows[300][name]).replace(hour=0, minute=0, second=0, microsecond=0)
        dates = {"fromDate": f"{day:%Y-%m-%d}", "toDate": f"{day + timedelta(days=1):%Y-%m-%d}"}
        within = [row for row in rows if day <= stamp(row[name]) < day + timedelta(days=2)]
        assert 0 < len(within) < len(rows)
        assert client.summaries(FIRST, **dates) == within
        assert client.summaries(FIRST, fromDate=dates["fromDate"]) == [r for r in rows if stamp(r[name]) >= day]
        exact = stamp(rows[300][name])
        assert rows[300] in client.summaries(FIRST, fromDate=exact.isoformat(), toDate=exact.isoformat())
        in_utc = (exact + timedelta(hours=5)).isoformat() + "Z"
        assert rows[300] in client.summaries(FIRST, fromDate=in_utc, toDate=in_utc)
        assert client.summaries(FIRST, fromDate="1999-01-01", toDate="9999-12-31") == rows


# -------------------------------------------------------------------------------------- content negotiation


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json; charset=utf-8"),
        ("*/*", "application/json; charset=utf-8"),
        ("text/json", "text/json; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"),
        ("text/xml", "text/xml; charset=utf-8"),
        ("application/xml;q=0.5, application/json", "application/json; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/xml; charset=utf-8"),
        ("image/png", "application/json; charset=utf-8"),
    ],
)
def test_accept_chooses_the_format(client: Client, accept: str | None, content_type: str) -> None:
    # requests sends "Accept: */*" unless the header is None.
    headers: Any = {"Accept": accept}
    paths = (
        f"/invoice/detail/{FIRST}/40000000",
        f"/invoice/summary/{FIRST}",
        f"/invoice/detail/{FIRST}/none",
    )
    for path in paths:
        response = client.get(path, headers)
        assert response.headers["Content-Type"] == content_type
        if "xml" in content_type:
            etree.fromstring(response.content)
        else:
            response.json()


def test_gzip_only_for_those_who_accept_it(client: Client) -> None:
    path = f"/invoice/summary/{FIRST}"
    packed = client.get(path, {"Accept-Encoding": "gzip"})
    plain = client.get(path, {"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content


# ------------------------------------------------------------------------------------------- authentication


def test_subscription_key_is_needed_everywhere(client: Client) -> None:
    paths = [f"{prefix}/invoice/summary/{FIRST}" for prefix in ("", "/api")]
    paths += [f"{prefix}/summary?customerNumber={FIRST}" for prefix in ("", GATEWAY)]
    bearer = client.bearer()
    for path in paths:
        missing = requests.get(client.base + path, headers=bearer, timeout=10)
        assert (missing.status_code, missing.json()["statusCode"]) == (401, 401)
        assert missing.json()["message"].startswith("Access denied due to missing subscription key")
        wrong = client.get(path, {**bearer, "Ocp-Apim-Subscription-Key": "wrong", "Accept": "application/xml"})
        assert (wrong.status_code, wrong.json()["statusCode"]) == (401, 401)
        assert wrong.json()["message"].startswith("Access denied due to invalid subscription key")
        assert client.get(path, bearer).status_code == 200


def test_the_gateway_needs_a_bearer_token_as_well(client: Client) -> None:
    path = f"{GATEWAY}/detail?customerNumber={FIRST}&InvoiceNumber=40000000"
    no_bearer = client.bearer()["Authorization"].replace("Bearer", "Basic")
    for authorization in ("", "Bearer", "Bearer wrong", no_bearer):
        refused = client.get(path, {"Authorization": authorization})
        assert refused.status_code == 401
        assert set(refused.json()) == {"statusCode", "message"}
    assert client.get(path, client.bearer()).status_code == 200


def test_token_answer_is_that_of_rfc_6749(client: Client) -> None:
    response = client.token()
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert (body["token_type"], body["expires_in"]) == ("Bearer", 3600)
    assert body["access_token"] != client.token().json()["access_token"]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "wrong"}, 401, "invalid_client"),
        ({"scope": "wrong"}, 400, "invalid_scope"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"scope": ""}, 400, "invalid_request"),
    ],
)
def test_token_refusals(client: Client, changes: dict[str, str], status: int, error: str) -> None:
    response = client.token(**changes)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert "access_token" not in response.json()


def test_token_request_must_be_a_form(client: Client) -> None:
    response = requests.post(client.base + sandbox.TOKEN_PATH, json=TOKEN_FORM, timeout=10)
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_revoked_and_expired_tokens_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(invoices=4) as client:
        path, bearer = f"{GATEWAY}/summary?customerNumber={FIRST}", client.bearer()
        assert client.get(path, bearer).status_code == 200
        client.state.revoke_tokens()
        assert client.get(path, bearer).status_code == 401
        assert client.get(path, client.bearer()).status_code == 200
        monkeypatch.setattr(sandbox, "TOKEN_SECONDS", 0)
        assert client.get(path, client.bearer()).status_code == 401
        assert client.state.requests == {"token": 3, "summary": 4}


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "path",
    [
        f"/invoice/detail/{FIRST}/39999999",
        f"/invoice/detail/{FIRST}/40000120",
        f"/invoice/detail/{FIRST}/040000000",
        f"/invoice/detail/{SECOND}/40000000",
        "/invoice/detail/unknown/40000000",
        "/invoice/summary/unknown",
        "/summary",
        f"/detail?customerNumber={FIRST}",
        "/nowhere",
    ],
)
def test_unknown_is_404_in_web_apis_form(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert list(response.json()) == ["Message"]
    in_xml = client.get(path, {"Accept": "application/xml"})
    assert in_xml.status_code == 404
    assert in_xml.text.startswith("<Error><Message>")


def test_rate_limit_answers_as_azure_does() -> None:
    with serving(invoices=4, rate=0.01) as client:
        path = f"/invoice/summary/{FIRST}"
        assert client.get(path).status_code == 200
        limited = client.get(path)
        seconds = limited.headers["Retry-After"]
        assert 0 < int(seconds) <= 100
        message = f"Rate limit is exceeded. Try again in {seconds} seconds."
        assert (limited.status_code, limited.json()) == (429, {"statusCode": 429, "message": message})
        assert client.token().status_code == 200
        assert client.state.requests == {"summary": 2, "429": 1, "token": 1}


def test_rate_limit_allows_a_burst_of_one_second() -> None:
    with serving(invoices=4, rate=5) as client:
        assert [client.get(f"/invoice/summary/{FIRST}").status_code for _ in range(5)] == [200] * 5


def test_injected_faults_come_first_and_then_end() -> None:
    with serving(invoices=4) as client:
        path = f"/invoice/detail/{FIRST}/40000000"
        client.state.fail(2, 429, {"Retry-After": "7"})
        client.state.fail(1, 500)
        client.state.fail(1, 503, {"Retry-After": "2"})
        client.state.fail(1, 401)
        assert client.token().status_code == 200
        answers = [client.get(path) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [429, 429, 500, 503, 401, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert answers[0].json()["message"] == "Rate limit is exceeded. Try again in 7 seconds."
        assert answers[2].json() == {"Message": "An error has occurred."}
        assert answers[3].headers["Retry-After"] == "2"
        assert answers[4].json()["statusCode"] == 401
        client.state.fail(1, 429)
        assert client.get(path).headers["Retry-After"] == "1"
        assert client.state.requests == {"token": 1, "detail": 7, "429": 3}


def test_latency_delays_the_answer() -> None:
    with serving(invoices=4, latency_ms=60) as client:
        client.token()
        start = time.monotonic()
        client.get(f"/invoice/summary/{FIRST}")
        assert time.monotonic() - start >= 0.06


# -------------------------------------------------------------------------------------------------- changes


def test_touch_moves_last_changed_and_adds_a_tracking_number() -> None:
    with serving(invoices=20, date_filter="changed") as client:
        number = "40000001"
        before = client.json(f"/invoice/detail/{FIRST}/{number}")
        client.state.touch(number, datetime(2030, 1, 2, 12, 0, 0, 250_000, UTC))
        [row] = client.summaries(FIRST, fromDate="2030-01-02")
        assert (row["InvoiceNumber"], row["LastChanged"]) == (number, "2030-01-02T07:00:00.25")
        after = client.json(f"/invoice/detail/{FIRST}/{number}")
        assert len(after.pop("TrackingNumbers")) == len(before.pop("TrackingNumbers")) + 1
        assert after == before
        client.state.touch(number, datetime(2030, 1, 3))
        assert [row["LastChanged"] for row in client.summaries(FIRST, fromDate="2030-01-03")] == ["2030-01-03T00:00:00"]
        with pytest.raises(LookupError):
            client.state.touch("40000020", datetime(2030, 1, 2))


def test_add_appends_invoices_changed_after_all_others() -> None:
    with serving(invoices=40) as client:

        def rows() -> list[Any]:
            return [row for customer in sandbox.CUSTOMER_NUMBERS for row in client.summaries(customer)]

        before = rows()
        client.state.add(4)
        client.state.touch("40000041", datetime(2031, 5, 6))
        client.state.add(4)
        after = rows()
        old = {row["InvoiceNumber"] for row in before}
        new = sorted((row for row in after if row["InvoiceNumber"] not in old), key=lambda row: row["InvoiceNumber"])
        assert [row["InvoiceNumber"] for row in new] == [str(40_000_040 + n) for n in range(8)]
        latest = max(stamp(row["LastChanged"]) for row in before)
        assert all(stamp(row["LastChanged"]) > latest for row in new)
        assert all(stamp(row["LastChanged"]) > datetime(2031, 5, 6) for row in new[4:])
        entered = [stamp(row["DateEntered"]) for row in new]
        assert entered == sorted(entered)
        assert sum(count for count, _ in client.state.totals().values()) == 48
        assert client.json(f"/invoice/detail/{FIRST}/40000040")["InvoiceNumber"] == "40000040"
