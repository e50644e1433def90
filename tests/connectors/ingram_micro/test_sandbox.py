"""The Ingram Micro sandbox on the wire, checked against the vendor's documents (through a real socket)."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from importlib.resources import files
from typing import Any
from uuid import uuid4

import pytest
import requests

from tap_ingram_micro import sandbox
from vendortap.sandbox.serve import serving as served

SEARCH, DETAIL, V4 = sandbox.V6_PATH, sandbox.V61_PATH, sandbox.V4_PATH
FORM = {
    "grant_type": "client_credentials",
    "client_id": sandbox.CLIENT_ID,
    "client_secret": sandbox.CLIENT_SECRET,
}
FAULT = {
    "faultcode": "Server",
    "faultstring": "Invalid customer number. "
    "The customer number provided on the API call does not match the registered customer number.",
}
# The members of the vendor's models, in their order.
ROW = (
    "paymentTermsDueDate erpOrderNumber invoiceNumber invoiceStatus invoiceDate invoiceDueDate invoicedAmountDue"
    " customerOrderNumber endCustomerOrderNumber orderCreateDate invoiceAmountInclTax specialBidNumbers"
    " forgntotalamount gstInvoiceNumber isfseccenabled"
)
INVOICE = (
    "invoiceNumber invoiceStatus invoiceDate customerOrderNumber endCustomerOrderNumber orderNumber orderDate"
    " billToID invoiceType invoiceDueDate customerCountryCode customerNumber ingramOrderNumber notes"
    " paymentTermsInfo billToInfo shipToInfo endUserInfo lines fxRateInfo summary"
)
ADDRESS = (
    "contact companyName addressLine1 addressLine2 addressLine3 city state postalCode countryCode phoneNumber email"
)
LINE = (
    "ingramLineNumber customerLineNumber ingramPartNumber upc vendorPartNumber customerPartNumber vendorName"
    " productDescription unitWeight quantity unitPrice unitOfMeasure currencyCode extendedPrice taxPercentage taxRate"
    " taxAmount serialNumbers quantityOrdered quantityShipped"
)
TOTALS = "netInvoiceAmount discountAmount discountType totalTaxAmount invoicedAmountDue freightAmount"
FOREIGN = (
    "foreignCurrencyCode foreignCurrencyFxRate foreignTotalTaxableAmount foreignTotalTaxAmount foreignInvoiceAmountDue"
)
MODEL_1 = (
    "customernumber invoicenumber invoicedate invoicetype customerordernumber customerfreightamount"
    " customerforeignfrightamt totaltaxamount totalamount shiptosuffix billtosuffix freightamount paymentterms"
    " orderdate carrier carrierdescription discountamount taxtype enduserponumber freightforwardercode"
    " creditmemoreasoncode"
)
MODEL_2 = (
    "fulfillmentflag holdreason shipcomplete shipdate companycurrency currencycode currencyrate globalorderid"
    " originalshipcode ordertype orderstatus totalotherfees totalsales weight shippableswitch soldto billto"
    " shiptoaddress lines extendedspecs miscfeeline"
)
V4_LINE = (
    "linenumber linetype partnumber vendorpartnumber partdescription shipfrombranch shippedquantity orderedquantity"
    " marginpercent backorderquantity backorderetadate extendedprice specialbidnumber ordersuffix isacopapplied"
    " unitprice unitofmeasure serialnumberdetails trackingnumberdetails productextendedspecs"
)
V4_ADDRESS = (
    "attention name1 name2 addressline1 addressline2 addressline3 city state postalcode countrycode fax phonenumber"
    " email"
)


class Client:
    """One sandbox, its base address and a session with the headers of v6."""

    def __init__(self, app: Any, base: str, session: requests.Session) -> None:
        self.state, self.base, self.session = app.state, base, session

    def token(self, path: str = sandbox.TOKEN_PATHS[0], **changes: str) -> requests.Response:
        return requests.post(self.base + path, data=FORM | changes, timeout=10)

    def login(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def get(self, path: str, headers: dict[str, str | None] | None = None, **params: Any) -> requests.Response:
        sent = {"IM-CorrelationID": uuid4().hex, **(headers or {})}
        return self.session.get(self.base + path, params=params, headers=sent, timeout=10)

    def json(self, path: str, **params: Any) -> Any:
        response = self.get(path, **params)
        assert response.status_code == 200, response.text
        return json.loads(response.content, parse_float=Decimal)

    def search(self, **params: Any) -> list[Any]:
        rows: list[Any] = []
        for page in range(1, 1000):
            found = self.json(SEARCH, **{"pageSize": 100, "pageNumber": page, **params})
            rows += found["invoices"]
            if len(rows) >= found["recordsFound"]:
                return rows
        raise AssertionError("endless")

    def v4(self, number: Any, customer: str = sandbox.CUSTOMER_NUMBER) -> requests.Response:
        body = {
            "servicerequest": {
                "requestpreamble": {"isocountrycode": "US", "customernumber": customer},
                "invoicedetailrequest": {"invoicenumber": number},
            }
        }
        return self.session.post(self.base + V4, json=body, timeout=10)

    def v4_json(self, number: str) -> Any:
        return json.loads(self.v4(number).content, parse_float=Decimal)["serviceresponse"]


@contextmanager
def serving(**options: Any) -> Iterator[Client]:
    options = {"calls_per_minute": 0} | options
    with served(sandbox.app(**options)) as running, requests.Session() as session:
        client = Client(running.app, running.url, session)
        customer = {"IM-CustomerNumber": sandbox.CUSTOMER_NUMBER, "IM-CountryCode": "US"}
        session.headers.update({**customer, "IM-ApplicationID": "vendortap"})
        client.login()
        yield client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A sandbox of 130 invoices that no test changes."""
    with serving(invoices=130) as running:
        yield running


@pytest.fixture(scope="module")
def rows(client: Client) -> list[Any]:
    """All rows of the search, newest first."""
    return client.search()


@pytest.fixture(scope="module")
def details(client: Client, rows: list[Any]) -> list[Any]:
    """The v6.1 document of every invoice listed, newest first."""
    numbers = dict.fromkeys(row["erpOrderNumber"] for row in rows)
    return [client.json(f"{DETAIL}/{number}") for number in numbers]


def v6_error(response: requests.Response) -> tuple[int, Any, Any]:
    """Status, message and names of the fields of a v6 error body."""
    assert list(response.json()) == ["errors"]
    [found] = response.json()["errors"]
    names = list(found)
    assert names[0] in ("id", "traceid")
    assert names[1:] == ["type", "message", "fields"]
    assert all(list(field) == ["field", "value", "message"] for field in found["fields"])
    return response.status_code, found["message"], [field["field"] for field in found["fields"]]


# ------------------------------------------------------------------------------------------- the search


def test_search_has_the_specifications_members(client: Client, rows: list[Any]) -> None:
    page = client.json(SEARCH)
    assert list(page) == ["recordsFound", "pageSize", "pageNumber", "nextPage", "invoices"]
    assert (page["recordsFound"], page["pageSize"], page["pageNumber"]) == (136, 25, 1)
    assert page["nextPage"] == f"{SEARCH}?invoiceDateFrom=&page=2&size=25"
    assert page["invoices"] == rows[:25]
    more = ["ingramOrderNumber", "invoiceType", "currencyCode"]
    assert {tuple(row) for row in rows} == {tuple(ROW.split()), (*ROW.split(), *more)}
    assert {type(row["invoicedAmountDue"]) for row in rows} == {Decimal, str}
    assert {row["specialBidNumbers"] == [] for row in rows} == {True, False}
    assert {"-" in row["invoiceNumber"] for row in rows} == {True, False}
    assert all(row["erpOrderNumber"].replace("-", "") == row["invoiceNumber"].replace("-", "") for row in rows)
    assert {len(row["invoiceDate"]) for row in rows} == {len("2026-03-16"), len("2026-06-01T13:06:00")}


def test_pages_of_any_size_are_the_same_list(client: Client, rows: list[Any]) -> None:
    assert client.search(pageSize=7) == rows
    assert client.search(direction="asc", orderby="InvoiceDate") == rows[::-1]
    days = [row["invoiceDate"][:10] for row in rows]
    assert days == sorted(days, reverse=True)
    last = client.json(SEARCH, pageSize=100, pageNumber=2)
    assert (len(last["invoices"]), last["nextPage"]) == (36, "")
    assert client.json(SEARCH, pageNumber=9)["invoices"] == []


def test_some_invoices_are_listed_twice_on_different_pages(client: Client, rows: list[Any]) -> None:
    counts = Counter(row["erpOrderNumber"] for row in rows)
    assert Counter(counts.values()) == {1: 124, 2: 6}
    twice = next(number for number, count in counts.items() if count == 2)
    both = [row for row in rows if row["erpOrderNumber"] == twice]
    assert both[0]["invoiceDate"] > both[1]["invoiceDate"]
    assert both[0]["invoicedAmountDue"] == both[1]["invoicedAmountDue"]
    assert client.json(f"{DETAIL}/{twice}")["invoiceDate"] == both[0]["invoiceDate"]
    pages = [client.json(SEARCH, pageSize=10, pageNumber=number)["invoices"] for number in range(1, 15)]
    assert sum(any(row["erpOrderNumber"] == twice for row in page) for page in pages) == 2


@pytest.mark.parametrize(
    ("parameter", "member", "test"),
    [
        ("invoiceFromDate", "invoiceDate", lambda found, wanted: found[:10] >= wanted[:10]),
        ("invoiceToDate", "invoiceDate", lambda found, wanted: found[:10] <= wanted[:10]),
        ("invoiceDate", "invoiceDate", lambda found, wanted: found[:10] == wanted[:10]),
        ("invoiceFromDueDate", "invoiceDueDate", lambda found, wanted: found >= wanted),
        ("invoiceToDueDate", "invoiceDueDate", lambda found, wanted: found <= wanted),
        ("invoiceDueDate", "invoiceDueDate", lambda found, wanted: found == wanted),
        ("paymentTermsNetDate", "paymentTermsDueDate", lambda found, wanted: found == wanted),
        ("orderFromDate", "orderCreateDate", lambda found, wanted: found >= wanted),
        ("orderToDate", "orderCreateDate", lambda found, wanted: found <= wanted),
        ("orderDate", "orderCreateDate", lambda found, wanted: found == wanted),
        ("invoiceStatus", "invoiceStatus", lambda found, wanted: found == wanted),
        ("orderNumber", "erpOrderNumber", lambda found, wanted: found == wanted),
        ("invoiceNumber", "invoiceNumber", lambda found, wanted: found.replace("-", "") == wanted.replace("-", "")),
        ("customerOrderNumber", "customerOrderNumber", lambda found, wanted: found == wanted),
    ],
)
def test_filters(client: Client, rows: list[Any], parameter: str, member: str, test: Any) -> None:
    wanted = rows[50][member][:19]
    sent = wanted[:10] if parameter.endswith("Date") else wanted
    found = client.search(**{parameter: sent})
    assert found == [row for row in rows if test(row[member], wanted)]
    assert 0 < len(found) < len(rows)


def test_more_filters(client: Client, rows: list[Any], details: list[Any]) -> None:
    bid = next(row for row in rows if row["specialBidNumbers"])
    assert bid in client.search(specialBidNumber=bid["specialBidNumbers"][0])
    serials = [(invoice, line["serialNumbers"]) for invoice in details for line in invoice["lines"]]
    invoice, [serial, *_] = next(pair for pair in serials if pair[1] and pair[1][0]["serialNumber"])
    found = client.search(serialNumber=serial["serialNumber"])
    assert {row["erpOrderNumber"] for row in found} == {invoice["invoiceNumber"]}
    delivery = client.v4_json(rows[0]["erpOrderNumber"])["invoicedetailresponse"]
    assert len(client.search(DeliveryNumber="80000129")) == 1
    assert delivery["globalorderid"] == client.search(DeliveryNumber="80000129")[0]["erpOrderNumber"]
    assert len(client.search(invoiceType="Credit")) == len(range(8, 130, 15))
    open_and_recent = client.search(invoiceStatus="open", invoiceFromDate="2026-01-01")
    assert open_and_recent == [r for r in rows if r["invoiceStatus"] == "OPEN" and r["invoiceDate"] >= "2026-01-01"]


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("pageSize", "101"),
        ("pageSize", "0"),
        ("pageNumber", "0"),
        ("pageNumber", "x"),
        ("invoiceFromDate", "2026-13-01"),
        ("orderToDate", "06/30/2026"),
        ("direction", "up"),
        ("orderby", "weight"),
    ],
)
def test_bad_parameters(client: Client, parameter: str, text: str) -> None:
    status, _, fields = v6_error(client.get(SEARCH, None, **{parameter: text}))
    assert (status, [name.lower() for name in fields]) == (400, [parameter.lower()])


def test_the_trailing_slash_and_the_sandboxs_prefix(client: Client, rows: list[Any]) -> None:
    for path in (f"{SEARCH}/", f"/sandbox{SEARCH}", f"/sandbox{SEARCH}/"):
        answer = client.session.get(
            client.base + path, headers={"IM-CorrelationID": uuid4().hex}, timeout=10, allow_redirects=False
        )
        assert json.loads(answer.content, parse_float=Decimal)["invoices"] == rows[:25]


# ------------------------------------------------------------------------------------------- the detail


def test_detail_has_the_specifications_members(details: list[Any]) -> None:
    charges: list[Any] = []
    for invoice in details:
        assert list(invoice) == INVOICE.split()
        for name in ("billToInfo", "shipToInfo", "endUserInfo"):
            assert invoice[name] is None or list(invoice[name]) == ADDRESS.split()
        assert list(invoice["paymentTermsInfo"]) == [
            "paymentTermsCode",
            "paymentTermsDescription",
            "paymentTermsDueDate",
        ]
        assert all(list(line) == LINE.split() for line in invoice["lines"])
        assert list(invoice["fxRateInfo"]) == ["currencyCode", "companyCurrency", "invoiceCurrency", "currencyFxRate"]
        summary = invoice["summary"]
        assert list(summary) == ["lines", "miscCharges", "totals", "foreignFxTotals"]
        assert list(summary["lines"]) == ["productLineCount", "productLineTotalQuantity"]
        assert list(summary["totals"]) == TOTALS.split()
        assert list(summary["foreignFxTotals"]) == FOREIGN.split()
        charges.append(summary["miscCharges"])
    assert None in charges
    assert [] in charges
    assert {tuple(charge) for found in charges for charge in found or ()} == {
        ("ChargeDescription", "MiscChargeLineCount", "MiscChargeLineTotal", "ChargeLineReference", "IsNonMisc")
    }
    lines = [line for invoice in details for line in invoice["lines"]]
    assert {type(line["unitWeight"]) for line in lines} == {str, Decimal}
    assert {line["serialNumbers"] is None for line in lines} == {True, False}
    assert [{"serialNumber": None}] in [line["serialNumbers"] for line in lines]
    assert {1, 2, 5} <= {len(invoice["lines"]) for invoice in details}
    text = json.dumps(details, default=str, ensure_ascii=False)
    assert all(part in text for part in ("&", "<", '\\"', "É", "ñ".upper(), "™"))


def test_amounts_add_up(details: list[Any]) -> None:
    for invoice in details:
        summary, lines = invoice["summary"], invoice["lines"]
        totals = summary["totals"]
        for line in lines:
            assert line["extendedPrice"] == line["quantity"] * line["unitPrice"]
            assert line["quantity"] == line["quantityShipped"]
            assert line["taxRate"] * 100 == line["taxPercentage"]
        assert totals["netInvoiceAmount"] == sum(line["extendedPrice"] for line in lines)
        assert totals["totalTaxAmount"] == sum(line["taxAmount"] for line in lines)
        misc = sum(charge["MiscChargeLineTotal"] for charge in summary["miscCharges"] or ())
        parts = totals["netInvoiceAmount"] + totals["totalTaxAmount"] + totals["freightAmount"] + misc
        assert parts - totals["discountAmount"] == totals["invoicedAmountDue"]
        assert summary["lines"]["productLineCount"] == len(lines)
        assert (totals["invoicedAmountDue"] < 0) == (invoice["invoiceType"] == "Credit")


def test_totals_are_the_sums_over_the_wire(client: Client, rows: list[Any], details: list[Any]) -> None:
    sums: dict[str, tuple[int, Decimal]] = {}
    due = {invoice["invoiceNumber"]: invoice["summary"]["totals"]["invoicedAmountDue"] for invoice in details}
    for invoice in details:
        [currency] = {line["currencyCode"] for line in invoice["lines"]}
        count, total = sums.get(currency, (0, Decimal(0)))
        sums[currency] = count + 1, total + due[invoice["invoiceNumber"]]
    assert client.state.totals() == sums
    assert set(sums) == {"USD", "CAD", "EUR"}
    assert all(Decimal(row["invoicedAmountDue"]) == due[row["erpOrderNumber"]] for row in rows)
    assert sorted(client.state.invoices(), key=str) == sorted(details, key=str)


def test_amounts_that_no_float_holds(client: Client) -> None:
    numbers = [invoice["invoiceNumber"] for invoice in client.state.invoices()]
    assert '"invoicedAmountDue":1234567890123456.78,' in client.get(f"{DETAIL}/{numbers[7]}").text
    assert client.json(f"{DETAIL}/{numbers[13]}")["summary"]["totals"]["invoicedAmountDue"] * 100 == 2**53 + 1


def test_numbers_are_known_with_and_without_dashes(client: Client, rows: list[Any]) -> None:
    number = rows[0]["erpOrderNumber"]
    assert client.json(f"{DETAIL}/{number}") == client.json(f"{DETAIL}/{number.replace('-', '')}")
    assert client.json(f"{DETAIL}/{number}", customerType="order")["invoiceNumber"] == number
    answer = client.get(f"{DETAIL}/{number}", {"version": "v6.1"}, includeSerialNumbers="false")
    assert {line["serialNumbers"] is None for line in answer.json()["lines"]} == {True}
    assert v6_error(client.get(f"{DETAIL}/{number}", customerType="cart"))[0] == 400
    for unknown in ("99-ZZZZZ-99", "unknown", number[:-1] + "9", number.lower()):
        status, message, _ = v6_error(client.get(f"{DETAIL}/{unknown}"))
        assert (status, message) == (404, f"{unknown} not found")


def test_pascal_case() -> None:
    with serving(invoices=20, key_case="pascal") as client:
        number = next(client.state.invoices())["invoiceNumber"]
        invoice = client.json(f"{DETAIL}/{number}")
        assert list(invoice) == [name[0].upper() + name[1:] for name in INVOICE.split()]
        assert {"Lines", "MiscCharges", "Totals", "ForeignFxTotals"} == set(invoice["Summary"])
        assert next(iter(invoice["Lines"][0])) == "IngramLineNumber"
        assert next(iter(client.json(SEARCH))) == "recordsFound"


# ----------------------------------------------------------------------------------------------- v4


@pytest.fixture(scope="module")
def orders(client: Client, rows: list[Any]) -> dict[str, Any]:
    """The serviceresponse of v4 by number, for every invoice that it finds."""
    numbers = dict.fromkeys(row["erpOrderNumber"] for row in rows)
    found = {number: client.v4_json(number) for number in numbers}
    return {number: order for number, order in found.items() if "invoicedetailresponse" in order}


def test_v4_has_the_members_of_both_models(orders: dict[str, Any]) -> None:
    absent = {"customernumber", "invoicedate", "invoicetype"}
    seen: Counter[tuple[object, ...]] = Counter()
    for number, order in orders.items():
        assert list(order) == ["responsepreamble", "invoicedetailresponse"]
        assert list(order["responsepreamble"]) == ["responsestatus", "statuscode", "responsemessage"]
        invoice = order["invoicedetailresponse"]
        names = [name.replace("shopto", "shipto") for name in invoice]
        wanted = [name for name in f"{MODEL_1} {MODEL_2}".split() if name in names]
        assert names == wanted
        seen[tuple(sorted(absent - set(names)))] += 1
        seen["shoptoaddress" in invoice,] += 1
        assert (invoice["globalorderid"], invoice["invoicenumber"]) == (number, number[3:])
        assert list(invoice["soldto"]) == list(invoice["billto"]) == V4_ADDRESS.split()
        for line in invoice["lines"]:
            free = line["linenumber"] == "895"
            assert list(line) == [name for name in V4_LINE.split() if not (free and name == "partnumber")]
            if free:
                assert line["partdescription"] == "FREE FREIGHT"
                assert line["vendorpartnumber"] is line["unitofmeasure"] is None
    kept, dropped = seen[()], seen[tuple(sorted(absent))]
    assert kept + dropped == len(orders)
    assert dropped > kept > 0
    assert 0 < seen[True,] < seen[False,]
    assert any(line["linenumber"] == "895" for o in orders.values() for line in o["invoicedetailresponse"]["lines"])


def test_v4_amounts_are_mostly_text_and_agree_with_v61(orders: dict[str, Any], details: list[Any]) -> None:
    kinds: Counter[type] = Counter()
    for detail in details:
        if detail["invoiceNumber"] not in orders:
            continue
        order = orders[detail["invoiceNumber"]]["invoicedetailresponse"]
        kinds[type(order["totalamount"])] += 1
        assert isinstance(order["discountamount"], Decimal)
        assert isinstance(order["totalotherfees"], Decimal)
        totals = detail["summary"]["totals"]
        assert Decimal(order["totalamount"]) == totals["invoicedAmountDue"]
        assert Decimal(order["totaltaxamount"]) == totals["totalTaxAmount"]
        parts = [order[n] for n in ("totalsales", "freightamount", "totaltaxamount", "totalotherfees")]
        assert sum(map(Decimal, parts)) - order["discountamount"] == Decimal(order["totalamount"])
        assert sum(Decimal(line["extendedprice"]) for line in order["lines"]) == totals["netInvoiceAmount"]
        assert order["currencycode"] == detail["lines"][0]["currencyCode"]
    assert kinds[str] > kinds[Decimal] > 0
    assert any(order["invoicedetailresponse"]["totaltaxamount"] == "0" for order in orders.values())


def test_v4_statuses_under_http_200(client: Client, orders: dict[str, Any], rows: list[Any]) -> None:
    preambles = Counter(tuple(order["responsepreamble"].values()) for order in orders.values())
    assert set(preambles) == {
        ("SUCCESS", "200", "Invoice Found"),
        ("SUCCESS", "WY", "Invoice Found"),
        ("SUCCESSWITHERROR", "046", "Partial Data Found"),
    }
    missing = {"responsestatus": "FAILED", "statuscode": "500", "responsemessage": "Data Not Found"}
    for number in ("20-ZZZZZ-11", "unknown", rows[-1]["erpOrderNumber"], rows[0]["erpOrderNumber"].replace("-", "")):
        answer = client.v4(number)
        assert (answer.status_code, answer.json()) == (200, {"serviceresponse": {"responsepreamble": missing}})
    issued = {row["erpOrderNumber"]: row["invoiceDate"][:10] for row in rows}  # the older of two rows counts
    assert set(orders) == {number for number, day in issued.items() if day >= "2025-09-29"}


def test_v4_takes_the_documents_own_request(client: Client, rows: list[Any]) -> None:
    body = (files("tap_ingram_micro") / "samples" / "invoicedetails-request.json").read_bytes()
    answer = client.session.post(
        f"{client.base}/sandbox{V4}", data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    invoice = answer.json()["serviceresponse"]["invoicedetailresponse"]
    assert (invoice["globalorderid"], invoice["customerordernumber"]) == (sandbox.SAMPLE_INVOICE, "DH-200732")
    assert sandbox.SAMPLE_INVOICE not in {row["erpOrderNumber"] for row in rows}


def test_the_customer_number_must_be_the_registered_one(client: Client, rows: list[Any]) -> None:
    assert client.v4(rows[0]["erpOrderNumber"], "20-333333").json() == FAULT
    assert client.get(SEARCH, {"IM-CustomerNumber": "20-333333"}).json() == FAULT
    with serving(invoices=3, fault_status=500) as other:
        assert other.v4("20-K0000-11", "20-333333").status_code == 500


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"servicerequest": {"requestpreamble": {}}}', "null"])
def test_v4_bad_requests(client: Client, body: str) -> None:
    assert v6_error(client.session.post(client.base + V4, data=body, timeout=10))[0] == 400


# ------------------------------------------------------------------------------------ tokens and headers


def test_token_answers(client: Client) -> None:
    for path in sandbox.TOKEN_PATHS:
        body = client.token(path).json()
        assert list(body) == ["access_token", "token_type", "expires_in"]
        assert (body["token_type"], body["expires_in"]) == ("Bearer", 2592000)
    for change in ({"client_secret": "wrong"}, {"client_id": "wrong"}, {"grant_type": "password"}):
        refused = client.token(**change)
        assert (refused.status_code, list(refused.json())) == (400, ["message"])
    assert requests.post(client.base + sandbox.TOKEN_PATHS[0], json=FORM, timeout=10).status_code == 400
    with serving(invoices=1, expires_in="86399") as other:
        assert other.token().json()["expires_in"] == "86399"


def test_wrong_expired_and_revoked_tokens() -> None:
    def fault(answer: requests.Response) -> tuple[int, str, str]:
        found = answer.json()["fault"]
        return answer.status_code, found["faultstring"], found["detail"]["errorcode"]

    invalid = (401, "Invalid Access Token", "keymanagement.service.invalid_access_token")
    with serving(invoices=3, token_seconds=0.5) as client:
        assert client.get(SEARCH).status_code == 200
        for text in ("", "Bearer", "Bearer wrong", "Basic x"):
            assert fault(client.get(SEARCH, {"Authorization": text})) == invalid
        time.sleep(0.5)
        expired = (401, "Access Token expired", "keymanagement.service.access_token_expired")
        assert fault(client.get(SEARCH)) == fault(client.v4("x")) == expired
        client.login()
        client.state.revoke_tokens()
        assert fault(client.get(SEARCH)) == invalid


def test_products_that_are_not_approved() -> None:
    with serving(invoices=3, unapproved=frozenset({SEARCH})) as client:
        body = {"fault": {"faultstring": "Invalid API call as no apiproduct match found"}}
        for path in (SEARCH, f"/sandbox{SEARCH}"):
            assert (client.get(path).status_code, client.get(path).json()) == (401, body)
        assert client.get(f"{DETAIL}/20-K0000-11").status_code == 200


def test_v6_headers_are_required(client: Client) -> None:
    for name in ("CustomerNumber", "CountryCode", "CorrelationID", "ApplicationID"):
        assert v6_error(client.get(SEARCH, {f"IM-{name}": None}))[::2] == (400, [f"IM-{name}"])
    too_long = client.get(SEARCH, {"IM-CorrelationID": str(uuid4())})
    assert v6_error(too_long)[::2] == (400, ["IM-CorrelationID"])
    once = uuid4().hex
    assert client.get(SEARCH, {"IM-CorrelationID": once}).status_code == 200
    again = client.get(SEARCH, {"IM-CorrelationID": once})
    assert v6_error(again) == (400, "must be unique for every call", ["IM-CorrelationID"])


# ------------------------------------------------------------------------------------------- limits


def test_calls_a_minute_for_each_endpoint() -> None:
    with serving(invoices=3, calls_per_minute=3) as client:
        answers = [client.get(SEARCH) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
        assert answers[3].json() == {"errors": [{"field": None, "message": "too many requests"}]}
        assert answers[3].headers["X-RateLimit-Limit"] == "3"
        assert 50 < int(answers[3].headers["X-RateLimit-Reset"]) - time.time() <= 62
        missing = client.get(f"{DETAIL}/unknown")
        assert (missing.status_code, missing.headers["X-RateLimit-Remaining"]) == (404, "2")
        assert client.v4("unknown").status_code == 200
        assert client.state.requests == {"token": 1, "search": 4, "detail": 1, "v4": 1, "429": 1}


def test_the_window_ends_and_reset_may_be_seconds() -> None:
    with serving(invoices=3, calls_per_minute=1, window_seconds=0.5, reset="seconds") as client:
        once = uuid4().hex
        assert client.get(SEARCH).status_code == 200
        refused = client.get(SEARCH, {"IM-CorrelationID": once})
        assert (refused.status_code, refused.headers["X-RateLimit-Reset"]) == (429, "1")
        time.sleep(0.5)
        assert client.get(SEARCH, {"IM-CorrelationID": once}).status_code == 200
    with serving(invoices=3) as client:
        assert "X-RateLimit-Limit" not in client.get(SEARCH).headers


def test_injected_faults_latency_and_rate() -> None:
    with serving(invoices=3, latency_ms=30) as client:
        client.state.fail(1, 429, {"Retry-After": "7"})
        client.state.fail(1, 503)
        client.state.fail(1, 401)
        client.state.fail(1, 500, {"Retry-After": "2"})
        answers = [client.get(SEARCH) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [429, 503, 401, 500, 200]
        assert answers[0].json()["errors"][0]["message"] == "too many requests"
        assert "faultstring" in answers[2].json()["fault"]
        assert v6_error(answers[3]) == (500, "Internal Server Error", [])
        assert answers[4].elapsed.total_seconds() >= 0.03
        assert v6_error(client.get("/nowhere"))[0] == 404
    with serving(invoices=3, rate=0.01) as client:
        assert [client.get(SEARCH).status_code for _ in range(2)] == [200, 429]


# ------------------------------------------------------------------------------------------- changes


def test_touch_changes_the_status() -> None:
    with serving(invoices=40) as client:
        before = client.search(invoiceStatus="OPEN")[0]
        client.state.touch(before["invoiceNumber"], "PAID")
        assert client.search(invoiceNumber=before["invoiceNumber"]) == [before | {"invoiceStatus": "PAID"}]
        assert client.json(f"{DETAIL}/{before['erpOrderNumber']}")["invoiceStatus"] == "PAID"
        with pytest.raises(LookupError):
            client.state.touch("20-ZZZZZ-11")


def test_add_appends_newer_invoices() -> None:
    with serving(invoices=30) as client:
        before = client.search()
        client.state.add(4)
        after = client.search()
        assert after[4:] == before
        assert all(row["invoiceDate"][:10] == "2026-06-30" for row in after[:4])
        assert sum(count for count, _ in client.state.totals().values()) == 34


def test_the_clock_moves_the_dates() -> None:
    with serving(invoices=30, clock=date(2030, 1, 31)) as client:
        rows = client.search()
        assert (rows[-1]["invoiceDate"][:10], rows[0]["invoiceDate"][:4]) == ("2028-02-02", "2030")
        assert client.v4_json(rows[0]["erpOrderNumber"])["responsepreamble"]["responsestatus"] == "SUCCESS"


def test_same_seed_same_bytes(client: Client) -> None:
    with serving(invoices=130) as again, serving(invoices=130, seed=2) as other:
        for path in (SEARCH, f"{DETAIL}/20-K0000-11"):
            assert again.get(path).content == client.get(path).content
            assert other.get(path).content != client.get(path).content
