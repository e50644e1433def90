"""Five vendors, as far as their documents describe them: which request is which, and what the replies look like."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.soak.book import Habits, Invoice
from tests.soak.histories import History
from tests.soak.wire import Asked, Tree, find, number, stamp

Path = tuple[str, ...]


@dataclass(frozen=True)
class ListAsked:
    """Which rows of which list a request is for; ``window`` only where the vendor is asked for one."""

    partition: str
    start: int
    size: int
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Table:
    """Where a stream's record, and the reply that it was made from, have the number, the amount, and the lines."""

    key: str
    amount: Callable[[Mapping[str, Any]], Decimal | None]
    lines: str | None = None


@dataclass(frozen=True)
class Vendor:
    """A vendor's protocol. ``lists`` and ``documents`` tell what a request asks for; ``row``, ``page`` and ``document``
    make the tree of a reply. ``rows`` is where a list's rows are in it, ``count`` its count of them.

    ``number`` and ``served`` are where a row or a document in a reply has its number and amount.
    """

    name: str
    partitions: tuple[str, ...]
    number_of: Callable[[int], str]
    habits: Habits
    settings: Callable[[History, str], dict[str, Any]]
    lists: Callable[[Asked], ListAsked | None]
    documents: Callable[[Asked], str | None]
    row: Callable[[Invoice, int], Tree]
    page: Callable[[list[Tree], ListAsked, int], Tree]
    document: Callable[[Invoice, str], Tree]
    rows: Path
    numbers: tuple[str, ...]
    amounts: tuple[Path, ...]
    listed: tuple[str, Table]
    detailed: tuple[tuple[str, Table], ...]
    by_number: Mapping[str, int] = field(default_factory=dict)
    """Streams that are asked for some numbers only: every n-th of the first invoices."""
    count: str | None = None
    counts_pages: bool = True
    """Whether a page is asked for by its number, so that a short one moves those behind it."""
    tokens: Mapping[str, Tree] = field(default_factory=dict)
    not_found: tuple[int, Tree] = (404, {"Message": "No HTTP resource was found that matches the request."})
    roots: tuple[str, str] = ("", "")
    items: Mapping[str, str] = field(default_factory=dict)
    xml_names: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[int, Tree] = (401, {"Message": "Authorization has been denied for this request."})
    failure: Tree = field(default_factory=lambda: {"errors": [{"code": "InternalFailure", "message": "Try again."}]})

    @property
    def tables(self) -> Mapping[str, Table]:
        """All streams that a history may read."""
        return dict((self.listed, *self.detailed))


def whole(text: str | None, default: int) -> int:
    """Return a parameter of a request."""
    return int(text) if text and text.isdigit() else default


def _at(*path: str) -> Callable[[Mapping[str, Any]], Decimal | None]:
    return lambda record: number(find(record, path))


def common(history: History) -> dict[str, Any]:
    """Settings that each connector has."""
    return {
        "requests_per_second": None,
        "concurrency": history.concurrency,
        "retry_seconds": 4,
        "timeout_seconds": 10,
    }


# --- ScanSource ------------------------------------------------------------------------------------

_CUSTOMERS = ("1000012345", "1000067890")
UNKNOWN_CUSTOMER = "1000099999"


def _scansource_settings(history: History, url: str) -> dict[str, Any]:
    unknown = (UNKNOWN_CUSTOMER,) if history.unknown_customer else ()
    return {
        **common(history),
        "base_url": f"{url}/scsc/invoice/v1",
        "subscription_key": "not-a-secret-key",
        "customer_numbers": [_CUSTOMERS[0], *unknown, _CUSTOMERS[1]],
        "timezone": "UTC",
        "page_size": history.size,
        "format": "xml" if history.xml else "json",
    }


def _scansource_list(asked: Asked) -> ListAsked | None:
    if not asked.path.endswith("/summary"):
        return None
    size = whole(asked.query.get("pageSize"), 100)
    page = whole(asked.query.get("page"), 1)
    return ListAsked(asked.query.get("customerNumber", ""), (page - 1) * size, size)


def _scansource_row(invoice: Invoice, count: int) -> Tree:
    return {
        "OrderNumber": f"7{invoice.number}",
        "InvoiceNumber": invoice.number,
        "PONumber": "PO für Łódź",
        "DocType": "Invoice",
        "Total": invoice.amount,
        "ShippingOption": "FDXG",
        "ShippingOptionDescription": None,
        "DateEntered": stamp(invoice.stamp - timedelta(days=1)),
        "LastChanged": stamp(invoice.stamp),
    }


def _scansource_document(invoice: Invoice, asked: str) -> Tree:
    line = {"LineNumber": Decimal("1.0"), "ItemNumber": "A", "Shipped": Decimal("1.0"), "SerialNumbers": ["S1", "S2"]}
    return {
        "InvoiceNumber": invoice.number,
        "SalesOrderNumber": f"7{invoice.number}",
        "PONumber": "PO für Łódź",
        "DocType": "Invoice",
        "FreightAmount": Decimal("0.00"),
        "Total": invoice.amount,
        "Currency": "EUR",
        "InvoiceLines": [{**line, "LineNumber": Decimal(index + 1)} for index in range(invoice.lines)],
        "TrackingNumbers": ["1Z"],
    }


SCANSOURCE = Vendor(
    name="scansource",
    partitions=_CUSTOMERS,
    number_of=lambda index: str(40_000_001 + index),
    habits=Habits(timedelta(days=120), timedelta(days=120), stamped=True),
    settings=_scansource_settings,
    lists=_scansource_list,
    documents=lambda asked: asked.query.get("InvoiceNumber") if asked.path.endswith("/detail") else None,
    row=_scansource_row,
    page=lambda rows, _asked, _count: rows,
    document=_scansource_document,
    rows=(),
    numbers=("InvoiceNumber",),
    amounts=(("Total",),),
    listed=("invoices", Table("InvoiceNumber", _at("Total"))),
    detailed=(("invoice_details", Table("InvoiceNumber", _at("Total"), "InvoiceLines")),),
    roots=("ArrayOfInvoiceSummary", "Invoice"),
    items={"ArrayOfInvoiceSummary": "InvoiceSummary", "InvoiceLines": "InvoiceLine"},
    refused=(401, {"statusCode": 401, "message": "Access denied due to invalid subscription key."}),
)

# --- Amazon ----------------------------------------------------------------------------------------

_AMAZON = "/vendor/directFulfillment/shipping/v1/customerInvoices"
_DAYS = 20


def amazon_amount(record: Mapping[str, Any]) -> Decimal | None:
    """Return the amount that an invoice's own document says."""
    try:
        text = base64.b64decode(str(record.get("content") or "")).decode("latin-1")
    except ValueError:
        return None  # spoilt content
    found = re.search(r"Total: USD (-?[0-9.]+)", text)
    return number(found[1]) if found else None


def _amazon_number(index: int) -> str:
    return f"PO{100_000 + index}X"


def _amazon_settings(history: History, url: str) -> dict[str, Any]:
    by_number = {"purchase_order_numbers": [_amazon_number(i) for i in range(0, history.invoices, 9)]}
    return {
        **common(history),
        "base_url": url,
        "token_url": f"{url}/auth/o2/token",
        "client_id": "a-client",
        "client_secret": "not-a-secret~",
        "refresh_token": "not-a-token~",
        "start_date": (datetime.now(UTC) - timedelta(days=_DAYS + 1)).date().isoformat(),
        "limit": history.size,
        **(by_number if history.details else {}),
    }


def _amazon_list(asked: Asked) -> ListAsked | None:
    if asked.path != _AMAZON:
        return None
    token = asked.query.get("nextToken")
    start = int(base64.b64decode(token).decode()) if token else 0
    since, until = (datetime.fromisoformat(asked.query[f"created{end}"]) for end in ("After", "Before"))
    return ListAsked("", start, whole(asked.query.get("limit"), 100), since, until)


def _amazon_row(invoice: Invoice, count: int) -> Tree:
    content = f"Invoice {invoice.number}\nTotal: USD {invoice.amount}\n"
    return {"purchaseOrderNumber": invoice.number, "content": base64.b64encode(content.encode()).decode()}


def _amazon_page(rows: list[Tree], asked: ListAsked, count: int) -> Tree:
    following = asked.start + asked.size
    token = base64.b64encode(str(following).encode()).decode()
    paging = {"pagination": {"nextToken": token}} if following < count else {}
    return {"payload": {**paging, "customerInvoices": rows}}


AMAZON = Vendor(
    name="amazon-vendor",
    partitions=("",),
    number_of=_amazon_number,
    habits=Habits(timedelta(days=_DAYS), timedelta(days=3), fixed=True),
    settings=_amazon_settings,
    lists=_amazon_list,
    documents=lambda asked: asked.path.removeprefix(f"{_AMAZON}/") if asked.path.startswith(f"{_AMAZON}/") else None,
    row=_amazon_row,
    page=_amazon_page,
    document=lambda invoice, _: {"payload": _amazon_row(invoice, 0)},
    rows=("payload", "customerInvoices"),
    numbers=("purchaseOrderNumber",),
    amounts=(),
    counts_pages=False,
    listed=("customer_invoices", Table("purchaseOrderNumber", amazon_amount)),
    detailed=(("customer_invoices_by_number", Table("purchaseOrderNumber", amazon_amount)),),
    by_number={"customer_invoices_by_number": 9},
    tokens={
        "/auth/o2/token": {"access_token": "at~", "token_type": "bearer", "expires_in": 3600},
        "/tokens/2021-03-01/restrictedDataToken": {"restrictedDataToken": "rdt~", "expiresIn": 3600},
    },
    not_found=(404, {"errors": [{"code": "NotFound", "message": "The resource does not exist.", "details": ""}]}),
    refused=(
        403,
        {
            "errors": [
                {
                    "code": "Unauthorized",
                    "message": "Access to requested resource is denied.",
                    "details": "The access token you provided has expired.",
                }
            ]
        },
    ),
)

# --- Ingram Micro ----------------------------------------------------------------------------------


def _ingram_number(index: int) -> str:
    return f"30K{index:04}12"


def _ingram_settings(history: History, url: str) -> dict[str, Any]:
    orders = {"order_numbers": [_ingram_number(i) for i in range(0, history.invoices, 13)]}
    return {
        **common(history),
        "base_url": url,
        "token_url": f"{url}/oauth/oauth20/token",
        "client_id": "a-client",
        "client_secret": "not-a-secret~",
        "customer_number": "20-222222",
        "country_code": "US",
        "page_size": history.size,
        **(orders if history.details else {}),
    }


def _ingram_list(asked: Asked) -> ListAsked | None:
    if asked.path != "/resellers/v6/invoices":
        return None
    size, since = whole(asked.query.get("pageSize"), 25), asked.query.get("invoiceFromDate")
    start = (whole(asked.query.get("pageNumber"), 1) - 1) * size
    return ListAsked("", start, size, datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None)


def _ingram_document_asked(asked: Asked) -> str | None:
    if asked.path == "/invoices/v4/invoicedetails":
        request = find(json.loads(asked.body), ("servicerequest", "invoicedetailrequest", "invoicenumber"))
        return f"v4:{request}"
    return asked.path.removeprefix("/resellers/v6.1/invoices/") if "/v6.1/" in asked.path else None


def _ingram_row(invoice: Invoice, count: int) -> Tree:
    return {
        "paymentTermsDueDate": None,
        "erpOrderNumber": f"{invoice.number[:2]}-{invoice.number[2:7]}-{invoice.number[7:]}",
        "invoiceNumber": invoice.number,
        "invoiceStatus": "OPEN – Łódź",
        "invoiceDate": stamp(invoice.stamp)[:-6],
        "invoicedAmountDue": invoice.amount,
        "specialBidNumbers": [],
    }


def _ingram_document(invoice: Invoice, asked: str) -> Tree:
    dashed = f"{invoice.number[:2]}-{invoice.number[2:7]}-{invoice.number[7:]}"
    if asked.startswith("v4:"):
        return {
            "serviceresponse": {
                "responsepreamble": {
                    "responsestatus": "SUCCESS" if invoice.lines > 1 else "SUCCESSWITHERROR",
                    "statuscode": "200" if invoice.lines > 1 else "046",
                    "responsemessage": "Invoice Found" if invoice.lines > 1 else "Partial Data Found",
                },
                "invoicedetailresponse": {
                    "invoicenumber": invoice.number[2:],
                    "globalorderid": invoice.number,
                    "totalamount": str(invoice.amount),
                },
            }
        }
    line = {"ingramPartNumber": "A", "quantity": 1, "currencyCode": "USD"}
    return {
        "invoiceNumber": dashed,
        "invoiceDate": stamp(invoice.stamp)[:10],
        "lines": [{**line, "ingramLineNumber": str(index)} for index in range(invoice.lines)],
        "summary": {"totals": {"invoicedAmountDue": invoice.amount}},
    }


INGRAM = Vendor(
    name="ingram-micro",
    partitions=("",),
    number_of=_ingram_number,
    habits=Habits(timedelta(days=150), timedelta(days=40)),
    settings=_ingram_settings,
    lists=_ingram_list,
    documents=_ingram_document_asked,
    row=_ingram_row,
    page=lambda rows, asked, count: {
        "recordsFound": count,
        "pageSize": asked.size,
        "pageNumber": asked.start // asked.size + 1,
        "invoices": rows,
        "nextPage": "/resellers/v6/invoices?page=2&size=5",
    },
    document=_ingram_document,
    rows=("invoices",),
    numbers=("invoiceNumber", "globalorderid"),
    amounts=(("invoicedAmountDue",), ("summary", "totals", "invoicedAmountDue"), ("totalamount",)),
    listed=("invoices", Table("invoiceNumber", _at("invoicedAmountDue"))),
    detailed=(
        ("invoice_details", Table("requestedNumber", _at("summary", "totals", "invoicedAmountDue"), "lines")),
        ("invoice_details_v4", Table("requestednumber", _at("totalamount"))),
    ),
    by_number={"invoice_details_v4": 13},
    count="recordsFound",
    tokens={"/oauth/oauth20/token": {"access_token": "at~", "token_type": "Bearer", "expires_in": "86400"}},
    not_found=(404, {"errors": [{"id": "1", "type": "NotFound", "message": "Data not found", "fields": []}]}),
    refused=(401, {"errors": [{"id": "1", "type": "Unauthorized", "message": "The token has expired."}]}),
)

# --- VisibleSCM ------------------------------------------------------------------------------------


def _visible_row(invoice: Invoice, count: int) -> Tree:
    return {
        "InvoiceRefNumber": invoice.number,
        "InvoiceParentRefNumber": None,
        "BusinessUnit": "Łódź & Söhne",
        "ClientDisplayName": None,
        "InvoiceFriendlyStatus": "Issued",
        "Terms": "NET30",
        "StartDate": None,
        "EndDate": None,
        "DueDate": None,
        "IssuedDate": stamp(invoice.stamp),
        "ProcessPeriodType": "Week",
        "TotalInvoicedAmount": invoice.amount,
        "TotalAverageAmount": Decimal("1.0"),
        "TotalPublishedAmount": Decimal("1.0"),
        "TotalInvoiceLinesCount": invoice.lines,
        "TotalDiscountAmount": Decimal("0.0"),
        "InvoiceAmountOwed": Decimal("0.0"),
    }


def _visible_document(invoice: Invoice, asked: str) -> Tree:
    summary = {"BillingEventType": "Shipping", "Category": "C", "ChargeType": "Tax", "TotalInvoicedAmount": Decimal(1)}
    return {
        "IsSuccessful": True,
        "Message": "",
        **_visible_row(invoice, 0),
        "Summaries": [summary] * invoice.lines,
        "Averages": [],
    }


def _visible_list(asked: Asked) -> ListAsked | None:
    if asked.path != "/api/Invoice/InvoiceList":
        return None
    size = whole(asked.query.get("PageSize"), 100)
    return ListAsked("", (whole(asked.query.get("PageNumber"), 1) - 1) * size, size)


VISIBLE = Vendor(
    name="visiblescm",
    partitions=("",),
    number_of=lambda index: f"INV-{70_000 + index}",
    habits=Habits(timedelta(days=150), timedelta(days=40)),
    settings=lambda history, url: {
        **common(history),
        "base_url": url,
        "token": "not-a-token~",
        "page_size": history.size,
        "format": "xml" if history.xml else "json",
    },
    lists=_visible_list,
    documents=lambda asked: asked.path.removeprefix("/api/Invoice/") if asked.path.startswith("/api/") else None,
    row=_visible_row,
    page=lambda rows, asked, count: {
        "IsSuccessful": True,
        "Message": "",
        "TotalPublishedAmount": 0,
        "Page": asked.start // asked.size + 1,
        "Count": len(rows),
        "TotalPage": -(-count // asked.size),
        "TotalCount": count,
        "List": rows,
    },
    document=_visible_document,
    rows=("List",),
    numbers=("InvoiceRefNumber",),
    amounts=(("TotalInvoicedAmount",),),
    listed=("invoices", Table("InvoiceRefNumber", _at("TotalInvoicedAmount"))),
    detailed=(("invoice_details", Table("RequestedInvoiceRefNumber", _at("TotalInvoicedAmount"), "Summaries")),),
    count="TotalCount",
    roots=("InvoiceListPageResponse", "InvoiceResponse"),
    items={"List": "InvoiceListResponse", "InvoiceSummaries": "InvoiceSummaryResponse"},
    xml_names={"Summaries": "InvoiceSummaries", "Averages": "InvoiceTotalAverages"},
    failure={"IsSuccessful": False, "Message": "The invoices cannot be read."},
)

# --- Midnight --------------------------------------------------------------------------------------


def _midnight_list(asked: Asked) -> ListAsked | None:
    if asked.path != "/v1/Generic/InvoiceList":
        return None
    model = json.loads(asked.body)["tableFilterModel"]
    return ListAsked("", model["First"], model["Rows"])


def _midnight_document_asked(asked: Asked) -> str | None:
    if asked.path != "/v2/invoice/detail":
        return None
    found = re.search(rb"""Guid(?:>|"\s*:\s*")([0-9a-fA-F-]+)""", asked.body)
    return found[1].decode() if found else None


def _midnight_row(invoice: Invoice, count: int) -> Tree:
    return {
        "Guid": invoice.number,
        "InvoiceID": int(invoice.number[:8]),
        "InvoiceNumber": f"M{invoice.number[:8]}",
        "InvoiceDate": stamp(invoice.stamp),
        "CustomerName": "Łódź & Söhne",
        "InvoiceDueDate": None,
        "InvoiceStatus": "Open",
        "InvoiceAmount": invoice.amount,
        "CustomerNumber": 7,
        "OrderID": int(invoice.number[:8]),
        "InvoiceLineTypes": ["Item"],
        "Active": True,
        "TotalRecords": count,
    }


def _midnight_document(invoice: Invoice, asked: str) -> Tree:
    return {
        "GUID": invoice.number,
        "InvoiceID": int(invoice.number[:8]),
        "InvoiceNumber": f"M{invoice.number[:8]}",
        "InvoiceDate": stamp(invoice.stamp),
        "TotalBilledAmount": invoice.amount,
        "Company": "Łódź & Söhne",
        "InvoiceLine": [{"InvoiceLineID": index, "Title": "Print"} for index in range(invoice.lines)],
    }


def _midnight_number(index: int) -> str:
    return f"{index + 1:08}-0000-4000-8000-{index + 1:012}"


MIDNIGHT = Vendor(
    name="midnight",
    partitions=("",),
    number_of=_midnight_number,
    habits=Habits(timedelta(days=150), timedelta(days=40)),
    settings=lambda history, url: {
        **common(history),
        "base_url": url,
        "domain_name": "print",
        "user_name": "not-a-secret-user",
        "password": "not-a-secret~",
        "page_size": history.size,
        "format": "xml" if history.xml else "json",
    },
    lists=_midnight_list,
    documents=_midnight_document_asked,
    row=_midnight_row,
    page=lambda rows, _asked, _count: rows,
    document=_midnight_document,
    rows=(),
    numbers=("Guid", "GUID"),
    amounts=(("InvoiceAmount",), ("TotalBilledAmount",)),
    listed=("invoices", Table("Guid", _at("InvoiceAmount"))),
    detailed=(("invoice_details", Table("RequestedGuid", _at("TotalBilledAmount"), "InvoiceLine")),),
    count="TotalRecords",
    counts_pages=False,
    tokens={
        "/v1/Token/UserAuthentication": {
            "access_token": "at~",
            "refresh_token": "rt~",
            "token_type": "Bearer",
            "expires_in": 3600,
        }
    },
    roots=("ArrayOfInvoiceListResponse", "InvoiceSelectResponse"),
    items={
        "ArrayOfInvoiceListResponse": "InvoiceListResponse",
        "InvoiceLine": "InvoiceLineSelectResponse",
        "InvoiceLineTypes": "string",
    },
    failure={"Message": "An error has occurred."},
)

VENDORS: Mapping[str, Vendor] = {v.name: v for v in (AMAZON, INGRAM, MIDNIGHT, SCANSOURCE, VISIBLE)}
