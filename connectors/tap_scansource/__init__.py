"""ScanSource: invoices and their details, as JSON or XML.  https://services.scansource.com/Help

``invoices`` is GET invoice/summary, ``invoice_details`` is GET invoice/detail, ``invoice_documents`` is GET
invoice/pdf. What the vendor does not document (host and path of the gateway, limits, what fromDate filters) is a
setting whose description says so.
"""

from __future__ import annotations

from vendortap.declare import (
    Amount,
    Connector,
    Limit,
    Parent,
    Plan,
    RecordSelector,
    Sandbox,
    Stream,
    Value,
    api_key,
    by,
    childless,
    choose,
    client_credentials,
    first,
    get,
    hookimpl,
    in_file,
    listed,
    optional,
    page_number,
    present,
    setting,
    since_date,
    stable,
)

_EACH_CUSTOMER = Plan(
    each=("customer_numbers", "customer_number"),
    since=since_date(
        "from_date",
        start="start_date",
        follows=lambda config: config["from_date_filters"] == "last_changed",
    ),
)

_EACH_INVOICE = Parent(
    param="invoice_number",
    stream="invoices",
    field="InvoiceNumber",
    echo=("InvoiceNumber",),
    sources=(
        listed("invoice_numbers"),
        in_file("invoice_numbers_file", column="invoice_numbers_column"),
    ),
)

SCANSOURCE = Connector(
    name="scansource",
    title="ScanSource",
    docs="https://services.scansource.com/Help",
    schemas="vendortap_schemas.scansource",
    base_url=first(
        setting("base_url"),
        by(
            "path_style",
            {
                "query": "https://api.scansource.com/scsc/invoice/v1",
                "path": "https://services.scansource.com/api",
            },
        ),
    ),
    auth=(
        api_key(header="Ocp-Apim-Subscription-Key", setting="subscription_key"),
        optional(
            "client_id",
            client_credentials(
                token_url=setting("token_url"),
                client_id="client_id",
                client_secret="client_secret",  # noqa: S106 - the setting's name
                scope=setting("scope"),
            ),
        ),
    ),
    accept=by("format", {"json": "application/json", "xml": "application/xml"}),
    zone=setting("timezone"),
    date_format=setting("date_format"),
    limit=Limit(rate=10, burst=10),
    streams=(
        Stream(
            name="invoices",
            title="Summary of every invoice",
            request=choose(
                "path_style",
                path=get("/invoice/summary/{customer_number}", fromDate="{from_date}"),
                query=get("/summary", customerNumber="{customer_number}", fromDate="{from_date}"),
            ),
            plan=_EACH_CUSTOMER,
            record_selector=RecordSelector(empty=(childless("ArrayOf*"),)),
            pages=stable(page_number("page", size_param="pageSize", size="page_size"), "InvoiceNumber"),
            keys=("CustomerNumber", "InvoiceNumber"),
            replication_key="LastChanged",
            add={"CustomerNumber": "customer_number"},
            amount=Amount("Total"),
        ),
        Stream(
            name="invoice_details",
            title="The whole document: addresses, amounts, lines, serial and tracking numbers",
            request=choose(
                "path_style",
                path=get(
                    "/invoice/detail/{customer_number}/{invoice_number}",
                    excludeSerialTracking="{exclude_serial_tracking}",
                ),
                query=get(
                    "/detail",
                    customerNumber="{customer_number}",
                    InvoiceNumber="{invoice_number}",
                    excludeSerialTracking="{exclude_serial_tracking}",
                ),
            ),
            plan=_EACH_CUSTOMER,
            parent=_EACH_INVOICE,
            record_selector=RecordSelector(many=False),
            keys=("CustomerNumber", "InvoiceNumber"),
            replication_key="LastChanged",
            add={"CustomerNumber": "customer_number"},
            amount=Amount("Total", "Currency"),
        ),
        Stream(
            name="invoice_documents",
            title="The invoice as PDF, in Base64 or in files (documents_dir); read only where a catalog selects it",
            request=choose(
                "path_style",
                path=get("/invoice/pdf/{customer_number}/{invoice_number}"),
                query=get("/pdf", customerNumber="{customer_number}", InvoiceNumber="{invoice_number}"),
            ),
            plan=_EACH_CUSTOMER,
            parent=_EACH_INVOICE,
            record_selector=RecordSelector(
                many=False, more={"document": Value(("InvoiceData",)), "errors": Value(("Errors",), "any")}
            ),
            check=present("document", errors="errors"),
            keys=("CustomerNumber", "InvoiceNumber"),
            replication_key="LastChanged",
            add={"CustomerNumber": "customer_number"},
            document="InvoiceData",
            selected_by_default=False,  # a request an invoice more
        ),
    ),
    sandbox=Sandbox(
        app="tap_scansource.sandbox:app",
        config={
            "base_url": "{url}/scsc/invoice/v1",
            "token_url": "{url}/scansourceb2c.onmicrosoft.com/oauth2/v2.0/token",
            "subscription_key": "5ca45007ce5a4db08a0b5a11db0c5e11",
            "client_id": "0c5a1e00-5ca4-4007-8ce0-5a4db0c5e111",
            "client_secret": "sandbox~not-a-secret",
            "customer_numbers": ["1000012345", "1000067890"],
            "timezone": "Etc/GMT+5",  # the sandbox has no summer time
            "requests_per_second": None,
        },
        totals='SELECT "Currency", count(*), sum("Total") FROM {schema}.invoice_details GROUP BY ALL',
    ),
)


@hookimpl
def register_connector() -> Connector:
    """Bring ScanSource."""
    return SCANSOURCE
