"""Ingram Micro (Reseller API, "Xvantage"): invoices as JSON.  https://developer.ingrammicro.com/reseller

``invoice_details_v4`` is the documented POST /invoices/v4/invoicedetails, ``invoices`` is GET /resellers/v6/invoices,
``invoice_details`` is GET /resellers/v6.1/invoices/{invoiceNumber}. The old call wraps failures in HTTP 200; the new
one changes the case of its names between accounts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import uuid4

from vendortap.declare import (
    Amount,
    Config,
    Connector,
    Limit,
    Parent,
    Plan,
    RecordSelector,
    Reply,
    Sandbox,
    Stream,
    Value,
    both,
    by,
    client_credentials,
    error_list,
    first,
    get,
    hookimpl,
    ignoring_marks,
    in_file,
    listed,
    no_errors,
    page_number,
    post,
    present,
    setting,
    since_date,
    stable,
    status,
    x_rate_limit,
)

_V4 = ("serviceresponse", "invoicedetailresponse")
_FAULT = {"errors": Value(("errors",), "any"), "fault": Value(("faultstring",))}
_PREAMBLE = ("serviceresponse", "responsepreamble")
# The schema says id, the examples traceid.
_NOT_FOUND = tuple(error_list(404, "errors", name, "type", "message") for name in ("id", "traceid"))
_BRANCH = re.compile("^[0-9]{2}-")
_DAY = 86_400
_SINCE = Plan(since=since_date("from_date", start="start_date", follows=lambda _: True), lookback="lookback_days")


def _im_headers(config: Config) -> Mapping[str, str]:
    """Return the headers that v6 requires; the correlation id is new for each call, and 32 characters at most."""
    headers = {
        "IM-CustomerNumber": config["customer_number"],
        "IM-CountryCode": config["country_code"],
        "IM-ApplicationID": config["application_id"],
        "IM-CorrelationID": uuid4().hex,
        "IM-SenderID": config.get("sender_id"),
        "version": config.get("version_header"),
    }
    return {name: value for name, value in headers.items() if value}


def _token_expired(reply: Reply) -> bool:
    """Tell an expired token from a 401 that names the API product, which no new token cures."""
    return reply.status == 401 and b"apiproduct" not in reply.body


def _not_found(reply: Reply) -> bool:
    """Tell 404 with the body of the specification's examples from that of a gateway, or of a wrong address."""
    return any(tells(reply) for tells in _NOT_FOUND)


def _missing(reply: Reply) -> bool:
    """Tell that there is no such invoice, which the specification's example of a 500 says inside."""
    return _not_found(reply) or (reply.status == 500 and b"(404) Not Found" in reply.body)


def _same_order(key: str, number: str) -> bool:
    """Tell whether v4 answers with the order asked for: 20-RCW67-11 has the invoice number RCW67-11."""
    return ignoring_marks(key, number) or ignoring_marks(_BRANCH.sub("", key), number)


INGRAM_MICRO = Connector(
    name="ingram-micro",
    title="Ingram Micro",
    docs="https://developer.ingrammicro.com/reseller",
    schemas="vendortap_schemas.ingram_micro",
    base_url=first(
        setting("base_url"),
        by(
            "environment",
            {
                "production": "https://api.ingrammicro.com:443",
                "sandbox": "https://api.ingrammicro.com:443/sandbox",
            },
        ),
    ),
    auth=(
        client_credentials(
            token_url=setting("token_url"),
            client_id="client_id",
            client_secret="client_secret",  # noqa: S106 - the setting's name
            max_seconds=_DAY,
        ),
    ),
    expired=_token_expired,
    missing=_missing,
    headers=_im_headers,
    zone=setting("timezone"),
    # 60 calls a minute and endpoint: a burst of 10 and 50 more never exceed that in any minute
    limit=Limit(rate=50 / 60, burst=10, each_endpoint=True),
    rate_limit=x_rate_limit,
    streams=(
        Stream(
            name="invoices",
            title="The list of invoices: status, dates, amounts due",
            request=get(
                "/resellers/v6/invoices", invoiceFromDate="{from_date}", orderby="InvoiceDate", direction="asc"
            ),
            plan=_SINCE,
            # The same number may stand on several pages: re-issued, with a later date. In this order the last one
            # that a target is handed is the newest.
            record_selector=RecordSelector(
                ("invoices",),
                more={"found": Value(("recordsFound",), "integer"), **_FAULT},
                any_type=True,
                empty=_NOT_FOUND,
            ),
            check=no_errors(*_FAULT),
            pages=stable(
                page_number("pageNumber", size_param="pageSize", size="page_size", rows="found"),
                "invoiceNumber",
                "invoiceDate",
                total="found",
            ),
            keys=("invoiceNumber",),
            replication_key="invoiceDate",
            amount=Amount("invoicedAmountDue", "currencyCode"),
        ),
        Stream(
            name="invoice_details",
            title="The whole invoice: lines, serial numbers, taxes, totals",
            request=get("/resellers/v6.1/invoices/{invoice_number}", includeSerialNumbers="{include_serial_numbers}"),
            plan=_SINCE,
            parent=Parent(
                "invoice_number",
                (listed("invoice_numbers"), in_file("invoice_numbers_file", column="invoice_numbers_column")),
                stream="invoices",
                field="invoiceNumber",
                echo=("invoiceNumber",),
                same=ignoring_marks,
            ),
            record_selector=RecordSelector(
                many=False, more={"number": Value(("invoiceNumber",)), **_FAULT}, any_case=True, any_type=True
            ),
            check=both(no_errors(*_FAULT), present("number")),
            keys=("requestedNumber",),
            add={"requestedNumber": "invoice_number"},
            replication_key="listedInvoiceDate",
            amount=Amount("summary.totals.invoicedAmountDue", "lines.currencyCode"),
        ),
        Stream(
            name="invoice_details_v4",
            title="The old call's invoice, by sales order number: amounts, addresses, lines",
            request=post(
                "/invoices/v4/invoicedetails",
                {
                    "servicerequest": {
                        "requestpreamble": {
                            "isocountrycode": "{country_code}",
                            "customernumber": "{customer_number}",
                        },
                        "invoicedetailrequest": {"invoicenumber": "{order_number}"},
                    }
                },
            ),
            parent=Parent(
                "order_number",
                (listed("order_numbers"), in_file("order_numbers_file", column="order_numbers_column")),
                echo=("globalorderid", "invoicenumber"),
                same=_same_order,
            ),
            record_selector=RecordSelector(
                _V4,
                many=False,
                more={
                    "status": Value((*_PREAMBLE, "responsestatus")),
                    "message": Value((*_PREAMBLE, "responsemessage")),
                    **_FAULT,
                },
                any_type=True,
            ),
            check=both(
                no_errors(*_FAULT),
                status(
                    "status",
                    good=("SUCCESS",),
                    message="message",
                    partly=("SUCCESSWITHERROR",),
                    missing=("Data Not Found", "Invoice Not Found"),
                ),
            ),
            keys=("requestednumber",),
            add={"requestednumber": "order_number"},
            amount=Amount("totalamount", "currencycode"),
        ),
    ),
    sandbox=Sandbox(
        app="tap_ingram_micro.sandbox:app",
        config={
            "base_url": "{url}",
            "token_url": "{url}/oauth/oauth20/token",
            "client_id": "ingram-sandbox-client",
            "client_secret": "sandbox~not-a-secret",
            "customer_number": "20-222222",
            "country_code": "US",
            "requests_per_second": None,
        },
        totals="""SELECT "lines"[1]."currencyCode", count(*), sum("summary"."totals"."invoicedAmountDue")
                  FROM {schema}.invoice_details GROUP BY ALL""",
        options={"calls_per_minute": 0},
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring Ingram Micro."""
    return INGRAM_MICRO
