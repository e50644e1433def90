"""VisibleSCM (Visible Supply Chain Management): invoice summaries, as JSON or XML.  https://api.visiblescm.com/Help

``invoices`` is GET api/Invoice/InvoiceList, ``invoice_details`` is GET api/Invoice/{invoiceRefNumber}. The vendor
documents no authentication for this API, so the scheme is a setting. A failed call is HTTP 200 with
``IsSuccessful: false``. POST api/Invoice/InvoiceLineList is left out, as nothing is known of its answer.
"""

from __future__ import annotations

from vendortap.declare import (
    Amount,
    Connector,
    Limit,
    Parent,
    Plan,
    Record,
    RecordSelector,
    Sandbox,
    Stream,
    Value,
    basic,
    bearer,
    by,
    chosen,
    flag,
    get,
    header,
    hookimpl,
    in_file,
    json_login,
    listed,
    page_number,
    setting,
    since_date,
    stable,
)

_OUTCOME = {"successful": Value(("IsSuccessful",), "boolean"), "message": Value(("Message",))}
_EXTENT = {"pages": Value(("TotalPage",), "integer"), "rows": Value(("TotalCount",), "integer")}


def _charge_type_display(record: Record) -> None:
    """Fill in what the vendor computes for JSON and leaves out of XML (the help page's two samples)."""
    for summary in record["Summaries"] or ():
        if summary["ChargeTypeDisplay"] is None:
            parts = (summary["ChargeType"], summary["Category"], summary["SubCategory"])
            summary["ChargeTypeDisplay"] = " - ".join(part or "" for part in parts)


VISIBLESCM = Connector(
    name="visiblescm",
    title="VisibleSCM",
    docs="https://api.visiblescm.com/Help",
    schemas="vendortap_schemas.visiblescm",
    base_url=setting("base_url"),
    auth=(
        chosen(
            "auth",
            bearer=bearer(setting="token"),
            header=header(name=setting("header_name"), setting="header_value"),
            basic=basic(username="username", password="password"),  # noqa: S106 - settings' names
            account_token=json_login(
                url=setting("account_token_url"),
                members={
                    "apiKey": "api_key",
                    "apiSecret": "api_secret",
                    "userName": "username",
                    "password": "password",
                },
                token="token",  # noqa: S106 - a member's name
                scheme="",
            ),
        ),
    ),
    accept=by("format", {"json": "application/json", "xml": "application/xml"}),
    zone=setting("timezone"),
    limit=Limit(rate=10, burst=10),
    streams=(
        Stream(
            name="invoices",
            title="The list of invoices: amounts, status, dates",
            request=get("/api/Invoice/InvoiceList", InvoiceStatus="{invoice_status}", IssuedDateStart="{issued_from}"),
            plan=Plan(since=since_date("issued_from", start="start_date")),
            record_selector=RecordSelector(("List",), more={**_OUTCOME, **_EXTENT}),
            pages=stable(
                page_number(
                    "PageNumber",
                    size_param="PageSize",
                    size="page_size",
                    first="first_page",
                    pages="pages",
                    rows="rows",
                ),
                "InvoiceRefNumber",
                total="rows",
            ),
            check=flag("successful", message="message"),
            keys=("InvoiceRefNumber",),
            amount=Amount("TotalInvoicedAmount"),
        ),
        Stream(
            name="invoice_details",
            title="The summarized view: amounts by charge, and averages",
            request=get("/api/Invoice/{invoice_number}"),
            plan=Plan(since=since_date("issued_from", start="start_date"), lookback="lookback_days"),
            parent=Parent(
                "invoice_number",
                (listed("invoice_numbers"), in_file("invoice_numbers_file", column="invoice_numbers_column")),
                stream="invoices",
                field="InvoiceRefNumber",
                changed="IssuedDate",
                echo=("InvoiceRefNumber",),
            ),
            record_selector=RecordSelector(many=False, more=_OUTCOME),
            check=flag("successful", message="message"),
            finish=_charge_type_display,
            keys=("RequestedInvoiceRefNumber",),
            add={"RequestedInvoiceRefNumber": "invoice_number"},
            replication_key="ListedIssuedDate",
            amount=Amount("TotalInvoicedAmount"),
        ),
    ),
    sandbox=Sandbox(
        app="tap_visiblescm.sandbox:app",
        config={"base_url": "{url}", "token": "sandbox-visiblescm-bearer", "requests_per_second": None},
        totals="""SELECT '', count(*), sum("TotalInvoicedAmount") FROM {schema}.invoice_details""",
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring VisibleSCM."""
    return VISIBLESCM
